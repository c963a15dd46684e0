//! The one door to shared state: where rooms are kept, and how nodes hear of changes.
//!
//! A node decides on its own replica of a room and asks for the result to be [committed](Backend::commit) on the version it was
//! decided on. What was committed comes to every node that [subscribed](Backend::subscribe) to the room, in the order of
//! versions, through its [`Sink`]. Where that order has a hole the sink is told that the room is [stale](Sink::stale), never nothing.
//!
//! Every implementation keeps this order: **a sink has been handed all updates up to a version before any call answers with that
//! version**, but for the update that the call itself commits, which may come before or after its answer.
//!
//! `tests/backend` holds the cases that every implementation must pass.

mod error;
mod faults;
mod losses;
mod memory;
mod redis;
mod retention;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::{sync::oneshot, time::timeout};

pub use error::BackendError;
pub use faults::Faults;
pub use losses::Losses;
pub use memory::{Memory, MemoryNode};
pub use redis::{Backlog, RedisNode, RedisParts, Renewal, StartError};
pub use retention::Retention;

use crate::{
    clock::Millis,
    id::{ConnId, NodeId, RoomId, UserId},
    ledger::Entry,
    protocol::Frame,
    room::{Room, Update},
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

/// When a room has something to do by itself, beside what was known before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// As before.
    Same,
    /// No longer.
    Never,
    /// Then.
    At(Millis),
}

/// What became of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commit {
    /// It is in force.
    Applied,
    /// Somebody else was first. Decide again.
    Conflict,
}

/// A point in the life of a room: the epoch, and the version in it.
pub type Point = (u64, u64);

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

/// What was kept for a member while it was away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inbox {
    /// Oldest first.
    pub frames: Vec<Frame>,
    /// There were more than are kept, and the oldest are gone.
    pub lost: bool,
}

/// Shared state, as one node sees it. Every call has a deadline of its own and never waits for members.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// Where what concerns this node is handed over. Called once, before anything else.
    fn attach(&self, sink: Arc<dyn Sink>);

    /// Whether shared state can be reached, as far as is known without asking it.
    fn is_up(&self) -> bool;

    /// Waits until shared state can be reached, but not longer than `within`. Whether it can.
    async fn until_up(&self, within: Duration) -> bool;

    /// From now on the sink gets every update of `room`; returns the room as it is at that point, which may not exist. May be called
    /// again, to read the room anew.
    async fn subscribe(&self, room: &RoomId) -> Result<Room, BackendError>;

    /// No more updates of `room`.
    async fn unsubscribe(&self, room: &RoomId) -> Result<(), BackendError>;

    /// In one step: compare the version with `update.base` (and, unless the room is being made, the epoch), apply the changes, publish
    /// them, and append the entry to the ledger's queue.
    async fn commit(&self, proposal: Proposal) -> Result<Commit, BackendError>;

    /// Puts a room into shared state that has lost it, or the last of it, if it is still as it was `found`. Nodes that take part in the
    /// room are told that it is stale.
    async fn restore(&self, room: &Room, found: Option<Point>, due: Due) -> Result<Commit, BackendError>;

    /// Asks the nodes that have `room` to look at it: what shared state has of it cannot be read.
    async fn alarm(&self, _room: &RoomId) -> Result<(), BackendError> {
        Ok(())
    }

    /// Puts a room in the place of one that cannot be read. A conflict where it can be read after all.
    async fn repair(&self, _room: &Room, _due: Due) -> Result<Commit, BackendError> {
        Ok(Commit::Conflict)
    }

    /// The updates after version `after` of `epoch`, if they are all still known.
    async fn history(&self, room: &RoomId, epoch: u64, after: u64) -> Result<Option<Vec<Arc<Update>>>, BackendError>;

    /// Hands `frame` to `to`, which was last known to be at the node `at`, or away. In order for each pair of members, but for what
    /// chases a member that is just moving.
    async fn direct(
        &self,
        room: &RoomId,
        to: &UserId,
        at: Option<&NodeId>,
        frame: Frame,
    ) -> Result<Delivery, BackendError>;

    /// Whether that socket of a member at `node` still answers a ping: see [`answered`]. Nothing when the node does not say so; a dead one
    /// never does, and its lease tells.
    async fn answers(
        &self,
        node: &NodeId,
        room: &RoomId,
        user: &UserId,
        conn: ConnId,
    ) -> Result<Option<bool>, BackendError>;

    /// What was kept for a member while it was away. It is kept until it is [`taken`](Backend::taken).
    async fn inbox(&self, room: &RoomId, user: &UserId) -> Result<Inbox, BackendError>;

    /// That has reached the member. What has come since stays.
    async fn taken(&self, room: &RoomId, user: &UserId, inbox: &Inbox) -> Result<(), BackendError>;

    /// Whether there is such a room.
    async fn exists(&self, room: &RoomId) -> Result<bool, BackendError>;

    /// Gives `code` to `room` until `until`. False if another room has it.
    async fn claim_code(&self, code: &str, room: &RoomId, until: Millis, now: Millis) -> Result<bool, BackendError>;

    /// The room of a code.
    async fn resolve_code(&self, code: &str, now: Millis) -> Result<Option<RoomId>, BackendError>;
}

/// How long a socket has for a sign of life.
const PONG: Duration = Duration::from_secs(3);

/// Whether a socket that was [asked](Sink::ask) gave a sign of life in time. One that is not there gives none.
pub async fn answered(asked: Option<oneshot::Receiver<()>>) -> bool {
    match asked {
        Some(asked) => matches!(timeout(PONG, asked).await, Ok(Ok(()))),
        None => false,
    }
}

/// A node, as shared state sees it. All calls return at once.
pub trait Sink: Send + Sync {
    /// Whether this node has the room at that point already, so that the update that leads there need not be handed over.
    fn knows(&self, room: &RoomId, point: Point) -> bool;

    /// A room has changed.
    fn update(&self, update: &Arc<Update>);

    /// Updates of a room may have been missed: it has to be read anew.
    fn stale(&self, room: &RoomId);

    /// Pings a member's socket. What is returned resolves with its next sign of life; nothing if the socket is not here.
    fn ask(&self, room: &RoomId, user: &UserId, conn: ConnId) -> Option<oneshot::Receiver<()>>;

    /// A frame for a member whose socket this node was said to hold. False if it does not.
    fn signal(&self, room: &RoomId, to: &UserId, frame: &Frame) -> bool;
}
