use std::sync::Arc;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::EventType;
use crate::{
    clock::Millis,
    id::{ConnId, UserId},
    protocol::Code,
    room::{Change, Json, LeftReason, Role},
};

/// What is special to an event: its column `data`. Written at once, since it is only ever passed on.
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
    /// Every value in it can be written, so the other branch is for the types only.
    fn json(&self) -> Json {
        Json(to_raw_value(self).map_or_else(|_| Arc::from(RawValue::NULL.to_owned()), Arc::from))
    }
}

/// What the ledger says of what a restart has ended.
pub(super) fn ended_by_restart() -> Json {
    Detail::Restart { reason: "restart" }.json()
}

/// Whose doing it was (nobody's: the server's), and what the ledger says of it; nothing for what is not audited.
pub(super) fn describe(change: &Change) -> Option<(EventType, Option<&UserId>, Json)> {
    let (kind, user, detail) = match change {
        Change::Created { by, pin, .. } => {
            (EventType::RoomCreated, Some(by), Detail::Created { has_pin: pin.is_some() })
        }
        Change::Joined { member, host } => (
            EventType::UserJoined,
            Some(&member.user),
            Detail::Joined { username: member.username.as_deref(), peer_id: member.conn, host: *host },
        ),
        Change::Rejoined { member, was_away, .. } => {
            let username = member.username.as_deref();
            let detail = Detail::Rejoined { username, peer_id: member.conn, again: true, was_away: *was_away };
            (EventType::UserJoined, Some(&member.user), detail)
        }
        Change::Back { member, .. } => {
            (EventType::MemberBack, Some(&member.user), Detail::Back { peer_id: member.conn })
        }
        Change::Away { user, until, .. } => (EventType::MemberAway, Some(user), Detail::Away { until: *until }),
        Change::Left { user, reason: LeftReason::Kicked { by, note }, conn, .. } => {
            let detail = Detail::Kicked { by, reason: note.as_deref(), peer_id: *conn };
            (EventType::UserKicked, Some(user), detail)
        }
        Change::Left { user, reason, conn, .. } => {
            (EventType::UserLeft, Some(user), Detail::Left { reason: reason.as_str(), peer_id: *conn })
        }
        Change::HostChanged { host } => (EventType::HostChanged, Some(host), Detail::Host { host_user_id: host }),
        Change::RoleChanged { user, role, by } => {
            (EventType::RoleChanged, Some(user), Detail::Role { role: *role, by })
        }
        Change::GuestControl { enabled, by } => {
            (EventType::GuestControl, Some(by), Detail::Guests { enabled: *enabled })
        }
        Change::Renamed { user, username } => (EventType::UsernameUpdated, Some(user), Detail::Name { username }),
        Change::PlayPause { by, timeline, event, rate, .. } => {
            let (control, current_time) = (control(timeline.playing), timeline.position);
            let detail = Detail::Play { control, current_time, event_timestamp: *event, rate: *rate };
            (EventType::PlayPause, Some(by), detail)
        }
        Change::Sought { by, timeline, event, .. } => {
            let (current_time, is_playing) = (timeline.position, timeline.playing);
            (EventType::Seek, Some(by), Detail::Seek { current_time, is_playing, event_timestamp: *event })
        }
        Change::Released { target, .. } => {
            let detail = Detail::Released { control: control(true), current_time: *target, gate: true };
            (EventType::PlayPause, None, detail)
        }
        Change::UrlChanged { by, url, time, .. } => {
            (EventType::UrlChange, Some(by), Detail::Url { url, current_time: *time })
        }
        Change::Broadcast { by, event, data } => {
            let bytes = data.as_ref().map_or(0, |data| data.0.get().len());
            (EventType::Broadcast, Some(by), Detail::Broadcast { event, bytes })
        }
        Change::Refused { attempt, .. } => {
            let kind = match attempt.what.as_ref() {
                "JOIN" => EventType::JoinRefused,
                "RESUME" => EventType::ResumeRefused,
                _ => EventType::ActionRefused,
            };
            let detail = Detail::Refused {
                action: &attempt.what,
                code: Code::from(attempt.refusal).as_str(),
                peer_id: attempt.conn,
                origin: attempt.origin.into(),
            };
            (kind, Some(&attempt.user), detail)
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

fn control(playing: bool) -> &'static str {
    if playing { "play" } else { "pause" }
}
