//! The frames that announce a change of a room, and who gets them.

use serde::Serialize;

use super::{Line, ServerFrame, ServerFrameType, Standing, number};
use crate::{
    clock::Millis,
    id::{ConnId, SERVER, UserId},
    room::{Change, Json, Member, Role},
};

/// Passes the types of these frames to another macro, the most frequent ones first.
macro_rules! with_announcements {
    ($then:ident) => {
        $then! {
            HostHeartbeat = "HOST_HEARTBEAT",
            Broadcast = "BROADCAST",
            PlayPause = "PLAY_PAUSE",
            SeekPause = "SEEK_PAUSE",
            UserJoined = "USER_JOINED",
            UserLeft = "USER_LEFT",
            MemberAway = "MEMBER_AWAY",
            MemberBack = "MEMBER_BACK",
            HostChanged = "HOST_CHANGED",
            RoleChanged = "ROLE_CHANGED",
            GuestControl = "GUEST_CONTROL",
            UsernameUpdated = "USERNAME_UPDATED",
            UrlChange = "URL_CHANGE",
            RoomLocked = "ROOM_LOCKED",
            PinChanged = "PIN_CHANGED",
        }
    };
}

pub(super) use with_announcements;

/// The announcement of a change.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE", rename_all_fields = "camelCase")]
#[allow(missing_docs, reason = "docs/protocol.md has the table")]
pub enum Announcement<'a> {
    UserJoined {
        user_id: &'a UserId,
        peer_id: ConnId,
        username: Option<&'a str>,
        role: Standing,
        order: u64,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        verified: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        metadata: Option<&'a Json>,
    },
    UserLeft {
        user_id: &'a UserId,
        peer_id: ConnId,
        reason: &'static str,
    },
    MemberAway {
        user_id: &'a UserId,
        until: Millis,
    },
    MemberBack {
        user_id: &'a UserId,
        peer_id: ConnId,
    },
    HostChanged {
        host_user_id: &'a UserId,
    },
    RoleChanged {
        user_id: &'a UserId,
        role: Role,
    },
    GuestControl {
        enabled: bool,
        user_id: &'a UserId,
    },
    UsernameUpdated {
        user_id: &'a UserId,
        username: &'a str,
    },
    PlayPause {
        user_id: &'a str,
        control: &'static str,
        #[serde(serialize_with = "number::option::serialize", skip_serializing_if = "Option::is_none")]
        current_time: Option<f64>,
        #[serde(serialize_with = "number::option::serialize", skip_serializing_if = "Option::is_none")]
        event_timestamp: Option<f64>,
        #[serde(serialize_with = "number::option::serialize", skip_serializing_if = "Option::is_none")]
        rate: Option<f64>,
        timeline: Line,
    },
    SeekPause {
        user_id: &'a UserId,
        #[serde(serialize_with = "number::serialize")]
        current_time: f64,
        is_playing: bool,
        #[serde(serialize_with = "number::option::serialize")]
        event_timestamp: Option<f64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        deadline: Option<Millis>,
        timeline: Line,
    },
    HostHeartbeat {
        user_id: &'a UserId,
        #[serde(serialize_with = "number::serialize")]
        current_time: f64,
        is_playing: bool,
        #[serde(serialize_with = "number::option::serialize")]
        event_timestamp: Option<f64>,
        timeline: Line,
    },
    UrlChange {
        user_id: &'a UserId,
        url: &'a str,
        #[serde(serialize_with = "number::option::serialize", skip_serializing_if = "Option::is_none")]
        current_time: Option<f64>,
        timeline: Line,
    },
    Broadcast {
        user_id: &'a UserId,
        event: &'a str,
        data: Option<&'a Json>,
    },
    RoomLocked {
        locked: bool,
        user_id: &'a UserId,
    },
    PinChanged {
        pin_required: bool,
        user_id: &'a UserId,
    },
}

impl Announcement<'_> {
    pub(super) fn kind(&self) -> ServerFrameType {
        match self {
            Self::UserJoined { .. } => ServerFrameType::UserJoined,
            Self::UserLeft { .. } => ServerFrameType::UserLeft,
            Self::MemberAway { .. } => ServerFrameType::MemberAway,
            Self::MemberBack { .. } => ServerFrameType::MemberBack,
            Self::HostChanged { .. } => ServerFrameType::HostChanged,
            Self::RoleChanged { .. } => ServerFrameType::RoleChanged,
            Self::GuestControl { .. } => ServerFrameType::GuestControl,
            Self::UsernameUpdated { .. } => ServerFrameType::UsernameUpdated,
            Self::PlayPause { .. } => ServerFrameType::PlayPause,
            Self::SeekPause { .. } => ServerFrameType::SeekPause,
            Self::HostHeartbeat { .. } => ServerFrameType::HostHeartbeat,
            Self::UrlChange { .. } => ServerFrameType::UrlChange,
            Self::Broadcast { .. } => ServerFrameType::Broadcast,
            Self::RoomLocked { .. } => ServerFrameType::RoomLocked,
            Self::PinChanged { .. } => ServerFrameType::PinChanged,
        }
    }
}

/// The epoch and version that a frame announces, and the time of the decision.
#[derive(Debug, Clone, Copy, Serialize)]
#[allow(missing_docs, reason = "the names are those of the wire")]
pub struct Stamp {
    pub epoch: u64,
    pub version: u64,
    pub timestamp: Millis,
}

/// An announcement with its stamp, as it is sent.
#[derive(Debug, Serialize)]
pub struct RoomFrame<'a> {
    /// The announcement.
    #[serde(flatten)]
    pub what: Announcement<'a>,
    /// Its stamp.
    #[serde(flatten)]
    pub stamp: Stamp,
}

/// The members that get a frame of the room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience<'a> {
    /// Every member.
    All,
    /// Every member except one.
    AllBut(&'a UserId),
}

impl Audience<'_> {
    /// Whether it includes `user`.
    pub fn includes(self, user: &UserId) -> bool {
        match self {
            Self::All => true,
            Self::AllBut(other) => other != user,
        }
    }
}

/// The frames that announce `change`.
#[allow(clippy::too_many_lines, reason = "one arm a change: the table of docs/protocol.md")]
pub fn announce<'a>(change: &'a Change, stamp: Stamp, mut tell: impl FnMut(Audience<'a>, ServerFrame<'a>)) {
    use Announcement as News;
    use Audience::{All, AllBut};

    let at = stamp.timestamp;
    let mut tell = |audience, what| tell(audience, ServerFrame::Room(RoomFrame { what, stamp }));
    match change {
        Change::Joined { member, host } => tell(AllBut(&member.user), joined(member, *host)),
        Change::Rejoined { member, host, was_away } => {
            if *was_away {
                tell(AllBut(&member.user), back(member));
            }
            tell(AllBut(&member.user), joined(member, *host));
        }
        Change::Back { member, was_away: true } => tell(AllBut(&member.user), back(member)),
        Change::Away { user, until, since: _ } => {
            tell(AllBut(user), News::MemberAway { user_id: user, until: *until });
        }
        Change::Left { user, conn, reason, vacancy: _, empty_until: _ } => {
            tell(All, News::UserLeft { user_id: user, peer_id: *conn, reason: reason.as_str() });
        }
        Change::HostChanged { host } => tell(All, News::HostChanged { host_user_id: host }),
        Change::RoleChanged { user, role, by: _ } => tell(All, News::RoleChanged { user_id: user, role: *role }),
        Change::GuestControl { enabled, by } => tell(All, News::GuestControl { enabled: *enabled, user_id: by }),
        Change::Renamed { user, username } => tell(All, News::UsernameUpdated { user_id: user, username }),
        Change::PlayPause { by, event, playback, sent } => tell(
            All,
            News::PlayPause {
                user_id: by.as_str(),
                control: if playback.playing { "play" } else { "pause" },
                current_time: sent.position.then_some(playback.position),
                event_timestamp: *event,
                rate: sent.rate.then_some(playback.rate),
                timeline: Line::new(playback, at),
            },
        ),
        Change::Sought { by, event, playback, gate } => tell(
            All,
            News::SeekPause {
                user_id: by,
                current_time: playback.position,
                is_playing: playback.playing,
                event_timestamp: *event,
                deadline: gate.as_ref().map(|gate| gate.deadline),
                timeline: Line::new(playback, at),
            },
        ),
        Change::Released { target, opened, timeline } => tell(
            All,
            News::PlayPause {
                user_id: SERVER,
                control: "play",
                current_time: Some(*target),
                event_timestamp: Some(as_number(*opened)),
                rate: None,
                timeline: timeline.into(),
            },
        ),
        Change::Heartbeat { by, event, playback } => tell(
            AllBut(by),
            News::HostHeartbeat {
                user_id: by,
                current_time: playback.position,
                is_playing: playback.playing,
                event_timestamp: *event,
                timeline: Line::new(playback, at),
            },
        ),
        Change::UrlChanged { by, url, time, playback } => {
            let timeline = Line::new(playback, at);
            tell(All, News::UrlChange { user_id: by, url, current_time: *time, timeline });
        }
        Change::Broadcast { by, event, data } => {
            tell(All, News::Broadcast { user_id: by, event, data: data.as_ref() });
        }
        Change::Locked { locked, by } => tell(All, News::RoomLocked { locked: *locked, user_id: by }),
        Change::PinSet { pin, by } => tell(All, News::PinChanged { pin_required: pin.is_some(), user_id: by }),
        Change::Created { .. }
        | Change::Back { was_away: false, .. }
        | Change::Ready { .. }
        | Change::Corrected { .. }
        | Change::Watching { .. }
        | Change::PinMissed { .. }
        | Change::PinTried { .. }
        | Change::Granted { .. }
        | Change::Banned { .. }
        | Change::Unbanned { .. }
        | Change::Refused { .. }
        | Change::Closed => {}
    }
}

#[allow(clippy::cast_precision_loss, reason = "milliseconds since 1970 are far below 2^53")]
fn as_number(at: Millis) -> f64 {
    at as f64
}

fn joined(member: &Member, host: bool) -> Announcement<'_> {
    Announcement::UserJoined {
        user_id: &member.user,
        peer_id: member.conn,
        username: member.username.as_deref(),
        role: Standing::new(member.role, host),
        order: member.order,
        verified: member.is_verified(),
        metadata: member.metadata(),
    }
}

fn back(member: &Member) -> Announcement<'_> {
    Announcement::MemberBack { user_id: &member.user, peer_id: member.conn }
}
