//! The one source of time. Everything that decides takes a [`Millis`] as an argument; only the edges ask a [`Clock`].

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::time::{Instant, sleep};

/// Milliseconds since 1970.
pub type Millis = u64;

/// How often it is seen whether the system clock was set.
const LOOK: Duration = Duration::from_secs(1);
/// How often, while it is gone with.
const STEP: Duration = Duration::from_millis(100);
/// Differences up to this are reading two clocks one after the other.
const SAME: i64 = 20;
/// How far it goes back at a step: time runs at half its speed until the clocks agree.
const BACK: i64 = 50;
/// Differences from here on are worth a line in the log.
const WORTH_TELLING: i64 = 1_000;

/// Wall-clock time that does not jump back: the system clock is read once, and from then on the monotonic clock counts. If the system
/// clock is set meanwhile, [`Clock::follow`] goes with it: forward at once, back little by little. Under tokio's paused time it
/// stands still and is moved by tests.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    wall: Millis,
    start: Instant,
    /// How far the system clock was set since, in ms. A process makes one clock, which lives as long as it.
    set: &'static AtomicI64,
}

impl Clock {
    /// Reads the system clock.
    pub fn system() -> Self {
        Self { wall: system(), start: Instant::now(), set: Box::leak(Box::new(AtomicI64::new(0))) }
    }

    /// Now.
    pub fn now(&self) -> Millis {
        self.base() + millis(self.start.elapsed())
    }

    /// The instant at which [`Clock::now`] will say `at`; already past ones are now.
    pub fn instant(&self, at: Millis) -> Instant {
        self.start + Duration::from_millis(at.saturating_sub(self.base()))
    }

    /// Goes with the system clock when that is set. Never ends.
    pub async fn follow(self) {
        let mut moving = false;
        loop {
            sleep(if moving { STEP } else { LOOK }).await;
            let off = self.correct(system());
            if off.abs() >= WORTH_TELLING && !moving {
                tracing::warn!(ms = off, "the system clock was set, this node goes with it");
            }
            moving = off.abs() > SAME;
        }
    }

    /// Takes a step towards the system clock. By how much that was ahead, in ms.
    fn correct(&self, system: Millis) -> i64 {
        let off = i64::try_from(i128::from(system) - i128::from(self.now())).unwrap_or_default();
        if off.abs() > SAME {
            self.set.fetch_add(off.max(-BACK), Ordering::Relaxed);
        }
        off
    }

    fn base(&self) -> Millis {
        self.wall.saturating_add_signed(self.set.load(Ordering::Relaxed))
    }
}

/// What the system clock says, for whoever compares it with the clocks of others.
pub fn system() -> Millis {
    millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// A duration in whole milliseconds.
pub fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX)
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_goes_forward_at_once() {
        let clock = Clock::system();
        let begun = clock.now();
        advance(STEP).await;
        assert_eq!(clock.correct(begun + 40_000), 39_900);
        assert_eq!(clock.now(), begun + 40_000);
        assert_eq!(clock.instant(begun + 50_000) - Instant::now(), Duration::from_secs(10));
        assert_eq!(clock.correct(begun + 40_000), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn it_goes_back_little_by_little() {
        let clock = Clock::system();
        let begun = clock.now();
        let (mut steps, mut before) = (0, begun);
        loop {
            advance(STEP).await;
            steps += 1;
            let system = begun - 4_000 + steps * millis(STEP);
            if clock.correct(system).abs() <= SAME {
                break;
            }
            assert_eq!(clock.now() - before, millis(STEP) / 2);
            before = clock.now();
        }
        assert_eq!(steps, 81);
    }

    #[tokio::test(start_paused = true)]
    async fn two_readings_are_never_quite_the_same() {
        let clock = Clock::system();
        let begun = clock.now();
        for system in [begun - 20, begun + 20] {
            clock.correct(system);
            assert_eq!(clock.now(), begun);
        }
    }
}
