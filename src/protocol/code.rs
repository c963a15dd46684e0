use serde::Serialize;

use crate::room::Refusal;

/// The error codes, a closed list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "docs/protocol.md has the table")]
pub enum Code {
    InvalidMessage,
    UnknownType,
    TooLarge,
    NotJoined,
    InvalidPin,
    InvalidInvitation,
    PinLocked,
    Unauthorized,
    Forbidden,
    RoomFull,
    IdentityInUse,
    RoomLocked,
    Banned,
    RateLimited,
    Unavailable,
    Internal,
}

impl Code {
    /// All codes, for metrics.
    pub const ALL: [Self; 16] = [
        Self::InvalidMessage,
        Self::UnknownType,
        Self::TooLarge,
        Self::NotJoined,
        Self::InvalidPin,
        Self::InvalidInvitation,
        Self::PinLocked,
        Self::Unauthorized,
        Self::Forbidden,
        Self::RoomFull,
        Self::IdentityInUse,
        Self::RoomLocked,
        Self::Banned,
        Self::RateLimited,
        Self::Unavailable,
        Self::Internal,
    ];

    /// The code in frames.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidMessage => "invalid_message",
            Self::UnknownType => "unknown_type",
            Self::TooLarge => "too_large",
            Self::NotJoined => "not_joined",
            Self::InvalidPin => "invalid_pin",
            Self::InvalidInvitation => "invalid_invitation",
            Self::PinLocked => "pin_locked",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::RoomFull => "room_full",
            Self::IdentityInUse => "identity_in_use",
            Self::RoomLocked => "room_locked",
            Self::Banned => "banned",
            Self::RateLimited => "rate_limited",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
        }
    }

    /// Whether a JOIN that was refused with this code may be granted later without being sent again, because the reason is temporary.
    pub fn passes(self) -> bool {
        matches!(
            self,
            Self::IdentityInUse
                | Self::RoomFull
                | Self::RoomLocked
                | Self::PinLocked
                | Self::RateLimited
                | Self::Internal
        )
    }

    /// Whether the same frame may succeed later.
    pub fn retryable(self) -> bool {
        matches!(
            self,
            Self::PinLocked
                | Self::RoomFull
                | Self::RoomLocked
                | Self::RateLimited
                | Self::Unavailable
                | Self::Internal
        )
    }
}

impl From<Refusal> for Code {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotJoined | Refusal::NoSuchMember => Self::NotJoined,
            Refusal::TooFar => Self::InvalidMessage,
            Refusal::InvalidPin => Self::InvalidPin,
            Refusal::PinLocked { .. } => Self::PinLocked,
            Refusal::Unauthorized => Self::Unauthorized,
            Refusal::Forbidden | Refusal::UrlNotAllowed | Refusal::TooManyBans => Self::Forbidden,
            Refusal::RoomLocked => Self::RoomLocked,
            Refusal::Banned => Self::Banned,
            Refusal::RoomFull => Self::RoomFull,
            Refusal::IdentityInUse | Refusal::SeatHeld => Self::IdentityInUse,
        }
    }
}
