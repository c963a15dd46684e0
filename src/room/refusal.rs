use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use super::{MAX_POSITION, Room};
use crate::clock::Millis;

/// Why a room refuses a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, Serialize, Deserialize, Encode, Decode)]
#[cbor(flat)]
#[allow(missing_docs, reason = "each message says it")]
pub enum Refusal {
    #[error("not in this room")]
    #[n(0)]
    NotJoined,
    #[error("Invalid or missing PIN")]
    #[n(1)]
    InvalidPin,
    /// There were too many wrong PINs in this room; this one was not checked.
    #[error("Invalid or missing PIN")]
    #[n(2)]
    PinLocked {
        /// When to retry, in ms.
        #[n(0)]
        retry_after: Millis,
    },
    #[error("this is not the seat's token")]
    #[n(3)]
    Unauthorized,
    #[error("not allowed")]
    #[n(4)]
    Forbidden,
    #[error("the room is full")]
    #[n(5)]
    RoomFull,
    #[error("somebody else is here under this userId")]
    #[n(6)]
    IdentityInUse,
    /// It depends on whether the socket that has the seat still answers: see [`super::Asked`].
    #[error("somebody else is here under this userId")]
    #[n(7)]
    SeatHeld,
    #[error("the target is not in the room")]
    #[n(8)]
    NoSuchMember,
    #[error("URL_HOSTS does not allow this url")]
    #[n(9)]
    UrlNotAllowed,
    #[error("currentTime: is not between 0 and {MAX_POSITION}")]
    #[n(10)]
    TooFar,
    #[error("the room is locked")]
    #[n(11)]
    RoomLocked,
    #[error("banned from this room")]
    #[n(12)]
    Banned,
    #[error("the room has {} bans, which is the most: lift one first", Room::MAX_BANS)]
    #[n(13)]
    TooManyBans,
}
