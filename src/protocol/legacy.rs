//! The adapter for clients of the first generation: everything that is different for them on the wire is here, and only here.
//!
//! Such a client sends no `features`, ignores unknown types and fields, and can no longer be changed. It has no resume token, which the
//! room knows of its seat.

use super::{ServerFrame, ServerFrameType};
use crate::{
    id::{SERVER, UserId},
    room::{Action, Change, UrlTime},
};

/// The generation of a client. Other modules do not compare it, but call its methods.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Generation {
    /// Clients without `features`.
    #[default]
    First,
    /// All other clients.
    Current,
}

impl Generation {
    /// Both generations.
    pub const ALL: [Self; 2] = [Self::First, Self::Current];

    /// The generation of a client with these features in its JOIN.
    pub fn of<T>(features: Option<&[T]>) -> Self {
        features.map_or(Self::First, |_| Self::Current)
    }

    /// Whether the client gets frames of this type. The first generation does not know these: it replaces its state with each ROOM_STATE
    /// anyway, opens its peer connections with the first ICE servers that it got, and has nothing to show a lock with.
    pub fn gets(self, kind: ServerFrameType) -> bool {
        use ServerFrameType::{Bans, Discontinuity, IceServers, PinChanged, RoomLocked};
        self == Self::Current || !matches!(kind, Discontinuity | IceServers | RoomLocked | PinChanged | Bans)
    }

    /// Whether the client repeats a refused JOIN by itself. Otherwise it shows a party that it is not in, for ever.
    pub fn joins_again(self) -> bool {
        self == Self::Current
    }

    /// Whether the client may forget that it is the host: see [`crate::room::Nudge`].
    pub fn needs_reminding(self) -> bool {
        self == Self::First
    }

    /// Converts `action`, which was decoded as if from a current client, to what this client means.
    pub fn meant(self, action: Action) -> Action {
        match action {
            Action::ChangeUrl { url, time: Some(UrlTime::Seconds(time)) } if self == Self::First => {
                Action::ChangeUrl { url, time: Some(UrlTime::Unsaid(time)) }
            }
            action => action,
        }
    }

    /// The additional announcements of a change to clients of this generation: to one of them, or to all.
    pub fn also_told(self, change: &Change) -> Option<(Option<&UserId>, ServerFrame<'_>)> {
        match change {
            _ if self == Self::Current => None,
            // They end a peer connection only for this frame.
            Change::Left { user, .. } => Some((None, ServerFrame::Leave { user_id: user })),
            // They repeat the command after 3 s unless it is confirmed.
            Change::PlayPause { by, playback, .. } => {
                let control = if playback.playing { "play" } else { "pause" };
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
