//! What clients say, once it is understood.

use serde::Deserialize;

use super::{Signal, check};
use crate::{
    id::{RoomId, UserId},
    room::{Action, Json},
};

/// A frame of a client.
#[derive(Debug)]
pub enum ClientMessage {
    /// Asks for a seat in a room.
    Hello(Hello),
    /// Asks for a PONG.
    Ping {
        /// The client's clock.
        t0: Option<f64>,
    },
    /// Something that only a member may say.
    Member(MemberMessage),
}

/// A request for a seat.
#[derive(Debug)]
pub enum Hello {
    /// A seat in a room.
    Join(JoinFrame),
    /// The seat that the client has had before.
    Resume(ResumeFrame),
}

/// JOIN.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "docs/protocol.md has them")]
pub struct JoinFrame {
    pub room_id: RoomId,
    pub user_id: UserId,
    #[serde(default, deserialize_with = "check::username")]
    pub username: Option<Box<str>>,
    #[serde(default, deserialize_with = "check::pin")]
    pub pin: Option<Box<str>>,
    pub features: Option<Vec<Box<str>>>,
    pub resume_token: Option<Box<str>>,
}

/// RESUME.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "docs/protocol.md has them")]
pub struct ResumeFrame {
    pub room_id: RoomId,
    pub user_id: UserId,
    pub resume_token: Box<str>,
    pub epoch: u64,
    pub version: u64,
    pub features: Option<Vec<Box<str>>>,
}

/// What a member says.
#[derive(Debug)]
pub enum MemberMessage {
    /// Where is the film?
    RequestSync {
        /// Echoed in the answer.
        respect_auto_play: bool,
    },
    /// Where the player of the sender is.
    Position {
        /// Seconds.
        position: f64,
        /// Whether it runs.
        playing: bool,
    },
    /// A directed frame.
    Signal(Signal),
    /// A BROADCAST for one member.
    Whisper(Whisper),
    /// Something that the room decides.
    Act(Action),
    /// Nothing follows from it.
    Ignored,
}

/// BROADCAST with a `to`.
#[derive(Debug)]
#[allow(missing_docs, reason = "docs/protocol.md has them")]
pub struct Whisper {
    pub event: Box<str>,
    pub data: Option<Json>,
    pub to: UserId,
}
