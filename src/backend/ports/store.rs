use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::{
    backend::BackendError,
    clock::Millis,
    id::RoomId,
    ledger::Entry,
    room::{Room, StreamPosition, Update},
};

/// A decision on its way into shared state.
#[derive(Debug, Clone)]
pub struct Proposal {
    /// What changes.
    pub update: Arc<Update>,
    /// The room once that is in force.
    pub after: Room,
    /// When the room has something to do by itself.
    pub due: Due,
    /// What the ledger is to know.
    pub entry: Option<Entry>,
}

/// When a room has something to do by itself, compared with what was known before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// As before.
    Same,
    /// No longer.
    Never,
    At(Millis),
}

/// What became of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commit {
    /// It is in force.
    Applied,
    /// Another node was first. Decide again.
    Conflict,
}

/// Where rooms are kept. A node decides on its own replica of a room and asks for the result to be [committed](RoomStore::commit) on the
/// version that it was decided on. What was committed comes to every node that [subscribed](RoomStore::subscribe) to the room, in the
/// order of versions, through its [`RoomEvents`](super::RoomEvents). Where that order has a hole the node is told that the room is
/// [stale](super::RoomEvents::stale).
///
/// Every implementation keeps this order: **a node has been handed all updates up to a version before any call answers with that
/// version**, except the update that the call itself commits, which may come before or after its answer.
///
/// Every call has a deadline of its own and never waits for members.
#[async_trait]
pub trait RoomStore: Send + Sync + 'static {
    /// Whether shared state can be reached, as far as is known without asking it.
    fn is_up(&self) -> bool;

    /// Waits until shared state can be reached, but not longer than `within`. Whether it can be reached.
    async fn until_up(&self, within: Duration) -> bool;

    /// From now on the node gets every update of `room`; returns the room as it is at that point, which may not exist. May be called
    /// again, to read the room again.
    async fn subscribe(&self, room: &RoomId) -> Result<Room, BackendError>;

    /// No more updates of `room`.
    async fn unsubscribe(&self, room: &RoomId) -> Result<(), BackendError>;

    /// In one step: compare the version with `update.base` (and, unless the room is being made, the epoch), apply the changes, publish
    /// them, and append the entry to the ledger's queue.
    async fn commit(&self, proposal: Proposal) -> Result<Commit, BackendError>;

    /// Puts a room into shared state that has lost it, or the last of it, if it is still as it was `found`. Nodes that take part in the
    /// room are told that it is stale.
    async fn restore(&self, room: &Room, found: Option<StreamPosition>, due: Due) -> Result<Commit, BackendError>;

    /// Asks the nodes that have `room` to look at it: what shared state has of it cannot be read.
    async fn alarm(&self, room: &RoomId) -> Result<(), BackendError>;

    /// Puts a room in the place of one that cannot be read. A conflict where it can be read after all.
    async fn repair(&self, room: &Room, due: Due) -> Result<Commit, BackendError>;

    /// The updates after version `after` of `epoch`, if they are all still known.
    async fn history(&self, room: &RoomId, epoch: u64, after: u64) -> Result<Option<Vec<Arc<Update>>>, BackendError>;

    /// Whether there is such a room.
    async fn exists(&self, room: &RoomId) -> Result<bool, BackendError>;

    /// Some of the rooms that have had something to do since before `at` and have not done it: their node is gone.
    async fn overdue(&self, at: Millis) -> Result<Vec<RoomId>, BackendError>;

    /// Sets when a room has something to do next, without a change of the room.
    async fn set_due(&self, room: &RoomId, due: Option<Millis>) -> Result<(), BackendError>;

    /// Keeps the rooms that this node subscribed to from expiring, however quiet they are.
    async fn extend_rooms(&self) -> Result<(), BackendError>;
}
