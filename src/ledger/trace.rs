//! The traces of a change in the ledger: an event of a type with its data, and rows that change.

use std::sync::Arc;

use serde::{Deserialize, Serialize, de::IntoDeserializer as _};
use serde_json::value::{RawValue, to_raw_value};

use crate::{
    clock::Millis,
    id::{ConnId, UserId},
    protocol::Code,
    room::{Attempt, Change, Json, LeftReason, Role, Timeline},
};

macro_rules! event_types {
    ($($name:ident = $word:literal,)+) => {
        /// The closed list of event types.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        #[allow(missing_docs, reason = "each is its own name")]
        pub enum EventType {
            $(#[serde(rename = $word)] $name,)+
        }

        impl EventType {
            /// All event types.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The value in the column `event_type`.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)+
                }
            }
        }
    };
}

event_types! {
    RoomCreated = "ROOM_CREATED",
    UserJoined = "USER_JOINED",
    UserLeft = "USER_LEFT",
    MemberAway = "MEMBER_AWAY",
    MemberBack = "MEMBER_BACK",
    HostChanged = "HOST_CHANGED",
    RoleChanged = "ROLE_CHANGED",
    GuestControl = "GUEST_CONTROL",
    UsernameUpdated = "USERNAME_UPDATED",
    PlayPause = "PLAY_PAUSE",
    Seek = "SEEK",
    UrlChange = "URL_CHANGE",
    UserKicked = "USER_KICKED",
    Broadcast = "BROADCAST",
    RoomClosed = "ROOM_CLOSED",
    JoinRefused = "JOIN_REFUSED",
    ResumeRefused = "RESUME_REFUSED",
    ActionRefused = "ACTION_REFUSED",
}

impl EventType {
    pub(super) fn parse(word: &str) -> Option<Self> {
        let word: serde::de::value::StrDeserializer<'_, serde::de::value::Error> = word.into_deserializer();
        Self::deserialize(word).ok()
    }

    /// Whether the event is the departure of a member.
    pub(super) fn is_departure(self) -> bool {
        matches!(self, Self::UserLeft | Self::UserKicked)
    }
}

/// The column `data` of an event. It is serialized at once, because it is only passed on.
#[derive(Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
enum Detail<'a> {
    Created { has_pin: bool },
    Joined { username: Option<&'a str>, peer_id: ConnId, host: bool },
    Rejoined { username: Option<&'a str>, peer_id: ConnId, again: bool, was_away: bool },
    Back { peer_id: ConnId },
    Away { until: Millis },
    Kicked { by: &'a UserId, reason: Option<&'a str>, peer_id: ConnId },
    Left { reason: &'static str, peer_id: ConnId },
    Host { host_user_id: &'a UserId },
    Role { role: Role, by: &'a UserId },
    Guests { enabled: bool },
    Name { username: &'a str },
    Play { control: &'static str, current_time: f64, event_timestamp: Option<f64>, rate: Option<f64> },
    Seek { current_time: f64, is_playing: bool, event_timestamp: Option<f64> },
    Released { control: &'static str, current_time: f64, gate: bool },
    Url { url: &'a str, current_time: Option<f64> },
    Broadcast { event: &'a str, bytes: usize },
    Restart { reason: &'static str },
    Refused { action: &'a str, code: &'static str, peer_id: ConnId, origin: String },
    Nothing {},
}

impl Detail<'_> {
    /// All values can be serialized; the other branch satisfies the types.
    fn json(&self) -> Json {
        Json(to_raw_value(self).map_or_else(|_| Arc::from(RawValue::NULL.to_owned()), Arc::from))
    }
}

/// The data of events that a restart causes.
pub(super) fn ended_by_restart() -> Json {
    Detail::Restart { reason: "restart" }.json()
}

/// The event of a change: its type, the user who caused it (`None`: the server), and its data. `None` for a change that is not audited.
///
/// Each change is destructured completely, so that nothing is left out by mistake. No PIN, token, SDP, ICE candidate or application payload
/// is recorded.
pub(super) fn describe(change: &Change) -> Option<(EventType, Option<&UserId>, Json)> {
    let (kind, user, detail) = match change {
        Change::Created { by, pin, epoch: _ } => {
            (EventType::RoomCreated, Some(by), Detail::Created { has_pin: pin.is_some() })
        }
        Change::Joined { member, host } => (
            EventType::UserJoined,
            Some(&member.user),
            Detail::Joined { username: member.username.as_deref(), peer_id: member.conn, host: *host },
        ),
        Change::Rejoined { member, was_away, host: _ } => {
            let username = member.username.as_deref();
            let detail = Detail::Rejoined { username, peer_id: member.conn, again: true, was_away: *was_away };
            (EventType::UserJoined, Some(&member.user), detail)
        }
        Change::Back { member, was_away: _ } => {
            (EventType::MemberBack, Some(&member.user), Detail::Back { peer_id: member.conn })
        }
        Change::Away { user, until, since: _ } => (EventType::MemberAway, Some(user), Detail::Away { until: *until }),
        Change::Left { user, reason, conn, vacancy: _, empty_until: _ } => match reason {
            LeftReason::Kicked { by, note } => {
                let detail = Detail::Kicked { by, reason: note.as_deref(), peer_id: *conn };
                (EventType::UserKicked, Some(user), detail)
            }
            LeftReason::Left | LeftReason::Disconnected | LeftReason::Expired => {
                (EventType::UserLeft, Some(user), Detail::Left { reason: reason.as_str(), peer_id: *conn })
            }
        },
        Change::HostChanged { host } => (EventType::HostChanged, Some(host), Detail::Host { host_user_id: host }),
        Change::RoleChanged { user, role, by } => {
            (EventType::RoleChanged, Some(user), Detail::Role { role: *role, by })
        }
        Change::GuestControl { enabled, by } => {
            (EventType::GuestControl, Some(by), Detail::Guests { enabled: *enabled })
        }
        Change::Renamed { user, username } => (EventType::UsernameUpdated, Some(user), Detail::Name { username }),
        Change::PlayPause { by, timeline, event, rate, position: _ } => {
            let (control, current_time) = (control(timeline.playing), timeline.position);
            let detail = Detail::Play { control, current_time, event_timestamp: *event, rate: *rate };
            (EventType::PlayPause, Some(by), detail)
        }
        Change::Sought { by, event, timeline: Timeline { position, playing, .. }, gate: _ } => {
            let detail = Detail::Seek { current_time: *position, is_playing: *playing, event_timestamp: *event };
            (EventType::Seek, Some(by), detail)
        }
        Change::Released { target, opened: _, timeline: _ } => {
            let detail = Detail::Released { control: control(true), current_time: *target, gate: true };
            (EventType::PlayPause, None, detail)
        }
        Change::UrlChanged { by, url, time, timeline: _ } => {
            (EventType::UrlChange, Some(by), Detail::Url { url, current_time: *time })
        }
        Change::Broadcast { by, event, data } => {
            let bytes = data.as_ref().map_or(0, |data| data.0.get().len());
            (EventType::Broadcast, Some(by), Detail::Broadcast { event, bytes })
        }
        Change::Refused { attempt: Attempt { user, conn, origin, what, refusal }, attempts: _ } => {
            let kind = match what.as_ref() {
                "JOIN" => EventType::JoinRefused,
                "RESUME" => EventType::ResumeRefused,
                _ => EventType::ActionRefused,
            };
            let code = Code::from(*refusal).as_str();
            (kind, Some(user), Detail::Refused { action: what, code, peer_id: *conn, origin: (*origin).into() })
        }
        Change::Closed => (EventType::RoomClosed, None, Detail::Nothing {}),
        Change::Ready { .. }
        | Change::Heartbeat { .. }
        | Change::Corrected { .. }
        | Change::Watching { .. }
        | Change::PinMissed { .. } => return None,
    };
    Some((kind, user, detail.json()))
}

/// The rows that a change affects.
#[derive(PartialEq)]
pub(super) enum Projection<'a> {
    /// The row of a user in `users`, and that of the room.
    Seat(&'a UserId),
    /// The row of the room. Departures are in the events.
    Room,
    /// No row.
    Nothing,
}

pub(super) fn projection(change: &Change) -> Projection<'_> {
    match change {
        Change::Joined { member, .. } | Change::Rejoined { member, .. } | Change::Back { member, .. } => {
            Projection::Seat(&member.user)
        }
        Change::Renamed { user, .. } | Change::RoleChanged { user, .. } => Projection::Seat(user),
        Change::Created { .. }
        | Change::Left { .. }
        | Change::HostChanged { .. }
        | Change::GuestControl { .. }
        | Change::PlayPause { .. }
        | Change::Sought { .. }
        | Change::Released { .. }
        | Change::Heartbeat { .. }
        | Change::Corrected { .. }
        | Change::UrlChanged { .. }
        | Change::Closed => Projection::Room,
        Change::Away { .. }
        | Change::Ready { .. }
        | Change::Watching { .. }
        | Change::Broadcast { .. }
        | Change::PinMissed { .. }
        | Change::Refused { .. } => Projection::Nothing,
    }
}

fn control(playing: bool) -> &'static str {
    if playing { "play" } else { "pause" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_written_and_read_by_the_same_word() {
        for kind in EventType::ALL {
            assert_eq!(EventType::parse(kind.as_str()), Some(*kind));
        }
        assert_eq!(EventType::parse("SOMETHING_ELSE"), None);
    }

    #[test]
    fn the_manual_lists_all_of_them() {
        let manual = include_str!("../../docs/ledger.md");
        let (_, table) = manual.split_once("| `event_type` |").unwrap();
        let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
        let listed: Vec<&str> = rows.filter_map(|row| row.split('`').nth(1)).collect();
        let all: Vec<&str> = EventType::ALL.iter().map(|kind| kind.as_str()).collect();
        assert_eq!(listed, all);
    }
}
