use serde::{Deserialize, Serialize};

use super::{Digest, UnknownFields};
use crate::{
    clock::Millis,
    id::{ConnId, NodeId, UserId},
};

/// What a member may do beside watching. The host is not a role here: it is [`super::Room::host`], so that there is one at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Watches; controls only when guests may.
    Member,
    /// Controls, and may kick members.
    CoHost,
}

/// Whether a member has a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Presence {
    /// It has.
    Present,
    /// Its socket dropped at `since`; its seat is kept until `until`.
    Away {
        /// When the socket dropped.
        since: Millis,
        /// When it is taken for gone.
        until: Millis,
    },
}

/// Somebody in a room.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Member {
    pub user: UserId,
    /// What the others call it.
    pub username: Option<Box<str>>,
    /// What it may do.
    pub role: Role,
    /// The socket that speaks for it.
    pub conn: ConnId,
    /// The node that holds that socket.
    pub node: NodeId,
    /// The keyed hash of the address it came from.
    pub origin: Digest,
    /// The hash of the token that takes the seat again; none for clients that cannot resume.
    pub token: Option<Digest>,
    /// The one before that: good for one more RESUME, in case the answer to the last never arrived.
    pub token_before: Option<Digest>,
    /// The token that was given out when an earlier one was shown last. When that is shown once more, on another socket, nobody knows which of
    /// the two sockets the client has kept: the token of either is good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_beside: Option<Digest>,
    /// Whether it has a socket now.
    pub presence: Presence,
    /// Grows with every member of a room; of a pair the later one is the polite one.
    pub order: u64,
    /// Whether it reports positions, so that a ready gate may count on it.
    pub watching: bool,
    /// What a later release has added.
    #[serde(flatten)]
    pub unknown: UnknownFields,
}

impl Member {
    /// Whether it has a socket now.
    pub fn present(&self) -> bool {
        self.presence == Presence::Present
    }
}
