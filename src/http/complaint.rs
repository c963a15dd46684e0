use tokio::time::Instant;

use crate::{clock::millis, limit::Throttle};

/// Interval, in seconds, between log lines about a condition that lasts.
const SAID_AGAIN: u64 = 30;

/// A log line that is written once, and again from time to time while its cause lasts.
#[derive(Debug)]
pub(super) struct Complaint {
    throttle: Throttle,
    began: Instant,
}

impl Complaint {
    pub(super) fn new() -> Self {
        Self { throttle: Throttle::new(1, 1), began: Instant::now() }
    }

    /// How often the line was skipped since the last time; `None` if it is too early for another.
    pub(super) fn pass(&self) -> Option<u64> {
        self.throttle.pass(millis(self.began.elapsed()) / SAID_AGAIN)
    }
}
