use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;
use serde_json::value::RawValue;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::{Code, IceServer, RoomState, number};
use crate::{
    clock::Millis,
    id::{ConnId, UserId},
    room::{Json, Role, Timeline},
};

/// An encoded frame. Cloning shares the bytes: a frame is written once, whoever gets it.
pub type Frame = Utf8Bytes;

/// Where the film is, for clients that keep the room's clock.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Line {
    /// Seconds at `at`.
    #[serde(serialize_with = "number::serialize")]
    pub position: f64,
    /// Whether it runs.
    pub playing: bool,
    /// Film seconds per second.
    #[serde(serialize_with = "number::serialize")]
    pub rate: f64,
    /// The server's clock.
    pub at: Millis,
}

impl From<&Timeline> for Line {
    fn from(timeline: &Timeline) -> Self {
        Self { position: timeline.position, playing: timeline.playing, rate: timeline.rate, at: timeline.at }
    }
}

/// The role of a member as others see it: being the host is one, too.
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

/// Everything the server can say.
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
    UserJoined {
        user_id: &'a UserId,
        peer_id: ConnId,
        username: Option<&'a str>,
        role: Standing,
        order: u64,
        epoch: u64,
        version: u64,
        timestamp: Millis,
    },
    UserLeft {
        user_id: &'a UserId,
        peer_id: ConnId,
        reason: &'static str,
        epoch: u64,
        version: u64,
        timestamp: Millis,
    },
    /// The second word for USER_LEFT: the only one that first-generation clients end a peer connection for.
    Leave {
        user_id: &'a UserId,
    },
    MemberAway {
        user_id: &'a UserId,
        until: Millis,
        epoch: u64,
        version: u64,
        timestamp: Millis,
    },
    MemberBack {
        user_id: &'a UserId,
        peer_id: ConnId,
        epoch: u64,
        version: u64,
        timestamp: Millis,
    },
    HostChanged {
        host_user_id: &'a UserId,
        epoch: u64,
        version: u64,
        timestamp: Millis,
    },
    RoleChanged {
        user_id: &'a UserId,
        role: Role,
        epoch: u64,
        version: u64,
        timestamp: Millis,
    },
    GuestControl {
        enabled: bool,
        user_id: &'a UserId,
        epoch: u64,
        version: u64,
        timestamp: Millis,
    },
    UsernameUpdated {
        user_id: &'a UserId,
        username: &'a str,
        epoch: u64,
        version: u64,
        timestamp: Millis,
    },
    PlayPause {
        user_id: &'a str,
        control: &'static str,
        #[serde(serialize_with = "number::option::serialize", skip_serializing_if = "Option::is_none")]
        current_time: Option<f64>,
        #[serde(serialize_with = "number::option::serialize", skip_serializing_if = "Option::is_none")]
        event_timestamp: Option<f64>,
        #[serde(serialize_with = "number::option::serialize", skip_serializing_if = "Option::is_none")]
        rate: Option<f64>,
        timeline: Line,
        epoch: u64,
        version: u64,
        timestamp: Millis,
    },
    SeekPause {
        user_id: &'a UserId,
        #[serde(serialize_with = "number::serialize")]
        current_time: f64,
        is_playing: bool,
        #[serde(serialize_with = "number::option::serialize")]
        event_timestamp: Option<f64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        deadline: Option<Millis>,
        timeline: Line,
        epoch: u64,
        version: u64,
        timestamp: Millis,
    },
    HostHeartbeat {
        user_id: &'a UserId,
        #[serde(serialize_with = "number::serialize")]
        current_time: f64,
        is_playing: bool,
        #[serde(serialize_with = "number::option::serialize")]
        event_timestamp: Option<f64>,
        timeline: Line,
        epoch: u64,
        version: u64,
        timestamp: Millis,
    },
    UrlChange {
        user_id: &'a UserId,
        url: &'a str,
        #[serde(serialize_with = "number::option::serialize", skip_serializing_if = "Option::is_none")]
        current_time: Option<f64>,
        timeline: Line,
        epoch: u64,
        version: u64,
        timestamp: Millis,
    },
    Broadcast {
        user_id: &'a UserId,
        event: &'a str,
        data: Option<&'a Json>,
        #[serde(skip_serializing_if = "Option::is_none")]
        to: Option<&'a UserId>,
        #[serde(skip_serializing_if = "Option::is_none")]
        epoch: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        version: Option<u64>,
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
    IceServers {
        ice_servers: &'a [IceServer],
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
    Signal(SignalFrame<'a>),
}

/// A directed frame: its type and the name of its payload come from the sender.
#[derive(Debug)]
#[allow(missing_docs, reason = "docs/protocol.md has the table")]
pub struct SignalFrame<'a> {
    pub kind: &'static str,
    pub from: &'a UserId,
    pub to: &'a UserId,
    pub payload: Option<(&'static str, &'a RawValue)>,
    pub negotiation_id: Option<&'a Json>,
    pub node_id: &'a str,
    pub signal_id: &'a str,
}

impl Serialize for SignalFrame<'_> {
    fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap as _;
        let mut map = out.serialize_map(None)?;
        map.serialize_entry("type", self.kind)?;
        map.serialize_entry("from", self.from)?;
        map.serialize_entry("userId", self.from)?;
        map.serialize_entry("to", self.to)?;
        if let Some((field, value)) = self.payload {
            map.serialize_entry(field, value)?;
        }
        if let Some(id) = self.negotiation_id {
            map.serialize_entry("negotiationId", id)?;
        }
        map.serialize_entry("nodeId", self.node_id)?;
        map.serialize_entry("signalId", self.signal_id)?;
        map.end()
    }
}

/// Frames that could not be written, since the process began.
static UNENCODABLE: AtomicU64 = AtomicU64::new(0);

/// How many frames could not be written, since the process began.
pub fn unencodable() -> u64 {
    UNENCODABLE.load(Ordering::Relaxed)
}

/// Writes a frame. Every value in a [`ServerFrame`] can be written; should one not be, its receivers are told `ERROR internal`.
pub fn encode(frame: &ServerFrame<'_>) -> Frame {
    write(frame)
}

fn write(frame: &(impl Serialize + std::fmt::Debug)) -> Frame {
    let mut bytes = Vec::with_capacity(512);
    let written = serde_json::to_writer(&mut bytes, frame).map_err(|error| error.to_string());
    let written = written.and_then(|()| String::from_utf8(bytes).map_err(|error| error.to_string()));
    written.map_or_else(|error| unwritten(frame, &error), Frame::from)
}

fn unwritten(frame: &dyn std::fmt::Debug, error: &str) -> Frame {
    // It is a bug, and one room may come upon it with every frame: the first are enough to find it.
    let before = UNENCODABLE.fetch_add(1, Ordering::Relaxed);
    if before < 10 || before.is_multiple_of(1_000) {
        // Its name alone: what members say is nobody else's.
        let name = format!("{frame:?}");
        let name = name.split([' ', '(', '{']).next().unwrap_or_default();
        tracing::error!(
            frame = name,
            error,
            times = before + 1,
            "a frame cannot be written, an ERROR goes out in its place"
        );
    }
    Frame::from_static(r#"{"type":"ERROR","code":"internal","message":"Processing error","retryable":true}"#)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Broken;

    impl Serialize for Broken {
        fn serialize<S: serde::Serializer>(&self, _out: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("it is broken"))
        }
    }

    #[test]
    fn a_frame_that_cannot_be_written_is_counted_and_its_receiver_is_told() {
        let before = unencodable();
        let told: serde_json::Value = serde_json::from_str(&write(&Broken)).unwrap();
        assert_eq!((told["type"].as_str(), told["code"].as_str()), (Some("ERROR"), Some("internal")));
        assert_eq!(unencodable(), before + 1);
    }
}
