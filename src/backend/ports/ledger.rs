use std::{hash::Hasher as _, time::Duration};

use async_trait::async_trait;
use siphasher::sip::SipHasher13;

use crate::{
    backend::{
        BackendError,
        records::{RecordError, decode_entry},
    },
    clock::Millis,
    id::RoomId,
    ledger::Entry,
    limit::Entries,
};

/// The partition of a room. The hash must never change, because nodes of different builds must agree on it.
pub(in crate::backend) fn partition_of(room: &RoomId, partitions: u16) -> u16 {
    let mut hash = SipHasher13::new();
    hash.write(room.as_str().as_bytes());
    u16::try_from(hash.finish() % u64::from(partitions.max(1))).unwrap_or_default()
}

/// The backlog of the ledger queue, over all partitions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Entries that wait.
    pub entries: u64,
    /// Memory of shared state that they take.
    pub bytes: u64,
    /// Memory that they may take; 0 without a ledger.
    pub most_bytes: u64,
    /// Those of the entries that this node has appended.
    pub own: Entries,
}

/// The node's end of the ledger queue. Entries are appended by the [commit](super::RoomStore::commit) that they belong to.
#[async_trait]
pub trait LedgerFeed: Send + Sync + 'static {
    /// Drops the copies of entries that a worker has taken, and returns the backlog.
    async fn poll_backlog(&self) -> Result<Backlog, BackendError>;
}

/// An entry as it was read from the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedEntry {
    /// The partition of the entry.
    pub partition: u16,
    /// The id of the entry within its partition.
    pub id: String,
    /// `None` for an entry that was deleted while it was pending.
    pub text: Option<Vec<u8>>,
}

impl QueuedEntry {
    /// The decoded entry, or the reason why it cannot be decoded.
    pub fn entry(&self) -> Option<Result<Entry, RecordError>> {
        let text = self.text.as_deref()?;
        Some(decode_entry(text))
    }
}

/// The result of one read of the queue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueueReading {
    /// The entries, in the order of each partition.
    pub entries: Vec<QueuedEntry>,
    /// Whether there are more entries.
    pub more: bool,
}

/// The backlog of each partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueueLevel {
    /// For each partition: the number of entries, and when the oldest one was appended.
    pub partitions: Vec<(usize, Option<Millis>)>,
    /// Memory of shared state that all entries take.
    pub bytes: u64,
    /// Memory that they may take before changes are refused; 0 where nobody limits it.
    pub most_bytes: u64,
    /// The current time, by the clock that dates entries.
    pub now: Millis,
}

/// The worker's end of the ledger queue. What a worker has read stays in the queue, pending, until it is
/// [acknowledged](LedgerQueue::acknowledge), so a worker that dies or loses its connection loses nothing.
#[async_trait]
pub trait LedgerQueue: Send + 'static {
    /// The number of partitions.
    fn partitions(&self) -> u16;

    /// The name of a partition, for operators.
    fn name_of(&self, partition: u16) -> String;

    /// Reads new entries. After a lost connection it first reads those that are pending for this worker.
    async fn read(&mut self) -> Result<QueueReading, BackendError>;

    /// Takes over the entries that have been pending for other workers for longer than `idle`.
    async fn take_over(&mut self, idle: Duration) -> Result<Vec<QueuedEntry>, BackendError>;

    /// Removes entries that are in the ledger from the queue.
    async fn acknowledge(&mut self, entries: &[&QueuedEntry]) -> Result<(), BackendError>;

    /// The backlog; `None` if the nodes write to another number of partitions.
    async fn level(&mut self) -> Result<Option<QueueLevel>, BackendError>;

    /// Removes workers that have no pending entries and were idle for `idle`. Returns how many.
    async fn forget_workers(&mut self, idle: Duration) -> Result<u64, BackendError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_entry_says_why_and_what_is_gone_says_nothing() {
        let entry = |text: Option<&[u8]>| QueuedEntry { partition: 0, id: "1-0".into(), text: text.map(Vec::from) };
        assert!(entry(Some(b"{}")).entry().is_some_and(|entry| entry.is_err()));
        assert!(entry(Some(b"\xff")).entry().is_some_and(|entry| entry.is_err()));
        assert!(entry(None).entry().is_none());
    }
}
