use std::time::Duration;

use crate::clock::{Millis, millis};

/// What is kept for members that are away, for how long, and how much of it. The same for every back end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// How long updates and signals are kept: longer than the seats of those that may ask for them, in ms.
    pub age: Millis,
    /// How long a room is kept that no node looks after: longer than it has to do something by itself, in ms.
    pub room: Millis,
    /// Bytes of the updates of all rooms together, roughly, where the node itself keeps them.
    pub bytes: usize,
}

impl Retention {
    /// Updates of a room that are kept at most,
    pub const UPDATES: usize = 512;
    /// and their bytes, roughly.
    pub const UPDATE_BYTES: usize = 512 * 1024;
    /// Bytes of the updates of all rooms together, where nothing else is known.
    pub const BYTES: usize = 64 * 1024 * 1024;
    /// Signals that are kept for one member: several peers' worth of offers and candidates,
    pub const SIGNALS: usize = 256;
    /// and their bytes.
    pub const SIGNAL_BYTES: usize = 128 * 1024;

    /// For seats that are kept for `resume`, rooms that stay empty for `empty`, and nodes that are taken for alive for `lease` after their
    /// last word: the seats of a dead one begin to be kept only then.
    pub fn new(resume: Duration, empty: Duration, lease: Duration) -> Self {
        let age = (resume + 3 * lease + MARGIN).max(LEAST);
        let room = (resume.max(empty) + 3 * lease + MARGIN).max(ROOM);
        Self { age: millis(age), room: millis(room), bytes: Self::BYTES }
    }

    /// The same within other bounds of all rooms together.
    #[must_use]
    pub fn with_bytes(self, bytes: usize) -> Self {
        Self { bytes, ..self }
    }
}

/// What clocks and busy nodes may be off by.
const MARGIN: Duration = Duration::from_secs(30);
/// It costs little, and a client may be late.
const LEAST: Duration = Duration::from_mins(2);
/// Nodes say every ten minutes that a room is to be kept.
const ROOM: Duration = Duration::from_hours(4);

impl Default for Retention {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self::new(seconds(30), seconds(180), seconds(10))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_goes_before_the_seat_that_may_ask_for_it() {
        let minutes = Duration::from_mins;
        assert_eq!(Retention::default(), Retention { age: 120_000, room: 4 * 3_600_000, bytes: 67_108_864 });
        for (resume, empty) in [(0, 0), (2, 1), (60, 3), (1, 1_440), (1_440, 1_440)] {
            let kept = Retention::new(minutes(resume), minutes(empty), Duration::from_secs(10));
            assert!(kept.age >= (resume * 60 + 30) * 1_000 && kept.room > resume.max(empty) * 60_000, "{kept:?}");
        }
    }
}
