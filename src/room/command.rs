use super::{Action, Attempt, Digest, Grant, Member, Shown};
use crate::id::{ConnId, NodeId, UserId};

/// A command to a room.
#[derive(Debug, Clone)]
pub enum Command {
    /// Join the room.
    Join(Join),
    /// Resume a seat whose socket was lost.
    Resume(Resume),
    /// A socket was lost.
    Disconnect {
        /// The member of the socket.
        user: UserId,
        /// The id of the socket; if the member has another one by now, nothing happens.
        conn: ConnId,
        /// Whether the seat is kept for the resume window.
        keep_seat: bool,
    },
    /// An action of a member.
    Act {
        /// The member.
        user: UserId,
        /// The socket of the member.
        conn: ConnId,
        action: Action,
    },
    /// Record a refusal: a wrong PIN is counted, and auditors see it.
    Refused(Attempt),
    /// A node is dead: its sockets are lost.
    Reap { node: NodeId },
    /// A member was evicted although its socket lives: it gets its seat again.
    Reattach(Box<Member>),
    /// Run the next timer that is due.
    Tick,
}

/// The user who joins, and its credentials.
#[derive(Debug, Clone)]
pub struct Join {
    pub user: UserId,
    /// The id of its socket.
    pub conn: ConnId,
    /// The node of that socket.
    pub node: NodeId,
    /// The origin of the client.
    pub origin: Shown,
    /// The requested name; `None` keeps the present one.
    pub username: Option<Box<str>>,
    /// The PIN that it shows or, for a new room, the PIN to set.
    pub pin: Option<Shown>,
    /// The resume token it shows.
    pub proof: Option<Shown>,
    /// The resume token it will have from now on.
    pub token: Option<Digest>,
    /// The result of a seat check, if there was one.
    pub asked: Option<Asked>,
    /// Whether this is a retry of a waiting JOIN.
    pub again: bool,
    /// What its token, or the settings for guests, grant it.
    pub grant: Option<Box<Grant>>,
    /// Whether it has an invitation into this room, which takes the place of the PIN.
    pub invited: bool,
    /// Whether seats are shared between origins. Not if this one is known to be of many clients.
    pub shares: bool,
}

impl Join {
    /// Whether a token says who joins.
    pub fn is_verified(&self) -> bool {
        self.grant.as_ref().is_some_and(|grant| grant.verified)
    }
}

/// The result of a seat check: a ping to the socket that holds the seat.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    pub conn: ConnId,
    /// Whether the socket answered in time.
    pub answers: bool,
}

/// The member that resumes its seat.
#[derive(Debug, Clone)]
pub struct Resume {
    pub user: UserId,
    /// The id of its new socket.
    pub conn: ConnId,
    /// The node of that socket.
    pub node: NodeId,
    /// The origin of the client.
    pub origin: Shown,
    /// The resume token it shows.
    pub proof: Shown,
    /// The resume token it will have from now on.
    pub token: Digest,
    /// What its token, or the settings for guests, grant it.
    pub grant: Option<Box<Grant>>,
}
