use std::{fmt, sync::Arc};

use super::{GrantedRole, Rights, Rooms};
use crate::{clock::Millis, id::UserId};

/// Who holds a token, and what they may do with it.
#[derive(Debug, Clone, PartialEq)]
pub struct Identity {
    /// The user: `sub`, or `sub#device` where the token has the claim `device`.
    pub user: UserId,
    /// The person: `sub`.
    pub subject: UserId,
    /// Where the token is valid.
    pub rooms: Rooms,
    /// The role that the application gives; `None` leaves it to the room.
    pub role: Option<GrantedRole>,
    /// What limits the role.
    pub rights: Rights,
    /// The displayed name, cleaned.
    pub name: Option<Box<str>>,
    /// JSON that the application wants members to see, at most [`Identity::MAX_METADATA_BYTES`].
    pub metadata: Option<Arc<str>>,
    /// When the token expires, without leeway.
    pub expires_at: Millis,
    /// When it was issued.
    pub issued_at: Option<Millis>,
    /// The id that the application gave it.
    pub jti: Option<Box<str>>,
    /// What this token and no other has: the same for each way in which its signature can be written.
    pub id: TokenId,
}

impl Identity {
    /// The maximum length of metadata.
    pub const MAX_METADATA_BYTES: usize = 1024;
    /// The maximum length of a name, in characters; what is longer is cut.
    pub const MAX_NAME_CHARS: usize = 64;
    /// The maximum length of the claim `jti`, in bytes.
    pub const MAX_JTI_BYTES: usize = 128;
}

/// A hash of what was signed.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenId(pub [u8; 16]);

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
