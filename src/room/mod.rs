//! The pure core. All rules of a room are here, once: who may enter, who is host, who may control playback, what is due when.
//!
//! [`decide`] takes a [`Room`] and a [`Command`] and returns the [`Change`]s that follow, or a refusal; [`Room::apply`] applies one change.
//! Nothing in here waits, reads a clock, uses randomness or knows a socket: time and randomness are arguments. So every node that applies
//! the same changes has the same room.

mod apply;
mod attempt;
mod ban;
mod change;
mod command;
mod decide;
mod due;
mod footprint;
mod gate;
mod grant;
mod json;
mod left_reason;
mod member;
mod misses;
mod nudge;
mod own_media;
mod page;
mod pin_guard;
mod policy;
mod position;
mod refusal;
mod reopen;
mod rights;
mod secret;
mod sent;
mod state;
mod timeline;
mod unknown;
mod update;
mod url_hosts;

pub use attempt::{Attempt, Attempts};
pub use ban::{Ban, Bans, Removal, no_bans};
pub use change::Change;
pub use command::{Asked, Command, Join, Resume};
pub use decide::{Action, Draft, decide};
pub use due::next_due;
pub use footprint::Footprint;
pub use gate::Gate;
pub use grant::{Grant, GrantedRole};
pub use json::Json;
pub use left_reason::LeftReason;
pub use member::{Member, Presence, Role};
pub use misses::Misses;
pub use nudge::Nudge;
pub(crate) use page::is_same_page;
pub use pin_guard::{Guesser, PinGuard};
pub use policy::{IDLE_WATCHER, Policy};
pub use position::StreamPosition;
pub use refusal::Refusal;
pub use rights::{Right, Rights, UnknownRight};
pub use secret::{Digest, Shown};
pub use sent::Sent;
pub use state::{Members, Room, Vacancy};
pub use timeline::{MAX_POSITION, Playback, Timeline, UrlTime};
pub use unknown::UnknownFields;
pub use update::Update;
pub use url_hosts::UrlHosts;
