use serde::{Deserialize, Serialize};

use super::MAX_POSITION;
use crate::clock::Millis;

/// Why a room refuses a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[allow(missing_docs, reason = "each message says it")]
pub enum Refusal {
    #[error("not in this room")]
    NotJoined,
    #[error("Invalid or missing PIN")]
    InvalidPin,
    /// There were too many wrong PINs in this room; this one was not checked.
    #[error("Invalid or missing PIN")]
    PinLocked {
        /// When to retry, in ms.
        retry_after: Millis,
    },
    #[error("this is not the seat's token")]
    Unauthorized,
    #[error("not allowed")]
    Forbidden,
    #[error("the room is full")]
    RoomFull,
    #[error("somebody else is here under this userId")]
    IdentityInUse,
    /// It depends on whether the socket that has the seat still answers: see [`super::Asked`].
    #[error("somebody else is here under this userId")]
    SeatHeld,
    #[error("the target is not in the room")]
    NoSuchMember,
    #[error("URL_HOSTS does not allow this url")]
    UrlNotAllowed,
    #[error("currentTime: is not between 0 and {MAX_POSITION}")]
    TooFar,
}
