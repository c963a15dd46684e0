use std::{collections::HashSet, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{
    WorkerMetrics,
    batch_writer::{BatchWriter, Stopped},
    breaker::spread,
    condition::Condition,
    cpu_wait::{CpuWait, Round},
    outage::Outage,
};
use crate::{
    backend::{BackendError, LedgerQueue, QueueReading, QueuedEntry},
    ledger::EventStore,
};

/// Pause between two reads of the streams, unless a read left something behind. What arrives meanwhile is written together: a transaction
/// costs as much as some hundred rows, and of a room only the last state is written. With very many partitions the pause is longer, a
/// millisecond for each.
const GATHER: Duration = Duration::from_millis(500);
/// After so long with more entries than it reads, the worker does not leave the processors to others any more. The age of the oldest entry
/// would not tell, since that may be one that cannot be written.
const LATE: Duration = Duration::from_secs(30);
/// Maximum number of entries that are remembered as set aside.
const MOST_ASIDE: usize = 10_000;
/// Pause between two attempts while Redis fails.
const RETRY: Duration = Duration::from_millis(500);

/// Moves entries from the queue into the ledger.
pub struct Pump {
    queue: Box<dyn LedgerQueue>,
    batch_writer: BatchWriter,
    batch: usize,
    claim: Duration,
    metrics: Arc<WorkerMetrics>,
    condition: Arc<Condition>,
    stop: CancellationToken,
    /// The entries that this worker could not write, and reads again as if another one had claimed them.
    aside: HashSet<(u16, String)>,
}

/// The parts that a [`Pump`] is made of.
#[allow(missing_docs, reason = "the others are their own names")]
pub struct PumpParts {
    pub queue: Box<dyn LedgerQueue>,
    pub store: Arc<dyn EventStore>,
    /// Maximum number of entries in a transaction.
    pub batch: usize,
    /// After which time entries that other workers have claimed are taken over.
    pub claim: Duration,
    pub metrics: Arc<WorkerMetrics>,
    pub condition: Arc<Condition>,
    pub stop: CancellationToken,
}

impl std::fmt::Debug for Pump {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pump").field("batch", &self.batch).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for PumpParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PumpParts").field("batch", &self.batch).finish_non_exhaustive()
    }
}

impl Pump {
    /// A pump that has read nothing yet.
    pub fn new(parts: PumpParts) -> Self {
        let PumpParts { queue, store, batch, claim, metrics, condition, stop } = parts;
        let names = (0..queue.partitions()).map(|partition| queue.name_of(partition)).collect();
        let batch_writer = BatchWriter::new(store, names, Arc::clone(&metrics), Arc::clone(&condition), stop.clone());
        Self { queue, batch_writer, batch, claim, metrics, condition, stop, aside: HashSet::new() }
    }

    /// Runs until told to stop. Claimed entries are still written then, if the ledger accepts them.
    pub async fn run(mut self) {
        let mut outage = Outage::new("Redis");
        let gather = GATHER.max(Duration::from_millis(self.queue.partitions().into()));
        let mut look = Instant::now();
        let mut cpu = CpuWait::new();
        let mut since: Option<Instant> = None;
        while !self.stop.is_cancelled() {
            let begun = Instant::now();
            let wait = match self.round(&mut look).await {
                Ok(behind) => {
                    self.condition.unread.set(false);
                    outage.over();
                    let waited = cpu.share();
                    self.metrics.cpu_waiting.set(waited);
                    since = behind.then(|| since.unwrap_or(begun));
                    let late = self.condition.long.get() || since.is_some_and(|since| since.elapsed() > LATE);
                    Round { took: begun.elapsed(), behind, late, waited }.rest(gather)
                }
                Err(Interrupted::Queue(error)) => {
                    self.condition.unread.set(true);
                    outage.report(&error);
                    spread(RETRY)
                }
                Err(Interrupted::Stopped) => return,
            };
            tokio::select! {
                () = sleep(wait) => {}
                () = self.stop.cancelled() => {}
            }
        }
    }

    /// Returns whether there are more entries.
    async fn round(&mut self, look: &mut Instant) -> Result<bool, Interrupted> {
        let QueueReading { mut entries, more: mut behind } = self.queue.read().await?;
        if Instant::now() >= *look {
            let taken = self.queue.take_over(self.claim).await?;
            // The rest should not wait for another whole round.
            *look = Instant::now() + if taken.is_empty() { spread(self.claim / 3) } else { Duration::ZERO };
            if !taken.is_empty() {
                let others = taken.iter().filter(|entry| !self.aside.contains(&key(entry))).count();
                if others > 0 {
                    self.metrics.taken_over.inc_by(others as u64);
                    tracing::warn!(
                        entries = others,
                        "entries that another worker had claimed for too long were taken over"
                    );
                }
                entries.extend(taken);
                behind = true;
            }
        }
        for batch in entries.chunks(self.batch) {
            self.hand_over(batch).await?;
        }
        Ok(behind)
    }

    async fn hand_over(&mut self, batch: &[QueuedEntry]) -> Result<(), Interrupted> {
        let done = self.batch_writer.write(batch).await?;
        if done.len() < batch.len() {
            let room = MOST_ASIDE.saturating_sub(self.aside.len());
            let left = batch.iter().filter(|entry| !done.contains(entry)).map(key);
            self.aside.extend(left.take(room));
        }
        if !self.aside.is_empty() {
            for entry in &done {
                self.aside.remove(&key(entry));
            }
        }
        Ok(self.queue.acknowledge(&done).await?)
    }
}

fn key(entry: &QueuedEntry) -> (u16, String) {
    (entry.partition, entry.id.clone())
}

enum Interrupted {
    Queue(BackendError),
    Stopped,
}

impl From<BackendError> for Interrupted {
    fn from(error: BackendError) -> Self {
        Self::Queue(error)
    }
}

impl From<Stopped> for Interrupted {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}
