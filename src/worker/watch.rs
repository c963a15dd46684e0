use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{WorkerMetrics, condition::Condition};
use crate::backend::{LedgerQueue, QueueLevel};

/// Interval between checks.
const LOOK: Duration = Duration::from_secs(2);
/// If the queue is so full, in percent, by entries or by bytes, the worker does not leave the processors to others any more.
const LONG: u64 = 25;
/// A queue that is so full is an alarm, and one for those who are woken.
const ALARMING: u64 = 10;
const DIRE: u64 = 50;
/// Minimum interval between two alarms.
const ALARM: Duration = Duration::from_mins(1);

/// The nodes write to another number of partitions than this worker reads.
pub(super) struct PartitionMismatch;

/// Checks how much waits in the queue, logs alarms, and deletes the consumers of dead workers.
pub(super) struct Watch {
    /// A connection of its own, because a long read must not delay the alarm.
    pub(super) queue: Box<dyn LedgerQueue>,
    /// Maximum number of entries in a partition.
    pub(super) most: usize,
    /// After which time a worker counts as dead.
    pub(super) dead: Duration,
    pub(super) metrics: Arc<WorkerMetrics>,
    pub(super) condition: Arc<Condition>,
    pub(super) stop: CancellationToken,
}

impl Watch {
    pub(super) async fn run(mut self) -> Result<(), PartitionMismatch> {
        let (mut alarmed, mut cleared): (Option<Instant>, _) = (None, Instant::now());
        while !self.stop.is_cancelled() {
            match self.queue.level().await {
                Ok(None) => return Err(PartitionMismatch),
                Ok(Some(level)) => {
                    self.condition.redis.set(true);
                    self.tell(&level, &mut alarmed);
                    if cleared.elapsed() >= self.dead {
                        cleared = Instant::now();
                        self.clear().await;
                    }
                }
                // The pump logs this failure as well, at a higher level.
                Err(error) => {
                    self.condition.redis.set(false);
                    tracing::debug!(%error, "the ledger's streams cannot be inspected");
                }
            }
            tokio::select! {
                () = sleep(LOOK) => {}
                () = self.stop.cancelled() => {}
            }
        }
        Ok(())
    }

    fn tell(&self, level: &QueueLevel, alarmed: &mut Option<Instant>) {
        let sum: usize = level.partitions.iter().map(|(length, _)| length).sum();
        self.metrics.stream_length.set(i64::try_from(sum).unwrap_or(i64::MAX));
        let oldest = level.partitions.iter().filter_map(|(_, oldest)| *oldest).min();
        let lag = Duration::from_millis(oldest.map_or(0, |oldest| level.now.saturating_sub(oldest)));
        self.metrics.lag_seconds.set(lag.as_secs_f64());
        let lengths = (0_u16..).zip(level.partitions.iter().map(|(length, _)| *length));
        let Some((partition, length)) = lengths.max_by_key(|(_, length)| *length) else { return };
        let (most, seconds) = (self.most, lag.as_secs());
        let QueueLevel { bytes, most_bytes, .. } = *level;
        let full = part(length as u64, most as u64).max(part(bytes, most_bytes));
        self.condition.long.set(full >= LONG);
        if full < ALARMING || alarmed.is_some_and(|at| at.elapsed() < ALARM) {
            return;
        }
        *alarmed = Some(Instant::now());
        if full >= DIRE {
            tracing::error!(
                partition,
                length,
                most,
                bytes,
                most_bytes,
                seconds,
                "the ledger lags; rooms refuse changes once its stream is full"
            );
        } else {
            tracing::warn!(partition, length, most, bytes, most_bytes, seconds, "the ledger lags");
        }
    }

    async fn clear(&mut self) {
        match self.queue.forget_workers(self.dead).await {
            Ok(0) => {}
            Ok(consumers) => tracing::info!(consumers, "consumers of dead workers were deleted"),
            Err(error) => tracing::warn!(%error, "consumers of dead workers could not be deleted"),
        }
    }
}

/// How many percent of a limit are used; none of one that is not there.
fn part(used: u64, limit: u64) -> u64 {
    used.saturating_mul(100).checked_div(limit).unwrap_or_default()
}
