use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::{
    backend::BackendError,
    clock::Millis,
    id::RoomId,
    ledger::Entry,
    room::{Room, StreamPosition, Update},
};

/// A decision that is to be committed.
#[derive(Debug, Clone)]
pub struct Proposal {
    /// The changes.
    pub update: Arc<Update>,
    /// The room after the changes.
    pub after: Room,
    /// When the room is due next.
    pub due: Due,
    /// The entry for the ledger.
    pub entry: Option<Entry>,
}

/// How a commit changes the time at which a room is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// The time stays.
    Same,
    /// The room is no longer due.
    Never,
    At(Millis),
}

/// The outcome of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commit {
    /// The proposal was committed.
    Applied,
    /// Another node was first. The command must be decided again.
    Conflict,
}

/// The store of rooms. A node decides on its own replica of a room, and asks for the result to be [committed](RoomStore::commit) on the
/// version that it was decided on. Committed updates are delivered to every node that [subscribed](RoomStore::subscribe) to the room, in
/// the order of versions, through its [`RoomEvents`](super::RoomEvents). If an update was missed, the node is told that the room is
/// [stale](super::RoomEvents::stale).
///
/// Every implementation keeps this order: **all updates up to a version are delivered to a node before any call answers with that
/// version**, except for the update that the call itself commits, which may be delivered before or after the answer.
/// Every call has its own deadline, and never waits for members.
#[async_trait]
pub trait RoomStore: Send + Sync + 'static {
    /// Whether shared state can be reached, as far as is known without asking it.
    fn is_up(&self) -> bool;

    /// Waits until shared state can be reached, at most `within`, and returns whether it can.
    async fn until_up(&self, within: Duration) -> bool;

    /// Subscribes the node to every update of `room`, and returns the room as it is at that point; it may be vacant. A subscribed room is
    /// loaded again.
    async fn subscribe(&self, room: &RoomId) -> Result<Room, BackendError>;

    /// Unsubscribes the node from `room`.
    async fn unsubscribe(&self, room: &RoomId) -> Result<(), BackendError>;

    /// In one atomic step: compares the version with `update.base` (and the epoch, unless the room is being created), applies the changes,
    /// publishes them, and appends the entry to the ledger queue.
    async fn commit(&self, proposal: Proposal) -> Result<Commit, BackendError>;

    /// Restores a room that shared state has lost, wholly or its last changes, if it is still as it was `found`. Nodes that have the room
    /// are told that it is stale.
    async fn restore(&self, room: &Room, found: Option<StreamPosition>, due: Due) -> Result<Commit, BackendError>;

    /// Tells the nodes that have `room` that its record cannot be decoded.
    async fn alarm(&self, room: &RoomId) -> Result<(), BackendError>;

    /// Replaces a record that cannot be decoded. A conflict if it can be decoded after all.
    async fn repair(&self, room: &Room, due: Due) -> Result<Commit, BackendError>;

    /// The updates after version `after` of `epoch`, or `None` if some are no longer known.
    async fn history(&self, room: &RoomId, epoch: u64, after: u64) -> Result<Option<Vec<Arc<Update>>>, BackendError>;

    /// Whether the room exists.
    async fn exists(&self, room: &RoomId) -> Result<bool, BackendError>;

    /// Some of the rooms that have been due since before `at`: their node is gone.
    async fn overdue(&self, at: Millis) -> Result<Vec<RoomId>, BackendError>;

    /// Sets when a room is due next, without a change of the room.
    async fn set_due(&self, room: &RoomId, due: Option<Millis>) -> Result<(), BackendError>;

    /// Extends the expiry of the rooms that this node subscribed to, however quiet they are.
    async fn extend_rooms(&self) -> Result<(), BackendError>;
}
