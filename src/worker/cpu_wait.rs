//! How long the worker leaves the processors to others.

use std::time::Duration;

use tokio::time::Instant;

use crate::telemetry::cpu_waited;

/// How much of the time tasks of this machine had to wait for a processor.
pub(super) struct CpuWait {
    since: Instant,
    /// Nothing where the kernel does not tell it.
    was: Option<Duration>,
}

impl CpuWait {
    pub(super) fn new() -> Self {
        Self { since: Instant::now(), was: cpu_waited() }
    }

    /// The share since it was last asked, from 0 to 1.
    pub(super) fn share(&mut self) -> f64 {
        let (since, was) = (self.since, self.was);
        *self = Self::new();
        let (Some(was), Some(is)) = (was, self.was) else { return 0.0 };
        let over = self.since.duration_since(since).as_secs_f64().max(f64::EPSILON);
        (is.saturating_sub(was).as_secs_f64() / over).clamp(0.0, 1.0)
    }
}

/// The greatest share that counts, so that the worker does something even on a machine that is never free.
const MOST: f64 = 0.95;
/// The worker works for a quarter as long as nobody waits.
const WEIGHT: f64 = 4.0;
/// The longest rest.
const LONGEST: Duration = Duration::from_secs(5);

/// What a round of the worker was like.
pub(super) struct Round {
    pub(super) took: Duration,
    /// It has left entries in the queue.
    pub(super) behind: bool,
    /// The queue is too old or too long to wait for others.
    pub(super) late: bool,
    /// [`CpuWait::share`] of the time since the round before.
    pub(super) waited: f64,
}

impl Round {
    /// The rest after it, at least `gather` unless it has left something. Where tasks wait for a processor during half of the time, the
    /// worker works during a fifth of it; during nine tenths, a thirty-seventh: members come first, and the ledger catches up.
    pub(super) fn rest(&self, gather: Duration) -> Duration {
        let Self { took, behind, late, waited } = *self;
        if late {
            return if behind { Duration::ZERO } else { gather };
        }
        let waited = waited.min(MOST);
        let others = took.mul_f64(WEIGHT * waited / (1.0 - waited)).min(LONGEST);
        others.max(if behind { took.min(gather) } else { gather })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GATHER: Duration = Duration::from_millis(500);

    fn rest(took: u64, behind: bool, late: bool, waited: f64) -> u128 {
        Round { took: Duration::from_millis(took), behind, late, waited }.rest(GATHER).as_millis()
    }

    #[test]
    fn a_worker_gathers_while_nobody_waits() {
        assert_eq!(rest(200, false, false, 0.0), 500);
        assert_eq!(rest(100, false, false, 0.5), 500);
        // It is behind: half of the time is for others all the same.
        assert_eq!(rest(200, true, false, 0.0), 200);
        assert_eq!(rest(900, true, false, 0.0), 500);
    }

    #[test]
    fn a_worker_rests_for_as_long_as_others_wait() {
        assert_eq!(rest(200, false, false, 0.5), 800);
        assert_eq!(rest(50, false, false, 0.9), 1_800);
        assert_eq!(rest(50, true, false, 0.9), 1_800);
        assert_eq!(rest(50, true, false, 1.0), 3_800);
        assert_eq!(rest(200, true, false, 1.0), 5_000);
        // Little work needs little rest.
        assert_eq!(rest(10, false, false, 0.9), 500);
    }

    #[test]
    fn a_worker_that_is_late_does_not_rest() {
        assert_eq!(rest(200, true, true, 1.0), 0);
        assert_eq!(rest(200, false, true, 1.0), 500);
    }

    #[tokio::test]
    async fn the_kernel_tells_who_waits() {
        let mut wait = CpuWait::new();
        assert!((0.0..=1.0).contains(&wait.share()));
        // A kernel from before pressure stall information, or one that has it switched off.
        wait.was = None;
        assert!(wait.share() <= 0.0);
    }
}
