use std::{fmt::Display, sync::Arc, time::Duration};

use super::{WorkerMetrics, outage::Outage};

/// The wait after the first failure; it doubles with each further one.
const FIRST: Duration = Duration::from_millis(100);
/// Number of failures in a row that open the breaker.
const OPEN: u32 = 5;
/// How often an open breaker allows an attempt.
const PROBE: Duration = Duration::from_secs(3);

/// The state in the metrics.
mod state {
    pub(super) const CLOSED: i64 = 0;
    pub(super) const TRYING: i64 = 1;
    pub(super) const OPEN: i64 = 2;
}

/// Keeps a worker from hammering a failing database: after each failure it waits longer, and from the fifth on it only tries once every few
/// seconds.
#[derive(Debug)]
pub(super) struct Breaker {
    failures: u32,
    outage: Outage,
    metrics: Arc<WorkerMetrics>,
}

impl Breaker {
    pub(super) fn new(metrics: Arc<WorkerMetrics>) -> Self {
        Self { failures: 0, outage: Outage::new("PostgreSQL"), metrics }
    }

    pub(super) fn worked(&mut self) {
        self.failures = 0;
        self.outage.over();
        self.metrics.breaker.set(state::CLOSED);
    }

    /// How long to wait before the next attempt.
    pub(super) fn failed(&mut self, error: &dyn Display) -> Duration {
        self.failures += 1;
        self.outage.report(error);
        self.metrics.retries.inc();
        let open = self.failures >= OPEN;
        self.metrics.breaker.set(if open { state::OPEN } else { state::CLOSED });
        spread(if open { PROBE } else { FIRST * 2_u32.pow(self.failures - 1) })
    }

    /// An attempt begins.
    pub(super) fn tries(&self) {
        if self.failures >= OPEN {
            self.metrics.breaker.set(state::TRYING);
        }
    }
}

/// A random value between half of it and all of it, so that several workers do not come at the same time.
pub(super) fn spread(wait: Duration) -> Duration {
    wait.mul_f64(rand::random_range(0.5..=1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_longer_and_opens() {
        let metrics = Arc::new(WorkerMetrics::new("w"));
        let mut breaker = Breaker::new(Arc::clone(&metrics));
        let waits: Vec<_> = (0..8).map(|_| breaker.failed(&"no")).collect();
        assert!(waits[0] <= FIRST && waits[3] >= FIRST * 4 && waits[7] >= PROBE / 2, "{waits:?}");
        assert_eq!(metrics.breaker.get(), state::OPEN);
        breaker.tries();
        assert_eq!(metrics.breaker.get(), state::TRYING);
        breaker.worked();
        assert_eq!(metrics.breaker.get(), state::CLOSED);
        assert!(breaker.failed(&"no") <= FIRST);
    }
}
