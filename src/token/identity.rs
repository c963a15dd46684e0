use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, de::Error as _};

use super::{Rights, Rooms};
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
    pub role: Option<Role>,
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

/// The role that a token gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The host of the room.
    Host,
    /// A co-host.
    CoHost,
    /// A member, who does not become host.
    Member,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Host, Self::CoHost, Self::Member];

    /// Its name in the claim `role`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::CoHost => "co-host",
            Self::Member => "member",
        }
    }
}

impl FromStr for Role {
    type Err = &'static str;
    fn from_str(name: &str) -> Result<Self, &'static str> {
        let found = Self::ALL.into_iter().find(|role| role.name() == name);
        found.ok_or("expected one of host, co-host and member")
    }
}

impl<'de> Deserialize<'de> for Role {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
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
