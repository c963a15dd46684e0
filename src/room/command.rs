use super::{Action, Attempt, Digest, Member, Shown};
use crate::id::{ConnId, NodeId, UserId};

/// A wish that a room is asked to grant.
#[derive(Debug, Clone)]
pub enum Command {
    /// Come in.
    Join(Join),
    /// Take a seat again that was left by a dropped socket.
    Resume(Resume),
    /// A socket is gone without a word.
    Disconnect {
        /// Whose it was.
        user: UserId,
        /// Which; if the member has another by now, nothing happens.
        conn: ConnId,
        /// Whether the seat is kept for the resume window.
        keep_seat: bool,
    },
    /// Something that only a member may ask for.
    Act {
        /// Who asks.
        user: UserId,
        /// On which socket.
        conn: ConnId,
        action: Action,
    },
    /// Something was refused: a wrong PIN counts, and auditors are told.
    Refused(Attempt),
    /// A node is dead: the sockets that it held are gone.
    Reap { node: NodeId },
    /// A member whose socket lives was taken for gone: it takes its seat again.
    Reseat(Box<Member>),
    /// Time has passed: do the next thing that is due.
    Tick,
}

/// Who comes in, and what it shows at the door.
#[derive(Debug, Clone)]
pub struct Join {
    pub user: UserId,
    /// Its socket.
    pub conn: ConnId,
    /// The node of that socket.
    pub node: NodeId,
    /// Where it comes from.
    pub origin: Shown,
    /// What it wants to be called; none keeps the name it has.
    pub username: Option<Box<str>>,
    /// The PIN it shows, or for a new room the PIN to set.
    pub pin: Option<Shown>,
    /// The resume token it shows.
    pub proof: Option<Shown>,
    /// The resume token it will have from now on.
    pub token: Option<Digest>,
    /// What is known of the socket that has its seat, if that was asked.
    pub asked: Option<Asked>,
    /// Whether its node asks again for somebody who was refused before.
    pub again: bool,
}

/// A socket was pinged, to see whether its seat is still somebody's.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    pub conn: ConnId,
    /// Whether anything came of it in time.
    pub answers: bool,
}

/// Who takes its seat again.
#[derive(Debug, Clone)]
pub struct Resume {
    pub user: UserId,
    /// Its new socket.
    pub conn: ConnId,
    /// The node of that socket.
    pub node: NodeId,
    /// Where it comes from.
    pub origin: Shown,
    /// The resume token it shows.
    pub proof: Shown,
    /// The resume token it will have from now on.
    pub token: Digest,
}
