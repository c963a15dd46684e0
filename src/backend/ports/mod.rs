//! The ports to shared state, one trait for each purpose.
//!
//! | Port | Purpose |
//! |---|---|
//! | [`RoomStore`] | rooms, their updates, and when each is due |
//! | [`SignalBus`] | frames for one member, on whichever node its socket is |
//! | [`ShortCodes`] | the rooms of short codes |
//! | [`TokenStore`] | revoked tokens, and how often invitations were used |
//! | [`Membership`] | live nodes, and the rooms of dead ones |
//! | [`LedgerFeed`] | the node's end of the ledger queue |
//! | [`LedgerQueue`] | the worker's end of the ledger queue |
//!
//! [`RoomEvents`] is the other direction: callbacks from shared state to a node.

mod codes;
mod events;
mod ledger;
mod membership;
mod signals;
mod store;
mod tokens;

pub use codes::ShortCodes;
pub use events::{RoomEvents, answered};
pub(super) use ledger::partition_of;
pub use ledger::{Backlog, LedgerFeed, LedgerQueue, QueueLevel, QueueReading, QueuedEntry};
pub use membership::{DeploymentError, Membership, Renewal};
pub use signals::{Delivery, SignalBus};
pub use store::{Commit, Due, Proposal, RoomStore};
pub use tokens::{Claim, InvitationUse, LogPosition, RevocationPage, TokenStore};

/// The ports that the hub and the HTTP interface of a node use.
pub trait Backend: RoomStore + SignalBus + ShortCodes + TokenStore {}

impl<T: RoomStore + SignalBus + ShortCodes + TokenStore + ?Sized> Backend for T {}

/// The ports that a node of a cluster uses.
pub trait Cluster: Backend + Membership + LedgerFeed {}

impl<T: Backend + Membership + LedgerFeed + ?Sized> Cluster for T {}
