//! The rooms that this node takes part in: the driver of their replicas.
//!
//! What a room does is decided in [`crate::replica`]. In here is what drives it: a map of rooms (`hub.rs`), a fair turn and a lock in each
//! (`room.rs`), what a turn asks shared state for and what a replica does at once (`driver.rs`), a timer, and the outboxes of sockets. Calls
//! go from a socket through [`Hub::join`] or [`Hub::act`] to the replica; what shared state says comes back as the next call, or through
//! [`crate::backend::RoomEvents`].

mod act;
mod driver;
mod error;
#[expect(clippy::module_inception, reason = "the noun of this module")]
mod hub;
mod membership;
mod orphans;
mod outbox;
mod probe;
mod room;
mod schedule;
mod signal;
mod timer;
mod waiting;

pub use crate::room::StreamPosition as Missed;
pub use error::HubError;
pub use hub::{Hub, Parts};
pub use membership::{Arrival, Membership};
pub use outbox::{Batch, Outbox, Prompt};
pub use room::LocalRoom;
pub use schedule::Schedule;
pub use waiting::Wait;
