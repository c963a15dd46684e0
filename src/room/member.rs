use std::num::NonZero;

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use super::{Digest, Grant, GrantedRole, Json, Right, UnknownFields};
use crate::{
    clock::Millis,
    id::{ConnId, NodeId, UserId},
};

/// The rights of a member. The host is not a role here but [`super::Room::host`], so that there is at most one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[cbor(index_only)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// A guest, who controls playback only with guest control.
    #[n(0)]
    Member,
    /// A co-host, who controls playback and may kick members.
    #[n(1)]
    CoHost,
}

/// Whether a member has a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[cbor(flat)]
pub enum Presence {
    /// The member has a socket.
    #[n(0)]
    Present,
    /// The socket was lost at `since`; the seat is kept until `until`.
    #[n(1)]
    Away {
        /// When the socket was lost. It is never 0, which makes this type a word shorter.
        #[n(0)]
        since: NonZero<Millis>,
        /// When the seat expires.
        #[n(1)]
        until: Millis,
    },
}

impl Presence {
    /// Without a socket since then.
    pub fn away(since: Millis, until: Millis) -> Self {
        Self::Away { since: NonZero::new(since).unwrap_or(NonZero::<Millis>::MIN), until }
    }
}

/// A member of a room.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Encode, Decode)]
#[cbor(map)]
pub struct Member {
    #[n(0)]
    pub user: UserId,
    /// The displayed name.
    #[n(1)]
    pub username: Option<Box<str>>,
    /// The role.
    #[n(2)]
    pub role: Role,
    /// The id of its socket.
    #[n(3)]
    pub conn: ConnId,
    /// The node of that socket.
    #[n(4)]
    pub node: NodeId,
    /// The keyed hash of the address it came from.
    #[n(5)]
    pub origin: Digest,
    /// The hash of the resume token; `None` for clients that cannot resume.
    #[n(6)]
    pub token: Option<Digest>,
    /// The hash of the token that was shown last, while it is valid for one more RESUME, in case the answer was lost.
    #[n(7)]
    pub token_before: Option<Digest>,
    /// The hash of the token that was issued when an earlier one was shown for the first time. Once that is shown again on another socket, it
    /// is unknown which socket the client has kept: either token is valid. On the heap, because it is rare.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[n(8)]
    pub token_beside: Option<Box<Digest>>,
    /// Whether it has a socket now.
    #[n(9)]
    pub presence: Presence,
    /// A number that grows with every member of a room; of two peers the one with the larger number is the polite one.
    #[n(10)]
    pub order: u64,
    /// Whether the member reports positions, so that a ready gate counts it.
    #[n(11)]
    pub watching: bool,
    /// When `token_before` was shown, in seconds: so it fits into a gap of this struct.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[n(12)]
    pub shown_at: Option<NonZero<u32>>,
    /// What it has been granted from outside; nothing where there are no tokens. On the heap, because it is rare.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[n(13)]
    pub grant: Option<Box<Grant>>,
    /// Fields of a later release.
    #[serde(skip)]
    #[cbor(skip)]
    pub unknown: UnknownFields,
}

impl Member {
    /// The number of its fields in records.
    pub const FIELDS: u64 = 14;

    /// Whether it has a socket now.
    pub fn present(&self) -> bool {
        self.presence == Presence::Present
    }

    /// Whether a token says who it is.
    pub fn is_verified(&self) -> bool {
        self.grant.as_ref().is_some_and(|grant| grant.verified)
    }

    /// What the application wants members to see of it.
    pub fn metadata(&self) -> Option<&Json> {
        self.grant.as_ref().and_then(|grant| grant.metadata.as_ref())
    }

    /// The role that its token gives.
    pub fn granted_role(&self) -> Option<GrantedRole> {
        self.grant.as_ref().and_then(|grant| grant.role)
    }

    /// Whether its token makes it the host.
    pub fn is_granted_host(&self) -> bool {
        self.granted_role() == Some(GrantedRole::Host)
    }

    /// Whether it has a right. Without a grant it has all of them, and its role alone decides.
    pub fn has(&self, right: Right) -> bool {
        self.grant.as_ref().is_none_or(|grant| grant.allows(right))
    }
}
