use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{Receiver, RecvTimeoutError},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rusqlite::Connection;

use super::{Entry, Journal, journal::JournalState, sqlite};
use crate::{
    clock::{Clock, Millis},
    telemetry::contained_call,
};

/// How long the first entry of a batch waits for others. A killed process loses this time, and that of a transaction.
const GATHER: Duration = Duration::from_millis(200);
/// The largest batch, in entries.
const BATCH: usize = 10_000;
/// How often an idle writer checks whether it should stop.
const IDLE: Duration = Duration::from_millis(100);
/// How often the writer records that the node is alive.
const ALIVE: Millis = 5_000;
/// Pause between two attempts while the database fails.
const RETRY: Duration = Duration::from_millis(250);
/// How often a lasting failure is logged.
const REPORT: Duration = Duration::from_secs(10);
/// How long a stopping node waits for a failing database.
const LAST_TRIES: Duration = Duration::from_secs(3);

/// Why the ledger could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the ledger {path}: {source}")]
pub struct WriterError {
    /// The file.
    pub path: PathBuf,
    /// What SQLite says.
    pub source: rusqlite::Error,
}

/// The thread that writes the ledger.
#[derive(Debug)]
pub struct Writer {
    thread: JoinHandle<()>,
    state: Arc<JournalState>,
}

impl Writer {
    /// Opens or creates the database, and starts to write.
    pub fn start(path: &Path, clock: Clock) -> Result<(Self, Journal), WriterError> {
        let db = sqlite::open_for_events(path).map_err(|source| WriterError { path: path.to_owned(), source })?;
        let (journal, entries, state) = Journal::new();
        let shared = Arc::clone(&state);
        let thread = std::thread::spawn(move || {
            WriterThread { db, state: shared, clock, outage: None, alive: 0, stopping: None }.run(&entries);
        });
        Ok((Self { thread, state }, journal))
    }

    /// Writes what is left, and ends. It blocks for some milliseconds, or for 3 s while the database fails.
    pub fn stop(self) {
        self.state.stopping.store(true, Ordering::Release);
        if self.thread.join().is_err() {
            tracing::error!("the thread that writes the ledger has died");
        }
    }
}

struct WriterThread {
    db: Connection,
    state: Arc<JournalState>,
    clock: Clock,
    outage: Option<Outage>,
    alive: Millis,
    /// Since when the writer has been told to stop but could not.
    stopping: Option<Instant>,
}

/// Since when the database has failed, and when that was last logged.
struct Outage {
    since: Instant,
    said: Instant,
}

impl WriterThread {
    fn run(mut self, entries: &Receiver<Box<Entry>>) {
        loop {
            // Read before the queue, so that whatever was appended before the request to stop is still found.
            let stopping = self.state.stopping.load(Ordering::Acquire);
            match entries.recv_timeout(IDLE) {
                Ok(first) => {
                    let batch = gather(first, entries);
                    if contained_call(|| self.persist(&batch)).is_none() {
                        self.lose(&batch);
                    }
                    self.state.waiting.fetch_sub(batch.len() as u64, Ordering::Relaxed);
                }
                Err(RecvTimeoutError::Timeout) if !stopping => self.note_alive(),
                Err(_) => break,
            }
        }
        self.alive = 0;
        self.note_alive();
    }

    fn persist(&mut self, batch: &[Entry]) {
        loop {
            match sqlite::write(&mut self.db, batch, self.clock.now()) {
                Ok(()) => {
                    self.count(batch);
                    self.recovered();
                    return;
                }
                Err(error) if sqlite::is_outage(&error) => {
                    self.report(&error);
                    if self.state.stopping.load(Ordering::Acquire)
                        && self.stopping.get_or_insert_with(Instant::now).elapsed() > LAST_TRIES
                    {
                        self.lose(batch);
                        return;
                    }
                    std::thread::sleep(RETRY);
                }
                Err(error) => {
                    self.one_by_one(batch, &error);
                    return;
                }
            }
        }
    }

    /// An entry that the database will never accept must not block the others.
    fn one_by_one(&mut self, batch: &[Entry], error: &rusqlite::Error) {
        if let [entry] = batch {
            let (room, events) = (&entry.update.room, entry.event_count());
            tracing::error!(%room, events, %error, "an entry could not be written to the ledger");
            self.lose(batch);
            return;
        }
        let (left, right) = batch.split_at(batch.len() / 2);
        self.persist(left);
        self.persist(right);
    }

    fn report(&mut self, error: &rusqlite::Error) {
        self.state.failures.fetch_add(1, Ordering::Relaxed);
        let now = Instant::now();
        if self.outage.as_ref().is_none_or(|outage| now - outage.said > REPORT) {
            let waiting = self.state.waiting.load(Ordering::Relaxed);
            let lost = self.state.lost.load(Ordering::Relaxed);
            tracing::warn!(%error, waiting, lost, "the ledger cannot be written and will be retried; rooms are not affected");
            let since = self.outage.as_ref().map_or(now, |outage| outage.since);
            self.outage = Some(Outage { since, said: now });
        }
    }

    fn recovered(&mut self) {
        if let Some(outage) = self.outage.take() {
            let seconds = outage.since.elapsed().as_secs();
            let lost = self.state.lost.load(Ordering::Relaxed);
            tracing::info!(seconds, lost, "the ledger can be written again");
        }
    }

    fn count(&self, batch: &[Entry]) {
        self.state.written.fetch_add(batch.iter().map(Entry::event_count).sum(), Ordering::Relaxed);
    }

    fn lose(&self, batch: &[Entry]) {
        let events: u64 = batch.iter().map(Entry::event_count).sum();
        self.state.lost.fetch_add(events, Ordering::Relaxed);
        tracing::error!(events, "events are lost to the ledger");
    }

    fn note_alive(&mut self) {
        let now = self.clock.now();
        if now.saturating_sub(self.alive) < ALIVE {
            return;
        }
        self.alive = now;
        if let Err(error) = sqlite::alive(&self.db, now) {
            self.report(&error);
        }
    }
}

/// Waits first and reads the queue then, so nobody has to wake this thread for each entry.
fn gather(first: Box<Entry>, entries: &Receiver<Box<Entry>>) -> Vec<Entry> {
    std::thread::sleep(GATHER);
    std::iter::once(first).chain(entries.try_iter().take(BATCH - 1)).map(|entry| *entry).collect()
}
