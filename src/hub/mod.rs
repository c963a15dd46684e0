//! The rooms that this node takes part in: replicas of them, and the sockets that sit in them.
//!
//! A command goes [`Hub::join`] or [`Hub::act`] -> [`crate::room::decide`] on the replica -> [`crate::backend::RoomStore::commit`]; the update
//! comes back through [`crate::backend::RoomEvents`] into the replica and out to the sockets ([`LocalRoom`]).

mod act;
mod enter;
mod error;
mod local;
mod nudge;
mod outbox;
mod probe;
mod refresh;
mod schedule;
mod seat;
mod signal;
mod state;
mod tend;
mod tick;
mod waiting;

pub use error::HubError;
pub use local::LocalRoom;
pub use outbox::{Batch, Outbox, Prompt};
pub use schedule::Schedule;
pub use seat::{Arrival, Membership, Missed};
pub use state::{Hub, Parts};
pub use waiting::Wait;
