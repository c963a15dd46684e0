//! What a node and a worker need of the state that nodes share, as traits: one for each thing that it is.
//!
//! | Port | What it is |
//! |---|---|
//! | [`RoomStore`] | rooms, their updates, and when each has something to do |
//! | [`SignalBus`] | frames for one member, wherever its socket is |
//! | [`ShortCodes`] | which room a short code leads to |
//! | [`Membership`] | which nodes live, and what the dead ones held |
//! | [`LedgerFeed`] | the node's end of the queue to the ledger |
//! | [`LedgerQueue`] | the worker's end of that queue |
//!
//! [`RoomEvents`] is the way back: what shared state tells a node unasked.

mod codes;
mod events;
mod ledger;
mod membership;
mod signals;
mod store;

pub use codes::ShortCodes;
pub use events::{RoomEvents, answered};
pub(super) use ledger::partition_of;
pub use ledger::{Backlog, LedgerFeed, LedgerQueue, QueueLevel, QueueReading, QueuedEntry};
pub use membership::{DeploymentError, Membership, Renewal};
pub use signals::{Delivery, Inbox, SignalBus};
pub use store::{Commit, Due, Proposal, RoomStore};

/// What the hub and the HTTP interface of a node use.
pub trait Backend: RoomStore + SignalBus + ShortCodes {}

impl<T: RoomStore + SignalBus + ShortCodes + ?Sized> Backend for T {}

/// What a node of a cluster uses.
pub trait Cluster: Backend + Membership + LedgerFeed {}

impl<T: Backend + Membership + LedgerFeed + ?Sized> Cluster for T {}
