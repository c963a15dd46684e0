//! The rooms that this node takes part in: replicas of them, and the sockets that sit in them.
//!
//! A command goes [`Hub::join`] or [`Hub::act`] -> [`crate::room::decide`] on the replica -> [`crate::backend::Backend::commit`]; the update
//! comes back through [`crate::backend::Sink`] into the replica and out to the sockets ([`LocalRoom`]).

mod error;
mod hub;
mod local;
mod nudge;
mod outbox;
mod schedule;
mod seat;
mod signal;

pub use error::HubError;
pub use hub::{Hub, Parts};
pub use local::LocalRoom;
pub use outbox::{Batch, Outbox};
pub use schedule::Schedule;
pub use seat::{Arrival, Membership, Missed};
