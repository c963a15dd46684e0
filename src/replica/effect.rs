use std::sync::Arc;

use crate::{
    backend::{BackendError, Commit, Due, Inbox},
    clock::Millis,
    id::{ConnId, NodeId, RoomId, UserId},
    protocol::{Close, Frame, IceServer},
    room::{Policy, Refusal, Room, StreamPosition, Update},
};

/// The environment of all rooms of a node, with the time.
#[derive(Clone, Copy)]
#[allow(missing_docs, reason = "each is its own name")]
pub struct Env<'a> {
    pub node: &'a NodeId,
    pub policy: &'a Policy,
    pub ping_interval: Millis,
    /// The ICE servers for a member. Their credentials depend on the time.
    pub ice: &'a dyn Fn(&UserId) -> Vec<IceServer>,
    /// Whether the seats that an earlier process of this node has left are still kept, for the clients that come back.
    pub returning: bool,
    pub now: Millis,
}

impl std::fmt::Debug for Env<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Env").field("node", &self.node).field("now", &self.now).finish_non_exhaustive()
    }
}

/// An action that the driver carries out at once, while the room is locked. It has no answer. `H` is the driver's handle of a connection.
#[derive(Debug)]
#[allow(missing_docs, reason = "the fields say it")]
pub enum Effect<'a, H> {
    /// Send a frame to a connection, after earlier ones.
    Send { to: &'a H, frame: &'a Frame, class: Class },
    /// Close a connection, after the frames that were sent to it.
    Close { to: &'a H, why: Close },
    /// An update was applied to the replica.
    Applied { update: &'a Update, from: Source },
    /// Updates were missed, or a gap was repaired.
    Gap(Gap),
    /// A member has resumed.
    Resumed(Resumed),
    /// Signals for a member were lost; the member got a DISCONTINUITY.
    SignalsLost { room: &'a RoomId, user: &'a UserId, signals: u64, why: Loss },
    /// Another node changed the room first.
    Conflict,
    /// This node failed, and no other part reports it.
    Fault(&'a BackendError),
    /// Seats of a dead node were released.
    Reaped(u64),
    /// A room whose record could not be decoded was restored.
    Repaired { room: &'a RoomId, version: u64 },
    /// A refusal could not be recorded for auditors.
    RefusalUnrecorded { room: &'a RoomId, failure: &'a Failure },
    /// The seat that this connection had before is free again. If it shows that it lives, it gets the seat: [`super::Replica::reclaim`].
    SeatFree { to: &'a H, user: &'a UserId, conn: ConnId },
    /// The signals of an inbox were sent. They are removed from it when the connection shows that it lives: otherwise they are sent again
    /// with the next RESUME.
    InboxSent { to: &'a H, user: &'a UserId, inbox: Inbox },
}

/// The kind of a frame for its receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The frame announces a change of the room.
    Room,
    /// The frame is for this member alone.
    Direct,
}

/// The origin of an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// This node decided it.
    Own,
    /// Another node decided it.
    Remote,
    /// The update arrived, or was read, while the room was being loaded.
    Load,
}

/// The stages and outcomes of a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gap {
    /// An update arrived that does not follow the one before it.
    Noticed,
    /// The missing updates were read and announced.
    Replayed,
    /// The missing updates are lost; members got DISCONTINUITY and ROOM_STATE.
    Snapshot,
    /// Shared state had lost the room, and this node restored it.
    Restored,
}

/// The outcome of a resume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resumed {
    /// The member got all missed changes.
    Replayed,
    /// The member got DISCONTINUITY and ROOM_STATE.
    Snapshot,
}

/// Why signals were lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// The inbox was larger than the outbox can hold.
    Outbox,
    /// Too many arrived while missed updates were replayed.
    Replay,
}

/// A request of a turn to shared state. There is one at a time in a room, and each has an [`Answer`].
#[derive(Debug)]
#[allow(missing_docs, reason = "the fields say it")]
pub enum Request {
    /// Subscribe to the room and read it: [`Answer::Loaded`].
    Load,
    /// Read the updates after a version: [`Answer::History`].
    History { epoch: u64, after: u64 },
    /// Commit a decision: [`Answer::Committed`].
    Commit(Box<Proposal>),
    /// Restore a room that shared state has lost, wholly or in part: [`Answer::Restored`].
    Restore { room: Box<Room>, found: Option<StreamPosition>, due: Due },
    /// Ask the other nodes to restore a room whose record cannot be decoded: [`Answer::Alarmed`].
    Alarm,
    /// Replace a record that cannot be decoded: [`Answer::Restored`].
    Repair { room: Box<Room>, due: Due },
    /// Look the room up in the ledger: [`Answer::Recalled`].
    Recall,
    /// Wait for this number of milliseconds: [`Answer::Waited`].
    Wait(Millis),
    /// Read what a member missed: [`Answer::Missed`]. A patient one first waits for shared state to be reachable.
    Missed { user: UserId, from: StreamPosition, patient: bool },
    /// Unsubscribe from the room and forget it: [`Answer::Left`].
    Leave,
}

/// The answer to a [`Request`].
#[derive(Debug)]
#[allow(missing_docs, reason = "see the request")]
pub enum Answer {
    Loaded(Result<Box<Room>, BackendError>),
    History(Result<History, BackendError>),
    Committed(Result<Commit, BackendError>),
    Restored(Result<Commit, BackendError>),
    Alarmed(Result<(), BackendError>),
    Recalled(Option<Box<Room>>),
    Waited,
    Missed { history: Result<History, BackendError>, inbox: Result<Inbox, BackendError> },
    Left,
}

/// The updates after a version, if all of them are known.
pub type History = Option<Vec<Arc<Update>>>;

/// A decision that is to be committed.
#[derive(Debug)]
pub struct Proposal {
    /// The changes.
    pub update: Arc<Update>,
    /// The room after the changes.
    pub after: Room,
    /// When the room is due next.
    pub due: Due,
}

/// Why the job of a turn failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Failure {
    /// The rules do not allow it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The seat is held by a socket that must be checked first.
    #[error("somebody else is here under this userId")]
    SeatHeld {
        /// The node of that socket.
        node: NodeId,
        /// The id of that socket.
        conn: ConnId,
    },
    /// The room was retired, and has to be opened again.
    #[error("the room was let go of")]
    Retired,
    /// Shared state cannot be used.
    #[error(transparent)]
    Backend(#[from] BackendError),
}
