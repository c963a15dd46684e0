//! WebSockets: from the upgrade to the close. One task each reads frames, hands them to the hub in order, and writes what the
//! outbox holds.

mod admission;
mod answer;
mod budget;
mod features;
mod heartbeat;
mod pending;
mod registry;
mod session;
mod speaker;
mod upgrade;

pub use admission::Admission;
pub use registry::Registry;
pub use upgrade::{Door, DoorParts, upgrade};
