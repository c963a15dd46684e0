//! Shared state: where rooms are stored, and how nodes learn of changes and of each other.
//!
//! Its parts are described in [`ports`]. [`Memory`] and [`RedisNode`] implement all of them; `tests/backend` is the conformance suite of
//! all implementations.

mod error;
mod faults;
mod inbox;
mod losses;
mod memory;
pub mod ports;
pub mod records;
mod redis;
mod retention;

pub use error::BackendError;
pub use faults::Faults;
pub use inbox::Inbox;
pub use losses::Losses;
pub use memory::{Memory, MemoryConsumer, MemoryLedger, MemoryNode, MemoryQueue};
pub use ports::{
    Backend, Backlog, Claim, Cluster, Commit, Delivery, DeploymentError, Due, InvitationUse, LedgerFeed, LedgerQueue,
    LogPosition, Membership, Proposal, QueueLevel, QueueReading, QueuedEntry, Renewal, RevocationPage, RoomEvents,
    RoomStore, ShortCodes, SignalBus, TokenStore, answered,
};
pub use redis::{
    Connector, ConnectorError, InspectError, Inspector, Layout, RedisConnection, RedisNode, RedisParts, RedisQueue,
    Remains, RevocationLog, RevokeError, Standing,
};
pub use retention::Retention;
