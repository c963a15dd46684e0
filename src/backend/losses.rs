use std::sync::Arc;

use tokio::time::Instant;

use crate::{
    clock::millis,
    id::{RoomId, UserId},
    limit::Throttle,
    telemetry::{Dropped, Label as _, Metrics},
};

/// Rate limit of log lines about losses: a burst, and lines per second.
const LINES: u32 = 20;
const LINES_PER_SECOND: u32 = 1;

/// Counts and logs losses: dropped signals, and ledger entries that can no longer be appended again. The log is limited in rate.
#[derive(Debug)]
pub struct Losses {
    metrics: Arc<Metrics>,
    lines: Throttle,
    began: Instant,
}

impl Losses {
    /// Without losses.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics, lines: Throttle::new(LINES_PER_SECOND, LINES), began: Instant::now() }
    }

    /// Records that this many entries in Redis could not be appended again by this node, should Redis lose them.
    pub fn unguarded(&self, entries: u64) {
        if entries == 0 {
            return;
        }
        self.metrics.entries_unguarded.inc_by(entries);
        if let Some(skipped) = self.pass() {
            tracing::warn!(
                entries,
                skipped,
                "too many entries wait for a worker; entries that Redis loses now cannot be appended again"
            );
        }
    }

    /// Records that signals for `to` were dropped.
    pub fn note(&self, why: Dropped, signals: u64, room: &RoomId, to: &UserId) {
        if signals == 0 {
            return;
        }
        self.metrics.signals_dropped.add(why, signals);
        let why = why.value();
        if let Some(skipped) = self.pass() {
            tracing::warn!(%room, user = %to, why, signals, skipped, "signals for a member are dropped");
        }
    }

    /// If a line may be logged: the number of lines suppressed before it.
    fn pass(&self) -> Option<u64> {
        self.lines.pass(millis(self.began.elapsed()))
    }
}
