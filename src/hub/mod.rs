//! The rooms of this node, and the driver of their replicas.
//!
//! Rooms are decided in [`crate::replica`]. The hub drives it: a map of rooms (`hub.rs`), a fair turn and a lock in each (`room.rs`), the
//! requests of turns and the effects (`driver.rs`), a timer, and the outboxes of sockets. Calls go from a socket through [`Hub::join`] or
//! [`Hub::act`] to the replica; results of shared state come back as the next call, or through [`crate::backend::RoomEvents`].

mod act;
mod driver;
mod entrance;
mod error;
#[expect(clippy::module_inception, reason = "the noun of this module")]
mod hub;
mod invitations;
mod membership;
mod orphans;
mod outbox;
mod probe;
mod room;
mod schedule;
mod signal;
mod timer;
mod waiting;

pub use error::HubError;
pub use hub::{Hub, Parts};
pub use membership::{JoiningSocket, Membership};
pub use outbox::{Batch, Outbox, Prompt};
pub use room::LocalRoom;
pub use schedule::Schedule;
pub use waiting::Wait;
