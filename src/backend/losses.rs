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

/// Counts signals that do not reach their member, and says which, but not all of them when they are many.
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

    /// So many for `to` are gone.
    pub fn note(&self, why: Dropped, signals: u64, room: &RoomId, to: &UserId) {
        if signals == 0 {
            return;
        }
        self.metrics.signals_dropped.add(why, signals);
        let why = why.value();
        // The bucket must not think that it is 1970, when it would be full for ever.
        if let Some(skipped) = self.lines.pass(1_000 + millis(self.began.elapsed())) {
            tracing::warn!(%room, user = %to, why, signals, skipped, "signals for a member are dropped");
        }
    }
}
