//! The traces of a change in the ledger: an event of a type with its data, and rows that change.

use std::sync::Arc;

use serde::{Deserialize, Serialize, de::IntoDeserializer as _};
use serde_json::value::{RawValue, to_raw_value};

use crate::{
    clock::Millis,
    id::{ConnId, UserId},
    protocol::Code,
    room::{Attempt, Ban, Change, Json, LeftReason, Member, Playback, Role},
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
    RoomLocked = "ROOM_LOCKED",
    PinChanged = "PIN_CHANGED",
    UserBanned = "USER_BANNED",
    UserUnbanned = "USER_UNBANNED",
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
    Pin {
        has_pin: bool,
    },
    Joined {
        username: Option<&'a str>,
        peer_id: ConnId,
        host: bool,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        verified: bool,
    },
    Rejoined {
        username: Option<&'a str>,
        peer_id: ConnId,
        again: bool,
        was_away: bool,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        verified: bool,
    },
    Back {
        peer_id: ConnId,
    },
    Away {
        until: Millis,
    },
    Kicked {
        by: &'a UserId,
        reason: Option<&'a str>,
        peer_id: ConnId,
    },
    Left {
        reason: &'static str,
        peer_id: ConnId,
    },
    Locked {
        locked: bool,
    },
    Banned {
        by: &'a UserId,
        reason: Option<&'a str>,
        by_address: bool,
    },
    Unbanned {
        by: &'a UserId,
    },
    Host {
        host_user_id: &'a UserId,
    },
    Role {
        role: Role,
        by: &'a UserId,
    },
    Guests {
        enabled: bool,
    },
    Name {
        username: &'a str,
    },
    Play {
        control: &'static str,
        current_time: f64,
        event_timestamp: Option<f64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        rate: Option<f64>,
    },
    Seek {
        current_time: f64,
        is_playing: bool,
        event_timestamp: Option<f64>,
    },
    Released {
        control: &'static str,
        current_time: f64,
        gate: bool,
    },
    Url {
        url: &'a str,
        current_time: Option<f64>,
    },
    Broadcast {
        event: &'a str,
        bytes: u64,
    },
    Restart {
        reason: &'static str,
    },
    Refused {
        action: &'a str,
        code: &'static str,
        peer_id: ConnId,
        origin: String,
    },
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

/// The type of the event of a change; `None` for a change that is not audited.
pub(super) fn kind(change: &Change) -> Option<EventType> {
    Some(match change {
        Change::Created { .. } => EventType::RoomCreated,
        Change::Joined { .. } | Change::Rejoined { .. } => EventType::UserJoined,
        Change::Back { .. } => EventType::MemberBack,
        Change::Away { .. } => EventType::MemberAway,
        Change::Left { reason, .. } => match reason {
            LeftReason::Kicked { .. } | LeftReason::Removed { .. } => EventType::UserKicked,
            LeftReason::Left | LeftReason::Disconnected | LeftReason::Expired => EventType::UserLeft,
        },
        Change::HostChanged { .. } => EventType::HostChanged,
        Change::RoleChanged { .. } => EventType::RoleChanged,
        Change::GuestControl { .. } => EventType::GuestControl,
        Change::Renamed { .. } => EventType::UsernameUpdated,
        Change::PlayPause { .. } | Change::Released { .. } => EventType::PlayPause,
        Change::Sought { .. } => EventType::Seek,
        Change::UrlChanged { .. } => EventType::UrlChange,
        Change::Broadcast { .. } => EventType::Broadcast,
        Change::Refused { attempt, .. } => match attempt.what.as_ref() {
            "JOIN" => EventType::JoinRefused,
            "RESUME" => EventType::ResumeRefused,
            _ => EventType::ActionRefused,
        },
        Change::Closed => EventType::RoomClosed,
        Change::Locked { .. } => EventType::RoomLocked,
        Change::PinSet { .. } => EventType::PinChanged,
        Change::Banned { .. } => EventType::UserBanned,
        Change::Unbanned { .. } => EventType::UserUnbanned,
        Change::Ready { .. }
        | Change::Heartbeat { .. }
        | Change::Corrected { .. }
        | Change::Watching { .. }
        | Change::PinMissed { .. }
        | Change::Granted { .. }
        | Change::PinTried { .. } => return None,
    })
}

/// The event of a change: its type, the user who caused it (`None`: the server), and its data. `None` for a change that is not audited.
/// `payload` is the length of what a broadcast carries.
///
/// Each change is destructured completely, so that nothing is left out by mistake. No PIN, token, SDP, ICE candidate or application payload
/// is recorded.
pub(super) fn describe(change: &Change, payload: u64) -> Option<(EventType, Option<&UserId>, Json)> {
    let kind = kind(change)?;
    let (user, detail) = match change {
        Change::Created { by, pin, epoch: _ } | Change::PinSet { by, pin } => {
            (Some(by), Detail::Pin { has_pin: pin.is_some() })
        }
        Change::Joined { member, host } => (
            Some(&member.user),
            Detail::Joined {
                username: member.username.as_deref(),
                peer_id: member.conn,
                host: *host,
                verified: member.is_verified(),
            },
        ),
        Change::Rejoined { member, was_away, host: _ } => {
            let username = member.username.as_deref();
            let detail = Detail::Rejoined {
                username,
                peer_id: member.conn,
                again: true,
                was_away: *was_away,
                verified: member.is_verified(),
            };
            (Some(&member.user), detail)
        }
        Change::Back { member, was_away: _ } => (Some(&member.user), Detail::Back { peer_id: member.conn }),
        Change::Away { user, until, since: _ } => (Some(user), Detail::Away { until: *until }),
        Change::Left { user, reason, conn, vacancy: _, empty_until: _ } => {
            let detail = match reason {
                LeftReason::Kicked { by, note } | LeftReason::Removed { by, note } => {
                    Detail::Kicked { by, reason: note.as_deref(), peer_id: *conn }
                }
                LeftReason::Left | LeftReason::Disconnected | LeftReason::Expired => {
                    Detail::Left { reason: reason.as_str(), peer_id: *conn }
                }
            };
            (Some(user), detail)
        }
        Change::HostChanged { host } => (Some(host), Detail::Host { host_user_id: host }),
        Change::RoleChanged { user, role, by } => (Some(user), Detail::Role { role: *role, by }),
        Change::GuestControl { enabled, by } => (Some(by), Detail::Guests { enabled: *enabled }),
        Change::Renamed { user, username } => (Some(user), Detail::Name { username }),
        Change::PlayPause { by, event, playback, sent } => {
            let (control, current_time) = (control(playback.playing), playback.position);
            let rate = sent.rate.then_some(playback.rate);
            (Some(by), Detail::Play { control, current_time, event_timestamp: *event, rate })
        }
        Change::Sought { by, event, playback: Playback { position, playing, rate: _ }, gate: _ } => {
            let detail = Detail::Seek { current_time: *position, is_playing: *playing, event_timestamp: *event };
            (Some(by), detail)
        }
        Change::Released { target, opened: _, timeline: _ } => {
            (None, Detail::Released { control: control(true), current_time: *target, gate: true })
        }
        Change::UrlChanged { by, url, time, playback: _ } => (Some(by), Detail::Url { url, current_time: *time }),
        Change::Broadcast { by, event, data: _ } => (Some(by), Detail::Broadcast { event, bytes: payload }),
        Change::Refused { attempt: Attempt { user, conn, origin, what, refusal }, attempts: _ } => {
            let (action, code) = (what.as_ref(), Code::from(*refusal).as_str());
            (Some(user), Detail::Refused { action, code, peer_id: *conn, origin: (*origin).into() })
        }
        Change::Closed => (None, Detail::Nothing {}),
        Change::Locked { locked, by } => (Some(by), Detail::Locked { locked: *locked }),
        Change::Banned { ban: Ban { user, username: _, origin, at: _ }, by, note } => {
            (Some(user), Detail::Banned { by, reason: note.as_deref(), by_address: origin.is_some() })
        }
        Change::Unbanned { user, by } => (Some(user), Detail::Unbanned { by }),
        Change::Ready { .. }
        | Change::Heartbeat { .. }
        | Change::Corrected { .. }
        | Change::Watching { .. }
        | Change::PinMissed { .. }
        | Change::Granted { .. }
        | Change::PinTried { .. } => return None,
    };
    Some((kind, user, detail.json()))
}

/// What a change leaves behind in the rows of a room and its users.
#[derive(Clone, Copy)]
pub(super) enum Trace<'a> {
    /// Nothing that is kept.
    Nothing,
    /// An event alone.
    Event,
    /// The position of the film, which the change tells.
    Film(Playback),
    /// What a room is like apart from that; the change tells only a part of it.
    Room,
    /// The row of a user, which the change tells, and what the room is like.
    Seat(&'a Member),
    /// The row of a user. The change tells only a part of it.
    PartOfSeat(&'a UserId),
    /// A user is gone, and the room may be another without them.
    Departure(&'a UserId),
    /// The room is closed.
    Closed,
}

pub(super) fn trace(change: &Change) -> Trace<'_> {
    match change {
        Change::Joined { member, .. } | Change::Rejoined { member, .. } | Change::Back { member, .. } => {
            Trace::Seat(member)
        }
        Change::Renamed { user, .. } | Change::RoleChanged { user, .. } => Trace::PartOfSeat(user),
        Change::Left { user, .. } => Trace::Departure(user),
        Change::Created { .. }
        | Change::HostChanged { .. }
        | Change::GuestControl { .. }
        | Change::Locked { .. }
        | Change::PinSet { .. }
        | Change::UrlChanged { .. } => Trace::Room,
        Change::PlayPause { playback, .. }
        | Change::Sought { playback, .. }
        | Change::Heartbeat { playback, .. }
        | Change::Corrected { playback, .. } => Trace::Film(*playback),
        Change::Closed => Trace::Closed,
        // A gate that opens does not move the film: the seek before it has.
        Change::Released { .. }
        | Change::Away { .. }
        | Change::Broadcast { .. }
        // The table of bans follows from the changes alone.
        | Change::Banned { .. }
        | Change::Unbanned { .. }
        | Change::Refused { .. } => Trace::Event,
        Change::Ready { .. }
        | Change::Watching { .. }
        | Change::PinMissed { .. }
        | Change::Granted { .. }
        | Change::PinTried { .. } => Trace::Nothing,
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
