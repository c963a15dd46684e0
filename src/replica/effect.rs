use std::sync::Arc;

use crate::{
    backend::{BackendError, Commit, Due, Inbox},
    clock::Millis,
    id::{ConnId, NodeId, RoomId, UserId},
    protocol::{Close, Frame, IceServer},
    room::{Policy, Refusal, Room, StreamPosition, Update},
};

/// What is the same in all rooms of a node, and the time.
#[derive(Clone, Copy)]
#[allow(missing_docs, reason = "each is its own name")]
pub struct Env<'a> {
    pub node: &'a NodeId,
    pub policy: &'a Policy,
    pub ping_interval: Millis,
    /// The ICE servers that a member is told of. Their credentials depend on the time.
    pub ice: &'a dyn Fn(&UserId) -> Vec<IceServer>,
    pub now: Millis,
}

impl std::fmt::Debug for Env<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Env").field("node", &self.node).field("now", &self.now).finish_non_exhaustive()
    }
}

/// What is done at once, while the room is locked, and has no answer. `H` is whatever the driver knows a connection by.
#[derive(Debug)]
#[allow(missing_docs, reason = "the fields say it")]
pub enum Effect<'a, H> {
    /// A frame goes to a connection, after all that was sent to it before.
    Send { to: &'a H, frame: &'a Frame, class: Class },
    /// A connection is closed, after what was sent to it before.
    Close { to: &'a H, why: Close },
    /// An update has entered the replica.
    Applied { update: &'a Update, from: Source },
    /// Updates were missed, or what was missed has been made good.
    Gap(Gap),
    /// A member has resumed.
    Resumed(Resumed),
    /// Signals for a member are gone; the member was told that it missed something.
    SignalsLost { room: &'a RoomId, user: &'a UserId, signals: u64, why: Loss },
    /// Another node changed the room first.
    Conflict,
    /// This node is at fault, and nobody else reports that.
    Fault(&'a BackendError),
    /// The seats of a dead node were given up.
    Reaped(u64),
    /// A room that nobody could read was put back.
    Repaired { room: &'a RoomId, version: u64 },
    /// That something was refused could not be written down for auditors.
    RefusalUnrecorded { room: &'a RoomId, failure: &'a Failure },
    /// Signals that a member has got could not be taken out of its inbox: it may get them again.
    InboxNotTaken(&'a BackendError),
}

/// What a frame is to its receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// It tells of a change of the room.
    Room,
    /// It is for this member alone.
    Direct,
}

/// Where an update came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// This node decided it.
    Own,
    /// Another node decided it.
    Remote,
    /// It was heard or found while the room was being loaded.
    Load,
}

/// What became of updates that a node missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gap {
    /// An update came that does not follow the one before it.
    Noticed,
    /// The missing updates were found, and members were told of them.
    Replayed,
    /// The missing updates are gone: members got a DISCONTINUITY and the whole room.
    Snapshot,
    /// Shared state had lost the room, and got it back from this node.
    Restored,
}

/// How a member got what it missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resumed {
    /// It was told each change.
    Replayed,
    /// It got a DISCONTINUITY and the whole room.
    Snapshot,
}

/// Where signals were lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// More were kept for the member than its outbox may hold.
    Outbox,
    /// More came while the member was told what it missed than may wait meanwhile.
    Replay,
}

/// What a turn asks shared state for. There is one request at a time in a room, and each has an [`Answer`].
#[derive(Debug)]
#[allow(missing_docs, reason = "the fields say it")]
pub enum Request {
    /// Subscribe to the room and read it: [`Answer::Loaded`].
    Load,
    /// Read the updates after a version: [`Answer::History`].
    History { epoch: u64, after: u64 },
    /// Commit a decision: [`Answer::Committed`].
    Commit(Box<Proposal>),
    /// Put a room back that shared state has lost, in whole or in part: [`Answer::Restored`].
    Restore { room: Box<Room>, found: Option<StreamPosition>, due: Due },
    /// Ask the other nodes to put back a room that cannot be read: [`Answer::Alarmed`].
    Alarm,
    /// Put a room in the place of one that cannot be read: [`Answer::Restored`].
    Repair { room: Box<Room>, due: Due },
    /// Look the room up in the ledger: [`Answer::Recalled`].
    Recall,
    /// Let so many milliseconds pass: [`Answer::Waited`].
    Wait(Millis),
    /// Read what a member missed: [`Answer::Missed`]. A patient one first waits for shared state to be reachable.
    Missed { user: UserId, from: StreamPosition, patient: bool },
    /// Take out of a member's inbox what it has got: [`Answer::Taken`].
    Take { user: UserId, inbox: Inbox },
    /// Unsubscribe from the room and forget it: [`Answer::Left`].
    Leave,
}

/// What came of a [`Request`].
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
    Taken(Result<(), BackendError>),
    Left,
}

/// The updates since a version, if all of them are still known.
pub type History = Option<Vec<Arc<Update>>>;

/// A decision that is to be committed.
#[derive(Debug)]
pub struct Proposal {
    /// What changes.
    pub update: Arc<Update>,
    /// The room after it.
    pub after: Room,
    /// When the room has something to do by itself.
    pub due: Due,
}

/// Why a turn did not do what it was for.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Failure {
    /// The rules say no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The seat is held by a socket that has to be asked first.
    #[error("somebody else is here under this userId")]
    SeatHeld {
        /// Where that socket is.
        node: NodeId,
        /// Which it is.
        conn: ConnId,
    },
    /// The room was let go of: whoever still wants it has to open it again.
    #[error("the room was let go of")]
    Retired,
    /// Shared state cannot be used.
    #[error(transparent)]
    Backend(#[from] BackendError),
}
