use serde::Serialize;

use super::{Code, IceServer, RoomFrame, RoomState, ServerFrameType, SignalFrame, number};
use crate::{
    clock::Millis,
    id::{ConnId, UserId},
    room::{Ban, Json, Playback, Role, Timeline},
};

/// The timeline, for clients that follow the clock of the room.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Line {
    /// The position at `at`, in seconds.
    #[serde(serialize_with = "number::serialize")]
    pub position: f64,
    /// Whether the film is playing.
    pub playing: bool,
    /// The playback rate.
    #[serde(serialize_with = "number::serialize")]
    pub rate: f64,
    /// The server's clock.
    pub at: Millis,
}

impl Line {
    pub(super) fn new(playback: &Playback, at: Millis) -> Self {
        Self { position: playback.position, playing: playback.playing, rate: playback.rate, at }
    }
}

impl From<&Timeline> for Line {
    fn from(timeline: &Timeline) -> Self {
        Self { position: timeline.position, playing: timeline.playing, rate: timeline.rate, at: timeline.at }
    }
}

/// The role of a member in frames, where the host is a role, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "each is its own name")]
pub enum Standing {
    Host,
    CoHost,
    Member,
}

impl Standing {
    pub(super) fn new(role: Role, host: bool) -> Self {
        match role {
            _ if host => Self::Host,
            Role::CoHost => Self::CoHost,
            Role::Member => Self::Member,
        }
    }
}

/// A ban, for those who may lift it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BannedUser<'a> {
    user_id: &'a UserId,
    username: Option<&'a str>,
    /// Whether the ban also holds for the address.
    by_address: bool,
    at: Millis,
}

impl<'a> From<&'a Ban> for BannedUser<'a> {
    fn from(Ban { user, username, origin, at }: &'a Ban) -> Self {
        Self { user_id: user, username: username.as_deref(), by_address: origin.is_some(), at: *at }
    }
}

/// All frames of the server.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE", rename_all_fields = "camelCase")]
#[allow(missing_docs, reason = "docs/protocol.md has the table")]
pub enum ServerFrame<'a> {
    RoomState(RoomState<'a>),
    Resumed {
        version: u64,
        epoch: u64,
        replayed: usize,
        resume_token: &'a str,
        session: ConnId,
        server_time: Millis,
        ice_servers: &'a [IceServer],
    },
    Discontinuity {
        reason: &'static str,
    },
    /// The second word for USER_LEFT: see [`super::Generation::also_told`].
    Leave {
        user_id: &'a UserId,
    },
    /// A BROADCAST for one member.
    #[serde(rename = "BROADCAST")]
    DirectMessage {
        user_id: &'a UserId,
        event: &'a str,
        data: Option<&'a Json>,
        to: &'a UserId,
        timestamp: Millis,
    },
    SyncResponse {
        from_user_id: &'static str,
        #[serde(serialize_with = "number::serialize")]
        current_time: f64,
        is_playing: bool,
        url: Option<&'a str>,
        respect_auto_play: bool,
        timeline: Line,
        timestamp: Millis,
    },
    PlaybackAck {
        to: &'a UserId,
        control: &'static str,
        user_id: &'static str,
    },
    Bans {
        bans: Vec<BannedUser<'a>>,
    },
    IceServers {
        ice_servers: &'a [IceServer],
    },
    TokenExpiring {
        expires_at: Millis,
    },
    Ack {
        id: &'a Json,
        version: u64,
    },
    Error {
        code: Code,
        message: &'a str,
        retryable: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<Millis>,
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a Json>,
    },
    Pong {
        timestamp: Millis,
        #[serde(serialize_with = "number::option::serialize", skip_serializing_if = "Option::is_none")]
        t0: Option<f64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        t1: Option<Millis>,
        #[serde(skip_serializing_if = "Option::is_none")]
        t2: Option<Millis>,
    },
    ServerDraining {
        retry_after_ms: Millis,
        resume: bool,
    },
    #[serde(untagged)]
    Room(RoomFrame<'a>),
    #[serde(untagged)]
    Signal(SignalFrame<'a>),
}

impl ServerFrame<'_> {
    /// The type of the frame, the same as in its text.
    pub fn kind(&self) -> ServerFrameType {
        match self {
            Self::RoomState(_) => ServerFrameType::RoomState,
            Self::Resumed { .. } => ServerFrameType::Resumed,
            Self::Discontinuity { .. } => ServerFrameType::Discontinuity,
            Self::Leave { .. } => ServerFrameType::Leave,
            Self::DirectMessage { .. } => ServerFrameType::Broadcast,
            Self::SyncResponse { .. } => ServerFrameType::SyncResponse,
            Self::PlaybackAck { .. } => ServerFrameType::PlaybackAck,
            Self::Bans { .. } => ServerFrameType::Bans,
            Self::IceServers { .. } => ServerFrameType::IceServers,
            Self::TokenExpiring { .. } => ServerFrameType::TokenExpiring,
            Self::Ack { .. } => ServerFrameType::Ack,
            Self::Error { .. } => ServerFrameType::Error,
            Self::Pong { .. } => ServerFrameType::Pong,
            Self::ServerDraining { .. } => ServerFrameType::ServerDraining,
            Self::Room(frame) => frame.what.kind(),
            Self::Signal(signal) => signal.kind.into(),
        }
    }
}
