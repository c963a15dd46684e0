use serde::{Deserialize, Serialize};

use super::{Digest, UnknownFields};
use crate::{
    clock::Millis,
    id::{ConnId, NodeId, UserId},
};

/// The rights of a member. The host is not a role here but [`super::Room::host`], so that there is at most one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// A guest, who controls playback only with guest control.
    Member,
    /// A co-host, who controls playback and may kick members.
    CoHost,
}

/// Whether a member has a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Presence {
    /// The member has a socket.
    Present,
    /// The socket was lost at `since`; the seat is kept until `until`.
    Away {
        /// When the socket was lost.
        since: Millis,
        /// When the seat expires.
        until: Millis,
    },
}

/// A member of a room.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Member {
    pub user: UserId,
    /// The displayed name.
    pub username: Option<Box<str>>,
    /// The role.
    pub role: Role,
    /// The id of its socket.
    pub conn: ConnId,
    /// The node of that socket.
    pub node: NodeId,
    /// The keyed hash of the address it came from.
    pub origin: Digest,
    /// The hash of the resume token; `None` for clients that cannot resume.
    pub token: Option<Digest>,
    /// The hash of the previous token, valid for one more RESUME, in case the answer to the last one was lost.
    pub token_before: Option<Digest>,
    /// The hash of the token that was issued when an earlier one was used last. If that is used again on another socket, it is unknown
    /// which socket the client has kept: either token is valid. On the heap, because it is rare.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_beside: Option<Box<Digest>>,
    /// Whether it has a socket now.
    pub presence: Presence,
    /// A number that grows with every member of a room; of two peers the one with the larger number is the polite one.
    pub order: u64,
    /// Whether the member reports positions, so that a ready gate counts it.
    pub watching: bool,
    /// Fields of a later release.
    #[serde(flatten)]
    pub unknown: UnknownFields,
}

impl Member {
    /// Whether it has a socket now.
    pub fn present(&self) -> bool {
        self.presence == Presence::Present
    }
}
