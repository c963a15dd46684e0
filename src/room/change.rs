use std::sync::Arc;

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use super::{
    Attempt, Attempts, Ban, Digest, Footprint, Gate, Grant, Guesser, Json, LeftReason, Member, Misses, Playback,
    Presence, Role, Room, Sent, Timeline, Vacancy,
};
use crate::{
    cbor,
    clock::Millis,
    id::{ConnId, UserId},
};

/// A change of a room from one version to the next. Nodes send changes to each other, members are told of them
/// ([`crate::protocol::announce`]), and the ledger records them ([`crate::ledger::Event`]).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Encode, Decode)]
#[cbor(flat)]
#[allow(missing_docs, reason = "the fields say it; where they do not, there is a comment")]
pub enum Change {
    /// The room was created, by the member that joins next.
    #[n(0)]
    Created {
        #[n(0)]
        epoch: u64,
        #[n(1)]
        pin: Option<Digest>,
        #[n(2)]
        by: UserId,
    },
    /// A user joined.
    #[n(1)]
    Joined {
        #[n(0)]
        member: Member,
        #[n(1)]
        host: bool,
    },
    /// A member joined again, on the same socket or on another one.
    #[n(2)]
    Rejoined {
        #[n(0)]
        member: Member,
        #[n(1)]
        host: bool,
        #[n(2)]
        was_away: bool,
    },
    /// A member resumed its seat.
    #[n(3)]
    Back {
        #[n(0)]
        member: Member,
        #[n(1)]
        was_away: bool,
    },
    /// The socket of a member was lost; its seat is kept.
    #[n(4)]
    Away {
        #[n(0)]
        user: UserId,
        #[n(1)]
        since: Millis,
        #[n(2)]
        until: Millis,
    },
    /// A member left. A vacancy keeps its role as host; `empty_until` is set if it was the last one.
    #[n(5)]
    Left {
        #[n(0)]
        user: UserId,
        #[n(1)]
        conn: ConnId,
        #[n(2)]
        reason: LeftReason,
        #[n(3)]
        vacancy: Option<Vacancy>,
        #[n(4)]
        empty_until: Option<Millis>,
    },
    /// The host changed.
    #[n(6)]
    HostChanged {
        #[n(0)]
        host: UserId,
    },
    /// The role of a member changed.
    #[n(7)]
    RoleChanged {
        #[n(0)]
        user: UserId,
        #[n(1)]
        role: Role,
        #[n(2)]
        by: UserId,
    },
    /// Guest control was switched on or off.
    #[n(8)]
    GuestControl {
        #[n(0)]
        enabled: bool,
        #[n(1)]
        by: UserId,
    },
    /// The name of a member changed.
    #[n(9)]
    Renamed {
        #[n(0)]
        user: UserId,
        #[n(1)]
        username: Box<str>,
    },
    /// The film was started or stopped. `event` is as the sender gave it.
    #[n(10)]
    PlayPause {
        #[n(0)]
        by: UserId,
        #[cbor(n(1), with = "cbor::number::option", has_nil)]
        event: Option<f64>,
        #[n(2)]
        playback: Playback,
        #[n(3)]
        sent: Sent,
    },
    /// The film was sought; the gate, if any, waits for the other members.
    #[n(11)]
    Sought {
        #[n(0)]
        by: UserId,
        #[cbor(n(1), with = "cbor::number::option", has_nil)]
        event: Option<f64>,
        #[n(2)]
        playback: Playback,
        #[n(3)]
        gate: Option<Gate>,
    },
    /// A member has loaded the target of the seek.
    #[n(12)]
    Ready {
        #[n(0)]
        user: UserId,
    },
    /// The gate opened.
    #[n(13)]
    Released {
        #[cbor(n(0), with = "cbor::number")]
        target: f64,
        #[n(1)]
        opened: Millis,
        #[n(2)]
        timeline: Timeline,
    },
    /// The position of the host, for all members to follow.
    #[n(14)]
    Heartbeat {
        #[n(0)]
        by: UserId,
        #[cbor(n(1), with = "cbor::number::option", has_nil)]
        event: Option<f64>,
        #[n(2)]
        playback: Playback,
    },
    /// The position of the film, which is not announced.
    #[n(15)]
    Corrected {
        #[n(0)]
        by: UserId,
        #[n(1)]
        playback: Playback,
    },
    /// A member began or stopped reporting positions.
    #[n(16)]
    Watching {
        #[n(0)]
        user: UserId,
        #[n(1)]
        watching: bool,
    },
    /// The url changed. `time` is in seconds, if given.
    #[n(17)]
    UrlChanged {
        #[n(0)]
        by: UserId,
        #[cbor(n(1), with = "cbor::shared_text")]
        url: Arc<str>,
        #[cbor(n(2), with = "cbor::number::option", has_nil)]
        time: Option<f64>,
        #[n(3)]
        playback: Playback,
    },
    /// A message of the application.
    #[n(18)]
    Broadcast {
        #[n(0)]
        by: UserId,
        #[n(1)]
        event: Box<str>,
        #[n(2)]
        data: Option<Json>,
    },
    /// A wrong PIN was shown; this is not announced. Only earlier releases decide it.
    #[n(19)]
    PinMissed {
        #[n(0)]
        misses: Misses,
    },
    /// An attempt was refused; this is not announced.
    #[n(20)]
    Refused {
        #[n(0)]
        attempt: Attempt,
        #[n(1)]
        attempts: Attempts,
    },
    /// The room was empty for too long.
    #[n(21)]
    Closed,
    /// An address showed a wrong PIN, or had to wait before it could; this is not announced.
    #[n(22)]
    PinTried {
        #[n(0)]
        guesser: Guesser,
        #[n(1)]
        whole_at: Millis,
    },
    /// The room was locked, or opened again.
    #[n(23)]
    Locked {
        #[n(0)]
        locked: bool,
        #[n(1)]
        by: UserId,
    },
    /// The room has another PIN, or none.
    #[n(24)]
    PinSet {
        #[n(0)]
        pin: Option<Digest>,
        #[n(1)]
        by: UserId,
    },
    /// A user was banned. If it was here, its departure follows.
    #[n(25)]
    Banned {
        #[n(0)]
        ban: Ban,
        #[n(1)]
        by: UserId,
        #[n(2)]
        note: Option<Box<str>>,
    },
    /// A user who was banned or kicked may come in again.
    #[n(26)]
    Unbanned {
        #[n(0)]
        user: UserId,
        #[n(1)]
        by: UserId,
    },
    /// A member showed a new token, which grants something else; this is not announced.
    #[n(27)]
    Granted {
        #[n(0)]
        user: UserId,
        #[n(1)]
        grant: Grant,
    },
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
            | Self::Granted { user, .. }
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
            | Self::PinTried { .. }
            | Self::Refused { .. }
            | Self::Locked { .. }
            | Self::PinSet { .. }
            | Self::Banned { .. }
            | Self::Unbanned { .. }
            | Self::Closed => None,
        }
    }

    /// The user whose ban changes.
    pub fn ban(&self) -> Option<&UserId> {
        match self {
            Self::Banned { ban, .. } => Some(&ban.user),
            Self::Unbanned { user, .. } => Some(user),
            _ => None,
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

    /// What of the room's record it replaces.
    pub fn footprint(&self) -> Footprint {
        match self {
            Self::Broadcast { .. } => Footprint::Nothing,
            Self::PlayPause { .. } | Self::Heartbeat { .. } | Self::Corrected { .. } => Footprint::Playback,
            Self::Created { .. }
            | Self::Joined { .. }
            | Self::Rejoined { .. }
            | Self::Back { .. }
            | Self::Away { .. }
            | Self::Left { .. }
            | Self::HostChanged { .. }
            | Self::RoleChanged { .. }
            | Self::GuestControl { .. }
            | Self::Renamed { .. }
            | Self::Sought { .. }
            | Self::Ready { .. }
            | Self::Released { .. }
            | Self::Watching { .. }
            | Self::UrlChanged { .. }
            | Self::PinMissed { .. }
            | Self::PinTried { .. }
            | Self::Refused { .. }
            | Self::Locked { .. }
            | Self::PinSet { .. }
            | Self::Banned { .. }
            | Self::Unbanned { .. }
            | Self::Granted { .. }
            | Self::Closed => Footprint::Room,
        }
    }

    /// Whether a refused client may be admitted after it.
    pub fn makes_room(&self) -> bool {
        matches!(self, Self::Left { .. } | Self::Away { .. } | Self::Locked { locked: false, .. } | Self::Closed)
    }

    /// The approximate memory of the change, in bytes. Names are short and mostly shared, so they do not count.
    pub(super) fn weight(&self) -> usize {
        let text = match self {
            Self::Broadcast { by: _, event, data } => event.len() + data.as_ref().map_or(0, |data| data.0.get().len()),
            Self::UrlChanged { by: _, url, time: _, playback: _ } => url.len(),
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
            | Self::PlayPause { by: _, event: _, playback: _, sent: _ }
            | Self::Sought { by: _, event: _, playback: _, gate: _ }
            | Self::Ready { user: _ }
            | Self::Released { target: _, opened: _, timeline: _ }
            | Self::Heartbeat { by: _, event: _, playback: _ }
            | Self::Corrected { by: _, playback: _ }
            | Self::Watching { user: _, watching: _ }
            | Self::PinMissed { misses: _ }
            | Self::PinTried { guesser: _, whole_at: _ }
            | Self::Refused { attempt: _, attempts: _ }
            | Self::Locked { locked: _, by: _ }
            | Self::PinSet { pin: _, by: _ }
            | Self::Banned { ban: _, by: _, note: _ }
            | Self::Unbanned { user: _, by: _ }
            | Self::Granted { user: _, grant: _ }
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
                    member.presence = Presence::away(*since, *until);
                    member.watching = false;
                }
                room.uncount(user);
            }
            Self::Left { user, reason, vacancy, empty_until, conn: _ } => {
                room.part(user, reason, at);
                room.unseat(user);
                if vacancy.is_some() {
                    room.vacancy.clone_from(vacancy);
                }
                room.empty_until = *empty_until;
                if let LeftReason::Kicked { by: _, note: _ } = reason {
                    room.shut_out(user);
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
            // The last two are decided only while there is no gate.
            Self::PlayPause { by, playback, event: _, sent: _ }
            | Self::Heartbeat { by, playback, event: _ }
            | Self::Corrected { by, playback } => {
                room.timeline = playback.timeline(at, by);
                room.gate = None;
            }
            Self::Sought { by, playback, gate, event: _ } => {
                room.timeline = playback.timeline(at, by);
                room.gate = gate.clone().map(Box::new);
            }
            Self::Ready { user } => {
                if let Some(gate) = &mut room.gate {
                    gate.forget(user);
                    gate.ready += 1;
                }
            }
            Self::Released { target: _, opened: _, timeline: _ } => room.gate = None,
            Self::Watching { user, watching } => {
                if let Some(member) = room.member_mut(user) {
                    member.watching = *watching;
                }
                if !watching {
                    room.uncount(user);
                }
            }
            Self::UrlChanged { by, url, playback, time: _ } => {
                room.url = Some(url.clone());
                room.timeline = playback.timeline(at, by);
                room.gate = None;
            }
            Self::PinMissed { misses } => room.misses = Some(Box::new(*misses)),
            Self::PinTried { guesser, whole_at } => room.guard().put(guesser, *whole_at),
            Self::Refused { attempts, attempt: _ } => room.attempts = Some(*attempts),
            Self::Locked { locked, by: _ } => room.locked = *locked,
            Self::PinSet { pin, by: _ } => room.pin = *pin,
            Self::Banned { ban, by: _, note: _ } => room.ban(ban),
            Self::Unbanned { user, by: _ } => room.pardon(user),
            Self::Granted { user, grant } => {
                if let Some(member) = room.member_mut(user) {
                    member.grant = Some(Box::new(grant.clone()));
                }
            }
            Self::Broadcast { by: _, event: _, data: _ } => {}
            Self::Closed => *room = Room::vacant(room.id.clone()),
        }
    }
}
