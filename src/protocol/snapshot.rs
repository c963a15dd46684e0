use serde::Serialize;

use super::{IceServer, Line, MAX_MESSAGE_BYTES, Standing, number};
use crate::{
    clock::Millis,
    id::{ConnId, NodeId, RoomId, UserId},
    room::{Json, Room},
};

/// ROOM_STATE: everything that a new member needs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, clippy::struct_excessive_bools, reason = "docs/protocol.md has the table")]
pub struct RoomState<'a> {
    room_id: &'a RoomId,
    url: &'a str,
    #[serde(serialize_with = "number::serialize")]
    current_time: f64,
    is_playing: bool,
    host_user_id: Option<&'a UserId>,
    guest_control_enabled: bool,
    locked: bool,
    pin_required: bool,
    users: Vec<Seated<'a>>,
    node_id: &'a NodeId,
    epoch: u64,
    version: u64,
    server_time: Millis,
    timeline: Line,
    features: &'a [&'static str],
    session: ConnId,
    #[serde(skip_serializing_if = "Option::is_none")]
    resume_token: Option<&'a str>,
    ping_interval_ms: Millis,
    max_message_bytes: usize,
    ice_servers: &'a [IceServer],
    #[serde(skip_serializing_if = "Option::is_none")]
    gate: Option<OpenGate>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Seated<'a> {
    user_id: &'a UserId,
    username: Option<&'a str>,
    role: Standing,
    state: &'static str,
    order: u64,
    peer_id: ConnId,
    /// Whether a token says who it is.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    verified: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a Json>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct OpenGate {
    #[serde(serialize_with = "number::serialize")]
    target_time: f64,
    deadline: Millis,
}

/// The parts of a ROOM_STATE besides the room.
#[derive(Debug)]
#[allow(missing_docs, reason = "docs/protocol.md has the table")]
pub struct RoomStateParts<'a> {
    pub node: &'a NodeId,
    pub session: ConnId,
    pub features: &'a [&'static str],
    pub resume_token: Option<&'a str>,
    pub ping_interval: Millis,
    pub ice_servers: &'a [IceServer],
    pub now: Millis,
}

impl<'a> RoomState<'a> {
    /// The state of the room at `parts.now`.
    pub fn new(room: &'a Room, parts: &RoomStateParts<'a>) -> Self {
        // All fields, so that the compiler reports each new one.
        let Room {
            id,
            epoch,
            version,
            members,
            host: _,
            vacancy: _,
            guest_control,
            url,
            timeline,
            gate,
            born: _,
            pin,
            misses: _,
            attempts: _,
            lineage_hash: _,
            next_order: _,
            empty_until: _,
            kicked: _,
            pin_guard: _,
            locked,
            removed: _,
            bans: _,
            unknown: _,
        } = room;
        let users = members.values().map(|member| Seated {
            user_id: &member.user,
            username: member.username.as_deref(),
            role: Standing::new(member.role, room.is_host(&member.user)),
            state: if member.present() { "present" } else { "away" },
            order: member.order,
            peer_id: member.conn,
            verified: member.is_verified(),
            metadata: member.metadata(),
        });
        Self {
            room_id: id,
            url: url.as_deref().unwrap_or_default(),
            current_time: timeline.position_at(parts.now),
            is_playing: timeline.playing,
            host_user_id: room.shown_host(),
            guest_control_enabled: *guest_control,
            locked: *locked,
            pin_required: pin.is_some(),
            users: users.collect(),
            node_id: parts.node,
            epoch: *epoch,
            version: *version,
            server_time: parts.now,
            timeline: Line::from(timeline),
            features: parts.features,
            session: parts.session,
            resume_token: parts.resume_token,
            ping_interval_ms: parts.ping_interval,
            max_message_bytes: MAX_MESSAGE_BYTES,
            ice_servers: parts.ice_servers,
            gate: gate.as_ref().map(|gate| OpenGate { target_time: gate.target, deadline: gate.deadline }),
        }
    }
}
