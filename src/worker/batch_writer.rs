use std::{borrow::Cow, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{WorkerMetrics, breaker::Breaker, condition::Condition};
use crate::{
    backend::{QueuedEntry, records::RecordError},
    clock::millis,
    ledger::{DeadLetter, Entry, EventStore, LedgerError, Verdict},
    limit::Throttle,
};

/// How often the same entries may fail while PostgreSQL accepts others, before they are considered at fault.
const STRIKES: u32 = 3;
/// Rate limit of log lines about dead letters: a burst, and lines per second.
const LINES: u32 = 20;
const LINES_PER_SECOND: u32 = 1;

/// The worker was told to stop while PostgreSQL failed. The claimed entries stay in Redis.
#[derive(Debug)]
pub(super) struct Stopped;

/// Writes batches, retrying for as long as it takes.
pub(super) struct BatchWriter {
    store: Arc<dyn EventStore>,
    /// The names of the partitions that the entries come from.
    names: Vec<String>,
    breaker: Breaker,
    metrics: Arc<WorkerMetrics>,
    condition: Arc<Condition>,
    stop: CancellationToken,
    /// For the log lines about dead letters.
    lines: Throttle,
    began: Instant,
}

/// Entries that are written together, and how often that failed while others were accepted.
struct Part<'p, 'd> {
    entries: &'p [(&'d QueuedEntry, Entry)],
    strikes: u32,
}

/// An entry as JSON, which people can read and `replay` takes; what is no entry as it is.
fn payload(queued: &QueuedEntry) -> Cow<'_, [u8]> {
    let json = queued.entry().and_then(Result::ok).and_then(|entry| serde_json::to_vec(&entry).ok());
    json.map_or(Cow::Borrowed(queued.text.as_deref().unwrap_or_default()), Cow::Owned)
}

impl BatchWriter {
    pub(super) fn new(
        store: Arc<dyn EventStore>,
        names: Vec<String>,
        metrics: Arc<WorkerMetrics>,
        condition: Arc<Condition>,
        stop: CancellationToken,
    ) -> Self {
        let breaker = Breaker::new(Arc::clone(&metrics));
        let lines = Throttle::new(LINES_PER_SECOND, LINES);
        Self { store, names, breaker, metrics, condition, stop, lines, began: Instant::now() }
    }

    /// Writes a batch, and returns the entries that may leave Redis: PostgreSQL has them as events or as dead letters. The others stay in Redis
    /// and will be read again.
    pub(super) async fn write<'a>(&mut self, batch: &'a [QueuedEntry]) -> Result<Vec<&'a QueuedEntry>, Stopped> {
        let mut entries = Vec::with_capacity(batch.len());
        let mut done: Vec<&'a QueuedEntry> = Vec::with_capacity(batch.len());
        let mut aside: Option<(&'a QueuedEntry, String)> = None;
        let before = self.metrics.set_aside.get();
        for queued in batch {
            match queued.entry() {
                Some(Ok(entry)) => entries.push((queued, entry)),
                // A worker of a newer release writes it.
                Some(Err(error @ RecordError::Newer { .. })) => {
                    aside = Some((queued, self.set_aside(&error.to_string())));
                }
                Some(Err(error)) => match self.dead_letter(queued, &format!("it is no entry: {error}")).await? {
                    Ok(()) => done.push(queued),
                    Err(why) => aside = Some((queued, self.set_aside(&why))),
                },
                None => done.push(queued),
            }
        }
        let mut parts = vec![Part { entries: &entries, strikes: 0 }];
        while let Some(Part { entries: part, strikes }) = parts.pop() {
            let Some((first, _)) = part.first() else { continue };
            let error = match self.try_write(part).await {
                Ok(()) => {
                    done.extend(part.iter().map(|(queued, _)| *queued));
                    continue;
                }
                Err(error) => error,
            };
            let verdict = error.verdict();
            if verdict != Verdict::Data && !self.takes_others(&error).await? && strikes < STRIKES {
                // PostgreSQL failed, and has recovered.
                parts.push(Part { entries: part, strikes: strikes + u32::from(verdict != Verdict::Unclear) });
                continue;
            }
            if verdict == Verdict::Outage && strikes < STRIKES || verdict == Verdict::Unclear && strikes == 0 {
                // Another attempt, on a fresh connection.
                parts.push(Part { entries: part, strikes: strikes + 1 });
                continue;
            }
            if part.len() > 1 {
                // The refused entry must not block the others.
                let (left, right) = part.split_at(part.len() / 2);
                parts.extend([right, left].map(|entries| Part { entries, strikes: 0 }));
                continue;
            }
            let kept = match verdict {
                Verdict::Data | Verdict::Unclear => self.dead_letter(first, &error.to_string()).await?,
                Verdict::Late | Verdict::Outage => Err(error.to_string()),
            };
            match kept {
                Ok(()) => done.push(first),
                Err(why) => aside = Some((first, self.set_aside(&why))),
            }
        }
        if let Some((queued, error)) = aside {
            let (stream, entry) = (self.name_of(queued), &queued.id);
            let entries = self.metrics.set_aside.get() - before;
            tracing::error!(entries, %stream, %entry, error, "these entries cannot be written, although others can; they stay in Redis and are retried");
        }
        Ok(done)
    }

    fn name_of(&self, entry: &QueuedEntry) -> &str {
        self.names.get(usize::from(entry.partition)).map_or("", String::as_str)
    }

    fn set_aside(&self, why: &str) -> String {
        self.metrics.set_aside.inc();
        why.to_owned()
    }

    async fn try_write(&mut self, part: &[(&QueuedEntry, Entry)]) -> Result<(), LedgerError> {
        let entries: Vec<&Entry> = part.iter().map(|(_, entry)| entry).collect();
        self.breaker.tries();
        let begun = Instant::now();
        let new = self.store.write(&entries).await?;
        self.metrics.batch_seconds.observe(begun.elapsed().as_secs_f64());
        self.metrics.batches.inc();
        self.metrics.events.inc_by(new);
        self.works();
        Ok(())
    }

    /// Stores the entry as a dead letter, or returns why that fails while other writes succeed.
    async fn dead_letter(&mut self, queued: &QueuedEntry, why: &str) -> Result<Result<(), String>, Stopped> {
        let (stream, id) = (self.name_of(queued), queued.id.clone());
        let letter = DeadLetter::new(stream.to_owned(), id, &payload(queued), why.to_owned());
        let mut refused = String::new();
        // A payload that the database does not accept as it is may be accepted in base64.
        for letter in [&letter, &letter.armoured()] {
            let mut strikes = 0;
            loop {
                self.breaker.tries();
                let Err(error) = self.store.dead_letter(letter).await else {
                    self.works();
                    self.metrics.dead_letters.inc();
                    if let Some(skipped) = self.lines.pass(millis(self.began.elapsed())) {
                        let (stream, entry) = (&letter.stream, &letter.entry_id);
                        tracing::error!(%stream, %entry, error = why, skipped, "PostgreSQL refused an entry; it was moved to dead_letters");
                    }
                    return Ok(Ok(()));
                };
                let is_its_own = error.verdict() == Verdict::Data || self.takes_others(&error).await?;
                strikes += u32::from(error.verdict() != Verdict::Data);
                if is_its_own && (error.verdict() == Verdict::Data || strikes >= STRIKES) {
                    refused = format!("{why}; and dead_letters does not take it: {error}");
                    break;
                }
            }
        }
        Ok(Err(refused))
    }

    fn works(&mut self) {
        self.breaker.worked();
        self.condition.stuck.set(false);
    }

    /// Whether PostgreSQL accepts other writes in spite of this error. If it does not, waits until it does, and returns false.
    async fn takes_others(&mut self, error: &LedgerError) -> Result<bool, Stopped> {
        if self.store.takes_entries().await.is_ok() {
            return Ok(true);
        }
        self.pause(error).await?;
        loop {
            self.breaker.tries();
            match self.store.takes_entries().await {
                Ok(()) => return Ok(false),
                Err(error) => self.pause(&error).await?,
            }
        }
    }

    async fn pause(&mut self, error: &LedgerError) -> Result<(), Stopped> {
        self.condition.stuck.set(true);
        let wait: Duration = self.breaker.failed(error);
        tokio::select! {
            () = sleep(wait) => Ok(()),
            () = self.stop.cancelled() => Err(Stopped),
        }
    }
}
