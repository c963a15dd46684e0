use serde::{Deserialize, Serialize};
use uuid::{Builder, Uuid};

use super::detail::describe;
use crate::{
    clock::Millis,
    id::{NodeId, RoomId, SERVER, UserId},
    room::{Json, Update},
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
    JoinRefused,
    ResumeRefused,
    ActionRefused,
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
            Self::JoinRefused => "JOIN_REFUSED",
            Self::ResumeRefused => "RESUME_REFUSED",
            Self::ActionRefused => "ACTION_REFUSED",
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
    pub data: Json,
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
