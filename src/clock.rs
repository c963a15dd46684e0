//! The one source of time. Everything that decides takes a [`Millis`] as an argument; only the edges ask a [`Clock`].

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// Milliseconds since 1970.
pub type Millis = u64;

/// Wall-clock time that never jumps: the system clock is read once, and from then on the monotonic clock counts. Under tokio's
/// paused time it stands still and is moved by tests.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    wall: Millis,
    start: Instant,
}

impl Clock {
    /// Reads the system clock.
    pub fn system() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { wall: millis(wall), start: Instant::now() }
    }

    /// Now.
    pub fn now(&self) -> Millis {
        self.wall + millis(self.start.elapsed())
    }

    /// The instant at which [`Clock::now`] will say `at`; already past ones are now.
    pub fn instant(&self, at: Millis) -> Instant {
        self.start + Duration::from_millis(at.saturating_sub(self.wall))
    }
}

/// A duration in whole milliseconds.
pub fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX)
}
