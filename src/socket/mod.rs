//! WebSockets: from the upgrade to the close. One task each reads frames, hands them to the hub in order, and writes what the
//! outbox holds.

mod admission;
mod answer;
mod budget;
mod features;
mod handshake;
mod heartbeat;
mod pending;
mod registry;
mod session;
mod speaker;
mod upgrade;

pub use admission::Admission;
pub use handshake::{Handshake, Unfit, asks_for_socket};
pub use registry::Registry;
pub use upgrade::{Door, DoorParts, upgrade};
