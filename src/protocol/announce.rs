use super::{ServerFrame, Standing};
use crate::{
    clock::Millis,
    id::{SERVER, UserId},
    room::{Change, Member},
};

/// Who gets a room frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience<'a> {
    /// Every member.
    All,
    /// Every member but one.
    AllBut(&'a UserId),
}

impl Audience<'_> {
    /// Whether `user` is of it.
    pub fn includes(self, user: &UserId) -> bool {
        match self {
            Self::All => true,
            Self::AllBut(other) => other != user,
        }
    }
}

/// Which version of which incarnation a frame tells of, and when that was decided.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs, reason = "the names are those of the wire")]
pub struct Stamp {
    pub epoch: u64,
    pub version: u64,
    pub timestamp: Millis,
}

/// What members are told of `change`.
#[allow(clippy::too_many_lines, reason = "one arm a change: the table of docs/protocol.md")]
pub fn announce<'a>(change: &'a Change, stamp: Stamp, mut tell: impl FnMut(Audience<'a>, ServerFrame<'a>)) {
    let Stamp { epoch, version, timestamp } = stamp;
    match change {
        Change::Joined { member, host } => tell(Audience::AllBut(&member.user), joined(member, *host, stamp)),
        Change::Rejoined { member, host, was_away } => {
            if *was_away {
                tell(Audience::AllBut(&member.user), back(member, stamp));
            }
            tell(Audience::AllBut(&member.user), joined(member, *host, stamp));
        }
        Change::Back { member, was_away: true } => tell(Audience::AllBut(&member.user), back(member, stamp)),
        Change::Away { user, until, since: _ } => {
            tell(
                Audience::AllBut(user),
                ServerFrame::MemberAway { user_id: user, until: *until, epoch, version, timestamp },
            );
        }
        Change::Left { user, conn, reason, vacancy: _, empty_until: _ } => {
            let reason = reason.as_str();
            tell(
                Audience::All,
                ServerFrame::UserLeft { user_id: user, peer_id: *conn, reason, epoch, version, timestamp },
            );
        }
        Change::HostChanged { host } => {
            tell(Audience::All, ServerFrame::HostChanged { host_user_id: host, epoch, version, timestamp });
        }
        Change::RoleChanged { user, role, by: _ } => {
            tell(Audience::All, ServerFrame::RoleChanged { user_id: user, role: *role, epoch, version, timestamp });
        }
        Change::GuestControl { enabled, by } => {
            tell(
                Audience::All,
                ServerFrame::GuestControl { enabled: *enabled, user_id: by, epoch, version, timestamp },
            );
        }
        Change::Renamed { user, username } => {
            tell(Audience::All, ServerFrame::UsernameUpdated { user_id: user, username, epoch, version, timestamp });
        }
        Change::PlayPause { by, position, event, rate, timeline } => {
            let control = if timeline.playing { "play" } else { "pause" };
            let frame = ServerFrame::PlayPause {
                user_id: by.as_str(),
                control,
                current_time: *position,
                event_timestamp: *event,
                rate: *rate,
                timeline: timeline.into(),
                epoch,
                version,
                timestamp,
            };
            tell(Audience::All, frame);
        }
        Change::Sought { by, event, timeline, gate } => tell(
            Audience::All,
            ServerFrame::SeekPause {
                user_id: by,
                current_time: timeline.position,
                is_playing: timeline.playing,
                event_timestamp: *event,
                deadline: gate.as_ref().map(|gate| gate.deadline),
                timeline: timeline.into(),
                epoch,
                version,
                timestamp,
            },
        ),
        Change::Released { target, opened, timeline } => tell(
            Audience::All,
            ServerFrame::PlayPause {
                user_id: SERVER,
                control: "play",
                current_time: Some(*target),
                event_timestamp: Some(as_number(*opened)),
                rate: None,
                timeline: timeline.into(),
                epoch,
                version,
                timestamp,
            },
        ),
        Change::Heartbeat { by, event, timeline } => tell(
            Audience::AllBut(by),
            ServerFrame::HostHeartbeat {
                user_id: by,
                current_time: timeline.position,
                is_playing: timeline.playing,
                event_timestamp: *event,
                timeline: timeline.into(),
                epoch,
                version,
                timestamp,
            },
        ),
        Change::UrlChanged { by, url, time, timeline } => tell(
            Audience::All,
            ServerFrame::UrlChange {
                user_id: by,
                url,
                current_time: *time,
                timeline: timeline.into(),
                epoch,
                version,
                timestamp,
            },
        ),
        Change::Broadcast { by, event, data } => tell(
            Audience::All,
            ServerFrame::Broadcast {
                user_id: by,
                event,
                data: data.as_ref(),
                to: None,
                epoch: Some(epoch),
                version: Some(version),
                timestamp,
            },
        ),
        Change::Created { .. }
        | Change::Back { was_away: false, .. }
        | Change::Ready { .. }
        | Change::Corrected { .. }
        | Change::Watching { .. }
        | Change::PinMissed { .. }
        | Change::Refused { .. }
        | Change::Closed => {}
    }
}

#[allow(clippy::cast_precision_loss, reason = "milliseconds since 1970 are far below 2^53")]
fn as_number(at: Millis) -> f64 {
    at as f64
}

fn joined(member: &Member, host: bool, stamp: Stamp) -> ServerFrame<'_> {
    ServerFrame::UserJoined {
        user_id: &member.user,
        peer_id: member.conn,
        username: member.username.as_deref(),
        role: Standing::new(member.role, host),
        order: member.order,
        epoch: stamp.epoch,
        version: stamp.version,
        timestamp: stamp.timestamp,
    }
}

fn back(member: &Member, stamp: Stamp) -> ServerFrame<'_> {
    ServerFrame::MemberBack {
        user_id: &member.user,
        peer_id: member.conn,
        epoch: stamp.epoch,
        version: stamp.version,
        timestamp: stamp.timestamp,
    }
}
