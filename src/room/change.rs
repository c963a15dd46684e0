use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Attempt, Attempts, Digest, Gate, Json, Member, Misses, Presence, Role, Room, Timeline, Vacancy};
use crate::{
    clock::Millis,
    id::{ConnId, UserId},
};

/// One step of a room from a version to the next. It is what nodes send each other, what members are told
/// ([`crate::protocol::announce`]) and what the ledger writes down ([`crate::ledger::Event`]).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the fields say it; where they do not, there is a comment")]
pub enum Change {
    /// The room was made, by the one who joins next.
    Created { epoch: u64, pin: Option<Digest>, by: UserId },
    /// Somebody came in.
    Joined { member: Member, host: bool },
    /// A member came back through the front door, on the same or on another socket.
    Rejoined { member: Member, host: bool, was_away: bool },
    /// A member resumed its seat.
    Back { member: Member, was_away: bool },
    /// A member's socket dropped, its seat is kept.
    Away { user: UserId, since: Millis, until: Millis },
    /// A member is gone. A vacancy keeps its role as host; `empty_until` is set when it was the last.
    Left { user: UserId, conn: ConnId, reason: LeftReason, vacancy: Option<Vacancy>, empty_until: Option<Millis> },
    /// There is another host.
    HostChanged { host: UserId },
    /// A member has another role.
    RoleChanged { user: UserId, role: Role, by: UserId },
    /// Guests may move the film, or no longer.
    GuestControl { enabled: bool, by: UserId },
    /// A member has another name.
    Renamed { user: UserId, username: Box<str> },
    /// The film was started or stopped. `position`, `event` and `rate` are as the sender gave them.
    PlayPause { by: UserId, position: Option<f64>, event: Option<f64>, rate: Option<f64>, timeline: Timeline },
    /// The film was moved; the gate, if any, waits for the others.
    Sought { by: UserId, event: Option<f64>, timeline: Timeline, gate: Option<Gate> },
    /// A member has loaded the sought place.
    Ready { user: UserId },
    /// The gate opened.
    Released { target: f64, opened: Millis, timeline: Timeline },
    /// The host said where it is, for all to follow.
    Heartbeat { by: UserId, event: Option<f64>, timeline: Timeline },
    /// The room learnt where the film is; nobody needs to be told.
    Corrected { timeline: Timeline },
    /// A member reports positions, or no longer.
    Watching { user: UserId, watching: bool },
    /// Something else is watched. `time` is in seconds, if the sender gave one.
    UrlChanged { by: UserId, url: Arc<str>, time: Option<f64>, timeline: Timeline },
    /// An application's own message.
    Broadcast { by: UserId, event: Box<str>, data: Option<Json> },
    /// Somebody showed a wrong PIN; nobody is told.
    PinMissed { misses: Misses },
    /// Something was refused; nobody in the room is told.
    Refused { attempt: Attempt, attempts: Attempts },
    /// The room was empty for too long.
    Closed,
}

/// Why a member is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LeftReason {
    /// It said so.
    Left,
    /// Its socket dropped, and it cannot resume.
    Disconnected,
    /// It could have resumed, but did not.
    Expired,
    /// It was thrown out.
    Kicked {
        /// By whom.
        by: UserId,
        /// What for.
        note: Option<Box<str>>,
    },
}

impl LeftReason {
    /// The word of the wire and of the ledger.
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
    /// Whose seat it changes.
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

    /// Whose negotiations with others are over: whoever leaves, or comes in as if for the first time, negotiates again from the start.
    /// Signals that were kept for that member go.
    pub fn ends_negotiations(&self) -> Option<&UserId> {
        match self {
            Self::Left { user, .. } => Some(user),
            Self::Rejoined { member, .. } => Some(&member.user),
            _ => None,
        }
    }

    /// Whether somebody may be let in after it who was refused before.
    pub fn makes_room(&self) -> bool {
        matches!(self, Self::Left { .. } | Self::Away { .. } | Self::Closed)
    }

    /// About how many bytes it holds on to. Names are short, and most are shared: they do not count.
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

    /// Carries it out. Each change is taken apart in full: what does not change the room is named.
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
