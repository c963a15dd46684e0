use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::{Builder, Uuid};

use crate::{
    clock::Millis,
    id::{NodeId, RoomId, SERVER, UserId},
    room::{Change, LeftReason, Update},
};

/// The closed list of event types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[clap(rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs, reason = "each is its own name")]
pub enum EventType {
    RoomCreated,
    UserJoined,
    UserLeft,
    MemberAway,
    MemberBack,
    HostChanged,
    RoleChanged,
    GuestControl,
    UsernameUpdated,
    PlayPause,
    Seek,
    UrlChange,
    UserKicked,
    Broadcast,
    RoomClosed,
}

impl EventType {
    /// The word in the column `event_type`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RoomCreated => "ROOM_CREATED",
            Self::UserJoined => "USER_JOINED",
            Self::UserLeft => "USER_LEFT",
            Self::MemberAway => "MEMBER_AWAY",
            Self::MemberBack => "MEMBER_BACK",
            Self::HostChanged => "HOST_CHANGED",
            Self::RoleChanged => "ROLE_CHANGED",
            Self::GuestControl => "GUEST_CONTROL",
            Self::UsernameUpdated => "USERNAME_UPDATED",
            Self::PlayPause => "PLAY_PAUSE",
            Self::Seek => "SEEK",
            Self::UrlChange => "URL_CHANGE",
            Self::UserKicked => "USER_KICKED",
            Self::Broadcast => "BROADCAST",
            Self::RoomClosed => "ROOM_CLOSED",
        }
    }
}

/// A row of `room_events`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the columns of schema/")]
pub struct Event {
    /// A `UUIDv7`, made where the event was decided: writing it twice cannot double it.
    pub id: Uuid,
    pub room: RoomId,
    pub kind: EventType,
    pub user: Box<str>,
    pub data: Value,
    pub at: Millis,
    pub epoch: u64,
    pub version: u64,
    pub node: NodeId,
}

/// The audited ones among the changes of `update`. No PIN, token, SDP, ICE or application payload is in them.
pub fn events(update: &Update, node: &NodeId) -> Vec<Event> {
    let mut events = Vec::new();
    for (offset, change) in (1..).zip(&update.changes) {
        let Some((kind, user, data)) = describe(change) else { continue };
        events.push(Event {
            id: Builder::from_unix_timestamp_millis(update.at, &rand::random()).into_uuid(),
            room: update.room.clone(),
            kind,
            user: user.map_or(SERVER, UserId::as_str).into(),
            data,
            at: update.at,
            epoch: update.epoch,
            version: update.base + offset,
            node: node.clone(),
        });
    }
    events
}

fn describe(change: &Change) -> Option<(EventType, Option<&UserId>, Value)> {
    Some(match change {
        Change::Created { by, pin, .. } => (EventType::RoomCreated, Some(by), json!({ "hasPin": pin.is_some() })),
        Change::Joined { member, host } => (
            EventType::UserJoined,
            Some(&member.user),
            json!({ "username": member.username, "peerId": member.conn, "host": host }),
        ),
        Change::Rejoined { member, was_away, .. } => (
            EventType::UserJoined,
            Some(&member.user),
            json!({ "username": member.username, "peerId": member.conn, "again": true, "wasAway": was_away }),
        ),
        Change::Back { member, .. } => (EventType::MemberBack, Some(&member.user), json!({ "peerId": member.conn })),
        Change::Away { user, until, .. } => (EventType::MemberAway, Some(user), json!({ "until": until })),
        Change::Left { user, reason: LeftReason::Kicked { by, note }, conn, .. } => {
            (EventType::UserKicked, Some(user), json!({ "by": by, "reason": note, "peerId": conn }))
        }
        Change::Left { user, reason, conn, .. } => {
            (EventType::UserLeft, Some(user), json!({ "reason": reason.as_str(), "peerId": conn }))
        }
        Change::HostChanged { host } => (EventType::HostChanged, Some(host), json!({ "hostUserId": host })),
        Change::RoleChanged { user, role, by } => {
            (EventType::RoleChanged, Some(user), json!({ "role": role, "by": by }))
        }
        Change::GuestControl { enabled, by } => (EventType::GuestControl, Some(by), json!({ "enabled": enabled })),
        Change::Renamed { user, username } => (EventType::UsernameUpdated, Some(user), json!({ "username": username })),
        Change::PlayPause { by, timeline, event, rate, .. } => (
            EventType::PlayPause,
            Some(by),
            json!({ "control": control(timeline.playing), "currentTime": timeline.position, "eventTimestamp": event, "rate": rate }),
        ),
        Change::Sought { by, timeline, event, .. } => (
            EventType::Seek,
            Some(by),
            json!({ "currentTime": timeline.position, "isPlaying": timeline.playing, "eventTimestamp": event }),
        ),
        Change::Released { target, .. } => {
            (EventType::PlayPause, None, json!({ "control": control(true), "currentTime": target, "gate": true }))
        }
        Change::UrlChanged { by, url, time, .. } => {
            (EventType::UrlChange, Some(by), json!({ "url": url, "currentTime": time }))
        }
        Change::Broadcast { by, event, data } => (
            EventType::Broadcast,
            Some(by),
            json!({ "event": event, "bytes": data.as_ref().map_or(0, |data| data.0.get().len()) }),
        ),
        Change::Closed => (EventType::RoomClosed, None, json!({})),
        Change::Ready { .. }
        | Change::Heartbeat { .. }
        | Change::Corrected { .. }
        | Change::Watching { .. }
        | Change::PinMissed { .. } => return None,
    })
}

fn control(playing: bool) -> &'static str {
    if playing { "play" } else { "pause" }
}
