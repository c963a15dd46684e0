//! The decoded frames of clients.

use serde::Deserialize;

use super::{Confidential, Signal, check};
use crate::{
    id::{RoomId, UserId},
    room::{Action, Json},
};

/// The message of a client.
#[derive(Debug)]
pub enum ClientMessage {
    /// Asks for a seat in a room.
    Hello(Hello),
    /// Asks for a PONG.
    Ping {
        /// The client's clock.
        t0: Option<f64>,
    },
    /// A message that only members may send.
    Member(MemberMessage),
}

/// A JOIN or RESUME.
#[derive(Debug)]
pub enum Hello {
    /// A JOIN.
    Join(JoinFrame),
    /// A RESUME.
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
    pub pin: Option<Confidential>,
    pub features: Option<Vec<Box<str>>>,
    pub resume_token: Option<Confidential>,
    pub token: Option<Confidential>,
    pub invite: Option<Confidential>,
}

/// RESUME.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "docs/protocol.md has them")]
pub struct ResumeFrame {
    pub room_id: RoomId,
    pub user_id: UserId,
    pub resume_token: Confidential,
    pub token: Option<Confidential>,
    pub epoch: u64,
    pub version: u64,
    pub features: Option<Vec<Box<str>>>,
}

/// The message of a member.
#[derive(Debug)]
pub enum MemberMessage {
    /// A request for the timeline.
    RequestSync {
        /// Echoed in the answer.
        respect_auto_play: bool,
    },
    /// The position of the sender's player.
    Position {
        /// Seconds.
        position: f64,
        /// Whether the player is playing.
        playing: bool,
    },
    /// Another PIN, or none.
    SetPin {
        /// The PIN as it was sent.
        pin: Option<Confidential>,
    },
    /// A new token, before the present one expires.
    RefreshToken {
        /// The token as it was sent.
        token: Confidential,
    },
    /// A request for the list of bans.
    ListBans,
    /// A signal.
    Signal(Signal),
    /// A BROADCAST for one member.
    DirectMessage(DirectMessage),
    /// An action that the room decides.
    Act(Action),
    /// A frame without effect.
    Ignored,
}

/// BROADCAST with a `to`.
#[derive(Debug)]
#[allow(missing_docs, reason = "docs/protocol.md has them")]
pub struct DirectMessage {
    pub event: Box<str>,
    pub data: Option<Json>,
    pub to: UserId,
}
