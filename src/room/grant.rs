use std::str::FromStr;

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use super::{Json, Right, Rights};

/// What a member has been granted from outside of the room: by its token or, to guests, by the settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Encode, Decode)]
#[cbor(map)]
pub struct Grant {
    /// Whether a token says who the member is. Otherwise it is a guest, who claims it.
    #[n(0)]
    pub verified: bool,
    /// The role that the token gives. Without one the room decides, as it does where there are no tokens.
    #[n(1)]
    pub role: Option<GrantedRole>,
    /// What the member may do where its role may.
    #[n(2)]
    pub rights: Rights,
    /// Whether the name is the token's, so that the member cannot change it.
    #[n(3)]
    pub named: bool,
    /// JSON that the application wants members to see.
    #[n(4)]
    pub metadata: Option<Json>,
}

/// The role that a token gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[cbor(index_only)]
#[serde(rename_all = "kebab-case")]
pub enum GrantedRole {
    /// The host. While such a member is in the room, nobody else is elected.
    #[n(0)]
    Host,
    /// A co-host, who does not become host.
    #[n(1)]
    CoHost,
    /// A member, who becomes neither.
    #[n(2)]
    Member,
}

impl GrantedRole {
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

impl FromStr for GrantedRole {
    type Err = &'static str;
    fn from_str(name: &str) -> Result<Self, &'static str> {
        let found = Self::ALL.into_iter().find(|role| role.name() == name);
        found.ok_or("expected one of host, co-host and member")
    }
}

impl Grant {
    /// Whether it allows this.
    pub fn allows(&self, right: Right) -> bool {
        self.rights.has(right)
    }
}
