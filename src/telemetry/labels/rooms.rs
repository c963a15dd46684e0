use crate::telemetry::Label;

/// The outcome of a RESUME.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resumed {
    /// The client got the updates that it had missed.
    Replayed,
    /// The client got DISCONTINUITY and ROOM_STATE.
    Snapshot,
    /// The client did not get the seat.
    Refused,
}

impl Label for Resumed {
    const KEY: &'static str = "outcome";
    const ALL: &'static [Self] = &[Self::Replayed, Self::Snapshot, Self::Refused];
    fn value(self) -> &'static str {
        match self {
            Self::Replayed => "replayed",
            Self::Snapshot => "snapshot",
            Self::Refused => "refused",
        }
    }
}

/// The outcome of pinging the socket that holds a seat which another client claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeatCheck {
    /// The socket answered and keeps the seat.
    Answers,
    /// The socket did not answer, and the seat passes to the other client.
    Silent,
    /// The node of the socket did not report an outcome.
    Unknown,
}

impl Label for SeatCheck {
    const KEY: &'static str = "outcome";
    const ALL: &'static [Self] = &[Self::Answers, Self::Silent, Self::Unknown];
    fn value(self) -> &'static str {
        match self {
            Self::Answers => "answers",
            Self::Silent => "silent",
            Self::Unknown => "unknown",
        }
    }
}

/// The stages and outcomes of a gap in the updates of a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gap {
    /// An update arrived that does not follow the one before it.
    Noticed,
    /// The missed updates were read from the history and announced.
    Replayed,
    /// The missed updates are lost; members got DISCONTINUITY and ROOM_STATE.
    Snapshot,
    /// Shared state had lost the room, and this node restored it.
    Restored,
}

impl Label for Gap {
    const KEY: &'static str = "outcome";
    const ALL: &'static [Self] = &[Self::Noticed, Self::Replayed, Self::Snapshot, Self::Restored];
    fn value(self) -> &'static str {
        match self {
            Self::Noticed => "noticed",
            Self::Replayed => "replayed",
            Self::Snapshot => "snapshot",
            Self::Restored => "restored",
        }
    }
}
