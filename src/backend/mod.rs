//! The one door to shared state: where rooms are kept, and how nodes hear of changes.
//!
//! A node decides on its own replica of a room and asks for the result to be [committed](Backend::commit) on the version it was
//! decided on. What was committed comes back to every node that [subscribed](Backend::subscribe) to the room, in the order of
//! versions, through its [`Sink`]: on the node that committed it, too. So there is one path to the members, and one order.
//!
//! `tests/backend` holds the cases that every implementation must pass.

mod memory;

use std::sync::Arc;

use async_trait::async_trait;

pub use memory::{Memory, MemoryNode};

use crate::{
    clock::Millis,
    id::{RoomId, UserId},
    ledger::Entry,
    protocol::Frame,
    room::{Room, Update},
};

/// What became of a commit.
#[derive(Debug, Clone)]
pub enum Commit {
    /// It is in force.
    Applied,
    /// Somebody else was first: this is the room now. Decide again.
    Conflict(Box<Room>),
}

/// What became of a directed frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// Handed to the node of the target.
    Sent,
    /// Kept for a member that is away.
    Kept,
    /// There is no such member.
    Nobody,
}

/// Why shared state could not be used.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BackendError {
    /// There is no place for another room.
    #[error("this deployment holds as many rooms as it may")]
    Full,
    /// It cannot be reached, or did not answer in time.
    #[error("shared state is unavailable: {0}")]
    Unavailable(String),
}

/// Shared state, as one node sees it. Every call has a deadline of its own and never waits for members.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// Where what concerns this node is handed over. Called once, before anything else.
    fn attach(&self, sink: Arc<dyn Sink>);

    /// From now on the sink gets every update of `room`; returns the room as it is at that point, which may not exist.
    async fn subscribe(&self, room: &RoomId) -> Result<Room, BackendError>;

    /// No more updates of `room`.
    async fn unsubscribe(&self, room: &RoomId) -> Result<(), BackendError>;

    /// In one step: compare the version with `update.base` (and, unless the room is being made, the epoch), apply the changes, publish
    /// them, and append `entry` to the ledger's queue.
    async fn commit(&self, update: Update, entry: Option<Entry>) -> Result<Commit, BackendError>;

    /// The updates after version `after` of `epoch`, if they are all still known.
    async fn history(&self, room: &RoomId, epoch: u64, after: u64) -> Result<Option<Vec<Arc<Update>>>, BackendError>;

    /// Hands `frame` to `to`, wherever it is. In order for each pair of members.
    async fn direct(&self, room: &RoomId, to: &UserId, frame: Frame) -> Result<Delivery, BackendError>;

    /// What was kept for a member while it was away, oldest first; forgets it.
    async fn inbox(&self, room: &RoomId, user: &UserId) -> Result<Vec<Frame>, BackendError>;

    /// Gives `code` to `room` until `until`. False if another room has it.
    async fn claim_code(&self, code: &str, room: &RoomId, until: Millis, now: Millis) -> Result<bool, BackendError>;

    /// The room of a code.
    async fn resolve_code(&self, code: &str, now: Millis) -> Result<Option<RoomId>, BackendError>;
}

/// A node, as shared state sees it. Both calls return at once.
pub trait Sink: Send + Sync {
    /// A room has changed.
    fn update(&self, update: &Arc<Update>);

    /// A frame for a member whose socket this node holds.
    fn signal(&self, room: &RoomId, to: &UserId, frame: Frame);
}
