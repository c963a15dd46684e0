use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Attempt, Attempts, Digest, Gate, Member, Misses, Role, Timeline, Vacancy};
use crate::{
    clock::Millis,
    id::{ConnId, RoomId, UserId},
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

/// The changes of one commit: the first takes the room from `base` to `base + 1`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Update {
    /// Which room.
    pub room: RoomId,
    /// The incarnation that results.
    pub epoch: u64,
    /// The version that was changed.
    pub base: u64,
    /// When it was decided.
    pub at: Millis,
    /// What changed, in order.
    pub changes: Vec<Change>,
}

impl Update {
    /// The version that results.
    pub fn version(&self) -> u64 {
        self.base + self.changes.len() as u64
    }

    /// About how many bytes it holds on to.
    pub fn weight(&self) -> usize {
        size_of::<Self>() + self.changes.iter().map(Change::weight).sum::<usize>()
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
            _ => None,
        }
    }

    /// Whether somebody may be let in after it who was refused before.
    pub fn makes_room(&self) -> bool {
        matches!(self, Self::Left { .. } | Self::Away { .. } | Self::Closed)
    }

    /// About how many bytes it holds on to.
    fn weight(&self) -> usize {
        let text = match self {
            Self::Broadcast { data, .. } => data.as_ref().map_or(0, |data| data.0.get().len()),
            Self::UrlChanged { url, .. } => url.len(),
            _ => 0,
        };
        size_of::<Self>() + text
    }
}

/// JSON that is passed on as it came.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Json(pub Arc<RawValue>);

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}
