//! Shared state: where rooms are kept, and how nodes hear of changes and of each other.
//!
//! What it is made of stands in [`ports`]. [`Memory`] and [`RedisNode`] implement all of it; `tests/backend` holds the cases that every
//! implementation must pass.

mod error;
mod faults;
mod losses;
mod memory;
pub mod ports;
pub mod records;
mod redis;
mod retention;

pub use error::BackendError;
pub use faults::Faults;
pub use losses::Losses;
pub use memory::{Memory, MemoryConsumer, MemoryLedger, MemoryNode, MemoryQueue};
pub use ports::{
    Backend, Backlog, Cluster, Commit, Delivery, DeploymentError, Due, Inbox, LedgerFeed, LedgerQueue, Membership,
    Proposal, QueueLevel, QueueReading, QueuedEntry, Renewal, RoomEvents, RoomStore, ShortCodes, SignalBus, answered,
};
pub use redis::{Connector, ConnectorError, Layout, RedisNode, RedisParts, RedisQueue, Wire};
pub use retention::Retention;
