//! Clients of the first generation: everything that is different for them on the wire is said here, and only here.
//!
//! Such a client sends no `features`, ignores types and fields that it does not know, and cannot be changed any more. It has no resume
//! token: that a seat has none is known to the room.

use super::{ServerFrame, ServerFrameType};
use crate::{
    id::{SERVER, UserId},
    room::{Action, Change, UrlTime},
};

/// Which clients a connection is one of. Others do not compare it, but ask it what they need to know.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Generation {
    /// Those that send no `features`.
    #[default]
    First,
    /// All others.
    Current,
}

impl Generation {
    /// All there are.
    pub const ALL: [Self; 2] = [Self::First, Self::Current];

    /// That of a client whose JOIN has these features.
    pub fn of<T>(features: Option<&[T]>) -> Self {
        features.map_or(Self::First, |_| Self::Current)
    }

    /// Whether the client is sent frames of this type. One of the first generation would not know what to do with these two: it takes
    /// each ROOM_STATE for the truth anyway, and opens its peer connections with the first ICE servers that it got.
    pub fn gets(self, kind: ServerFrameType) -> bool {
        self == Self::Current || !matches!(kind, ServerFrameType::Discontinuity | ServerFrameType::IceServers)
    }

    /// Whether the client sends a refused JOIN again by itself. One that does not shows a party that it is not in, for ever.
    pub fn joins_again(self) -> bool {
        self == Self::Current
    }

    /// Whether the client may forget that it is the host: see [`crate::room::Nudge`].
    pub fn needs_reminding(self) -> bool {
        self == Self::First
    }

    /// What the client means by `action`, which was decoded as if the client were a current one.
    pub fn meant(self, action: Action) -> Action {
        match action {
            Action::ChangeUrl { url, time: Some(UrlTime::Seconds(time)) } if self == Self::First => {
                Action::ChangeUrl { url, time: Some(UrlTime::Unsaid(time)) }
            }
            action => action,
        }
    }

    /// What clients of this generation are told of a change, after what everybody is told: one of them, or all.
    pub fn also_told(self, change: &Change) -> Option<(Option<&UserId>, ServerFrame<'_>)> {
        match change {
            _ if self == Self::Current => None,
            // The only frame for which they end a peer connection.
            Change::Left { user, .. } => Some((None, ServerFrame::Leave { user_id: user })),
            // They repeat the command after 3 s unless somebody confirms it.
            Change::PlayPause { by, timeline, .. } => {
                let control = if timeline.playing { "play" } else { "pause" };
                Some((Some(by), ServerFrame::PlaybackAck { to: by, control, user_id: SERVER }))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_features_are_sent_does_not_matter_but_whether_any_are() {
        assert_eq!(Generation::of::<u8>(None), Generation::First);
        assert_eq!(Generation::of::<u8>(Some(&[])), Generation::Current);
    }

    #[test]
    fn only_the_first_generation_leaves_the_unit_of_a_time_open() {
        let change = || Action::ChangeUrl { url: "https://x.org/".into(), time: Some(UrlTime::Seconds(5.0)) };
        let time = |action| if let Action::ChangeUrl { time, .. } = action { time } else { None };
        assert_eq!(time(Generation::Current.meant(change())), Some(UrlTime::Seconds(5.0)));
        assert_eq!(time(Generation::First.meant(change())), Some(UrlTime::Unsaid(5.0)));
    }
}
