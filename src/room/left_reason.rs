use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::id::UserId;

/// Why a member left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[cbor(flat)]
pub enum LeftReason {
    /// The member sent LEAVE.
    #[n(0)]
    Left,
    /// The socket was lost, and the member cannot resume.
    #[n(1)]
    Disconnected,
    /// The resume window has passed.
    #[n(2)]
    Expired,
    /// The member was kicked by an earlier release, which shuts its id out.
    #[n(3)]
    Kicked {
        /// The user who kicked it.
        #[n(0)]
        by: UserId,
        /// The reason.
        #[n(1)]
        note: Option<Box<str>>,
    },
    /// The member was kicked or banned.
    #[n(4)]
    Removed {
        /// The user who kicked it.
        #[n(0)]
        by: UserId,
        /// The reason.
        #[n(1)]
        note: Option<Box<str>>,
    },
}

impl LeftReason {
    /// Whether the member was thrown out.
    pub fn is_removal(&self) -> bool {
        matches!(self, Self::Kicked { .. } | Self::Removed { .. })
    }

    /// Its name in frames and in the ledger.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Disconnected => "disconnected",
            Self::Expired => "expired",
            Self::Kicked { .. } | Self::Removed { .. } => "kicked",
        }
    }
}
