use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Attempt, Attempts, Digest, Gate, Json, Member, Misses, Presence, Role, Room, Timeline, Vacancy};
use crate::{
    clock::Millis,
    id::{ConnId, UserId},
};

/// A change of a room from one version to the next. Nodes send changes to each other, members are told of them
/// ([`crate::protocol::announce`]), and the ledger records them ([`crate::ledger::Event`]).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the fields say it; where they do not, there is a comment")]
pub enum Change {
    /// The room was created, by the member that joins next.
    Created { epoch: u64, pin: Option<Digest>, by: UserId },
    /// A user joined.
    Joined { member: Member, host: bool },
    /// A member joined again, on the same socket or on another one.
    Rejoined { member: Member, host: bool, was_away: bool },
    /// A member resumed its seat.
    Back { member: Member, was_away: bool },
    /// The socket of a member was lost; its seat is kept.
    Away { user: UserId, since: Millis, until: Millis },
    /// A member left. A vacancy keeps its role as host; `empty_until` is set if it was the last one.
    Left { user: UserId, conn: ConnId, reason: LeftReason, vacancy: Option<Vacancy>, empty_until: Option<Millis> },
    /// The host changed.
    HostChanged { host: UserId },
    /// The role of a member changed.
    RoleChanged { user: UserId, role: Role, by: UserId },
    /// Guest control was switched on or off.
    GuestControl { enabled: bool, by: UserId },
    /// The name of a member changed.
    Renamed { user: UserId, username: Box<str> },
    /// The film was started or stopped. `position`, `event` and `rate` are as the sender gave them.
    PlayPause { by: UserId, position: Option<f64>, event: Option<f64>, rate: Option<f64>, timeline: Timeline },
    /// The film was sought; the gate, if any, waits for the other members.
    Sought { by: UserId, event: Option<f64>, timeline: Timeline, gate: Option<Gate> },
    /// A member has loaded the target of the seek.
    Ready { user: UserId },
    /// The gate opened.
    Released { target: f64, opened: Millis, timeline: Timeline },
    /// The position of the host, for all members to follow.
    Heartbeat { by: UserId, event: Option<f64>, timeline: Timeline },
    /// The position of the film, which is not announced.
    Corrected { timeline: Timeline },
    /// A member began or stopped reporting positions.
    Watching { user: UserId, watching: bool },
    /// The url changed. `time` is in seconds, if given.
    UrlChanged { by: UserId, url: Arc<str>, time: Option<f64>, timeline: Timeline },
    /// A message of the application.
    Broadcast { by: UserId, event: Box<str>, data: Option<Json> },
    /// A wrong PIN was shown; this is not announced.
    PinMissed { misses: Misses },
    /// An attempt was refused; this is not announced.
    Refused { attempt: Attempt, attempts: Attempts },
    /// The room was empty for too long.
    Closed,
}

/// Why a member left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LeftReason {
    /// The member sent LEAVE.
    Left,
    /// The socket was lost, and the member cannot resume.
    Disconnected,
    /// The resume window has passed.
    Expired,
    /// The member was kicked.
    Kicked {
        /// The user who kicked it.
        by: UserId,
        /// The reason.
        note: Option<Box<str>>,
    },
}

impl LeftReason {
    /// Its name in frames and in the ledger.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Disconnected => "disconnected",
            Self::Expired => "expired",
            Self::Kicked { .. } => "kicked",
        }
    }
}

impl Change {
    /// The user whose seat changes.
    pub fn seat(&self) -> Option<&UserId> {
        match self {
            Self::Joined { member, .. } | Self::Rejoined { member, .. } | Self::Back { member, .. } => {
                Some(&member.user)
            }
            Self::Away { user, .. }
            | Self::Left { user, .. }
            | Self::RoleChanged { user, .. }
            | Self::Renamed { user, .. }
            | Self::Watching { user, .. } => Some(user),
            Self::Created { .. }
            | Self::HostChanged { .. }
            | Self::GuestControl { .. }
            | Self::PlayPause { .. }
            | Self::Sought { .. }
            | Self::Ready { .. }
            | Self::Released { .. }
            | Self::Heartbeat { .. }
            | Self::Corrected { .. }
            | Self::UrlChanged { .. }
            | Self::Broadcast { .. }
            | Self::PinMissed { .. }
            | Self::Refused { .. }
            | Self::Closed => None,
        }
    }

    /// The user whose inbox is cleared: a member that leaves or joins negotiates from the start.
    pub fn ends_negotiations(&self) -> Option<&UserId> {
        match self {
            Self::Left { user, .. } => Some(user),
            Self::Rejoined { member, .. } => Some(&member.user),
            _ => None,
        }
    }

    /// Whether a refused client may be admitted after it.
    pub fn makes_room(&self) -> bool {
        matches!(self, Self::Left { .. } | Self::Away { .. } | Self::Closed)
    }

    /// The approximate memory of the change, in bytes. Names are short and mostly shared, so they do not count.
    pub(super) fn weight(&self) -> usize {
        let text = match self {
            Self::Broadcast { by: _, event, data } => event.len() + data.as_ref().map_or(0, |data| data.0.get().len()),
            Self::UrlChanged { by: _, url, time: _, timeline: _ } => url.len(),
            Self::Created { epoch: _, pin: _, by: _ }
            | Self::Joined { member: _, host: _ }
            | Self::Rejoined { member: _, host: _, was_away: _ }
            | Self::Back { member: _, was_away: _ }
            | Self::Away { user: _, since: _, until: _ }
            | Self::Left { user: _, conn: _, reason: _, vacancy: _, empty_until: _ }
            | Self::HostChanged { host: _ }
            | Self::RoleChanged { user: _, role: _, by: _ }
            | Self::GuestControl { enabled: _, by: _ }
            | Self::Renamed { user: _, username: _ }
            | Self::PlayPause { by: _, position: _, event: _, rate: _, timeline: _ }
            | Self::Sought { by: _, event: _, timeline: _, gate: _ }
            | Self::Ready { user: _ }
            | Self::Released { target: _, opened: _, timeline: _ }
            | Self::Heartbeat { by: _, event: _, timeline: _ }
            | Self::Corrected { timeline: _ }
            | Self::Watching { user: _, watching: _ }
            | Self::PinMissed { misses: _ }
            | Self::Refused { attempt: _, attempts: _ }
            | Self::Closed => 0,
        };
        size_of::<Self>() + text
    }

    /// Applies the change. Each one is destructured completely, so that ignored fields are explicit.
    pub(super) fn apply_to(&self, room: &mut Room, at: Millis) {
        match self {
            Self::Created { epoch, pin, by: _ } => {
                *room = Room { epoch: *epoch, version: room.version, pin: *pin, ..Room::vacant(room.id.clone()) };
                room.timeline = Timeline::start(at);
            }
            Self::Joined { member, host } => room.seat(member, *host),
            Self::Rejoined { member, host: _, was_away: _ } | Self::Back { member, was_away: _ } => {
                if let Some(seat) = room.member_mut(&member.user) {
                    seat.clone_from(member);
                }
            }
            Self::Away { user, since, until } => {
                if let Some(member) = room.member_mut(user) {
                    member.presence = Presence::Away { since: *since, until: *until };
                    member.watching = false;
                }
                room.uncount(user);
            }
            Self::Left { user, reason, vacancy, empty_until, conn: _ } => {
                room.unseat(user);
                if vacancy.is_some() {
                    room.vacancy.clone_from(vacancy);
                }
                room.empty_until = *empty_until;
                match reason {
                    LeftReason::Kicked { by: _, note: _ } => room.ban(user),
                    LeftReason::Left | LeftReason::Disconnected | LeftReason::Expired => {}
                }
            }
            Self::HostChanged { host } => {
                room.host = Some(host.clone());
                room.vacancy = None;
            }
            Self::RoleChanged { user, role, by: _ } => {
                if let Some(member) = room.member_mut(user) {
                    member.role = *role;
                }
            }
            Self::GuestControl { enabled, by: _ } => room.guest_control = *enabled,
            Self::Renamed { user, username } => {
                if let Some(member) = room.member_mut(user) {
                    member.username = Some(username.clone());
                }
            }
            Self::PlayPause { timeline, by: _, position: _, event: _, rate: _ } => {
                room.timeline = timeline.clone();
                room.gate = None;
            }
            Self::Sought { timeline, gate, by: _, event: _ } => {
                room.timeline = timeline.clone();
                room.gate.clone_from(gate);
            }
            Self::Ready { user } => {
                if let Some(gate) = &mut room.gate {
                    gate.forget(user);
                    gate.ready += 1;
                }
            }
            Self::Released { target: _, opened: _, timeline: _ } => room.gate = None,
            Self::Heartbeat { timeline, by: _, event: _ } | Self::Corrected { timeline } => {
                room.timeline = timeline.clone();
            }
            Self::Watching { user, watching } => {
                if let Some(member) = room.member_mut(user) {
                    member.watching = *watching;
                }
                if !watching {
                    room.uncount(user);
                }
            }
            Self::UrlChanged { url, timeline, by: _, time: _ } => {
                room.url = Some(url.clone());
                room.timeline = timeline.clone();
                room.gate = None;
            }
            Self::PinMissed { misses } => room.misses = Some(*misses),
            Self::Refused { attempts, attempt: _ } => room.attempts = Some(*attempts),
            Self::Broadcast { by: _, event: _, data: _ } => {}
            Self::Closed => *room = Room::vacant(room.id.clone()),
        }
    }
}
