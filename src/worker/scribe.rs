use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{WorkerMetrics, breaker::Breaker, condition::Condition, delivery::Delivery};
use crate::{
    ledger::{Database, DeadLetter, Entry, LedgerError},
    shared::Layout,
};

/// A batch that takes too long is halved, but not below this: it is not its size then.
const SMALL: usize = 64;

/// The worker was told to stop while PostgreSQL was out of order. What is in hand stays in Redis.
#[derive(Debug)]
pub(super) struct Stopped;

/// Writes batches, for as long as it takes.
pub(super) struct Scribe {
    database: Database,
    layout: Layout,
    breaker: Breaker,
    metrics: Arc<WorkerMetrics>,
    condition: Arc<Condition>,
    stop: CancellationToken,
}

impl Scribe {
    pub(super) fn new(
        database: Database,
        layout: Layout,
        metrics: Arc<WorkerMetrics>,
        condition: Arc<Condition>,
        stop: CancellationToken,
    ) -> Self {
        Self { database, layout, breaker: Breaker::new(Arc::clone(&metrics)), metrics, condition, stop }
    }

    /// Returns when all of it is in PostgreSQL: as events, or as dead letters.
    pub(super) async fn write(&mut self, batch: &[Delivery]) -> Result<(), Stopped> {
        let mut entries = Vec::with_capacity(batch.len());
        for delivery in batch {
            match delivery.entry() {
                Some(Ok(entry)) => entries.push((delivery, entry)),
                Some(Err(why)) => self.bury(delivery, &why).await?,
                None => {}
            }
        }
        let mut parts = vec![entries.as_slice()];
        while let Some(part) = parts.pop() {
            if part.is_empty() {
                continue;
            }
            let halves = part.split_at(part.len() / 2);
            match self.try_write(part).await {
                Ok(()) => {}
                Err(error) if error.is_about_data() => match part {
                    [(delivery, _)] => self.bury(delivery, &error.to_string()).await?,
                    // The one that is not taken must not keep the others out.
                    _ => parts.extend([halves.1, halves.0]),
                },
                Err(error) => {
                    self.pause(&error).await?;
                    if error.is_late() && part.len() > SMALL {
                        parts.extend([halves.1, halves.0]);
                    } else {
                        parts.push(part);
                    }
                }
            }
        }
        Ok(())
    }

    async fn try_write(&mut self, part: &[(&Delivery, Entry)]) -> Result<(), LedgerError> {
        let entries: Vec<&Entry> = part.iter().map(|(_, entry)| entry).collect();
        self.breaker.tries();
        let begun = Instant::now();
        let new = self.database.write(&entries).await?;
        self.metrics.batch_seconds.observe(begun.elapsed().as_secs_f64());
        self.metrics.batches.inc();
        self.metrics.events.inc_by(new);
        self.works();
        Ok(())
    }

    async fn bury(&mut self, delivery: &Delivery, why: &str) -> Result<(), Stopped> {
        let letter = DeadLetter {
            stream: self.layout.events(delivery.partition),
            entry_id: delivery.id.clone(),
            payload: delivery.shown().into_owned(),
            error: why.to_owned(),
        };
        loop {
            self.breaker.tries();
            match self.database.bury(&letter).await {
                Ok(()) => break,
                Err(error) => self.pause(&error).await?,
            }
        }
        self.works();
        self.metrics.dead_letters.inc();
        let (stream, entry) = (&letter.stream, &letter.entry_id);
        tracing::error!(%stream, %entry, error = why, "an entry is not taken; it is in dead_letters");
        Ok(())
    }

    fn works(&mut self) {
        self.breaker.worked();
        self.condition.postgres.set(true);
    }

    async fn pause(&mut self, error: &LedgerError) -> Result<(), Stopped> {
        self.condition.postgres.set(false);
        let wait: Duration = self.breaker.failed(error);
        tokio::select! {
            () = sleep(wait) => Ok(()),
            () = self.stop.cancelled() => Err(Stopped),
        }
    }
}
