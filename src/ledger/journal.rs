use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
    mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
};

use super::Entry;

/// Number of entries that may wait for the writer: minutes of a busy node, at some hundred bytes each.
const CAPACITY: usize = 100_000;

/// The queue to the writer. Appending never waits: when the database has failed for so long that the queue is full, the newest entries are
/// dropped, counted, and reported by the writer.
#[derive(Debug, Clone)]
pub struct Journal {
    /// Boxed, because the queue allocates all of its capacity at once.
    queue: SyncSender<Box<Entry>>,
    state: Arc<JournalState>,
}

/// The state of the queue that both of its ends share.
#[derive(Debug, Default)]
pub(super) struct JournalState {
    pub(super) waiting: AtomicU64,
    pub(super) lost: AtomicU64,
    pub(super) written: AtomicU64,
    pub(super) failures: AtomicU64,
    pub(super) stopping: AtomicBool,
}

impl Journal {
    pub(super) fn new() -> (Self, Receiver<Box<Entry>>, Arc<JournalState>) {
        let (queue, entries) = sync_channel(CAPACITY);
        let state = Arc::new(JournalState::default());
        (Self { queue, state: Arc::clone(&state) }, entries, state)
    }

    /// Puts an entry into the queue.
    pub fn append(&self, entry: Entry) {
        let events = entry.event_count();
        self.state.waiting.fetch_add(1, Ordering::Relaxed);
        match self.queue.try_send(Box::new(entry)) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.state.waiting.fetch_sub(1, Ordering::Relaxed);
                self.state.lost.fetch_add(events, Ordering::Relaxed);
            }
        }
    }

    /// Entries that wait to be written.
    pub fn waiting(&self) -> u64 {
        self.state.waiting.load(Ordering::Relaxed)
    }

    /// Events that were dropped.
    pub fn lost(&self) -> u64 {
        self.state.lost.load(Ordering::Relaxed)
    }

    /// Events that are in the database.
    pub fn written(&self) -> u64 {
        self.state.written.load(Ordering::Relaxed)
    }

    /// Batches that failed and were tried again.
    pub fn failures(&self) -> u64 {
        self.state.failures.load(Ordering::Relaxed)
    }
}
