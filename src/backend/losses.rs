use std::sync::Arc;

use tokio::time::Instant;

use crate::{
    clock::millis,
    id::{RoomId, UserId},
    limit::Throttle,
    telemetry::{Dropped, Label as _, Metrics},
};

/// Log lines about what was dropped: so many at once, and a second in the long run.
const LINES: u32 = 20;
const LINES_PER_SECOND: u32 = 1;

/// Counts what is dropped: signals that do not reach their member, and entries of the ledger that could not be put back any more. Says it,
/// but not each time when it is often.
#[derive(Debug)]
pub struct Losses {
    metrics: Arc<Metrics>,
    lines: Throttle,
    began: Instant,
}

impl Losses {
    /// None so far.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics, lines: Throttle::new(LINES_PER_SECOND, LINES), began: Instant::now() }
    }

    /// So many entries wait in Redis that this node could not append again, should Redis lose them.
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

    /// So many for `to` are gone.
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

    /// Whether a line may be written; how many were not.
    fn pass(&self) -> Option<u64> {
        self.lines.pass(millis(self.began.elapsed()))
    }
}
