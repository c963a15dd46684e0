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
};

/// The partition of a room, of so many. The hash is fixed for ever: nodes of different builds must agree.
pub(in crate::backend) fn partition_of(room: &RoomId, partitions: u16) -> u16 {
    let mut hash = SipHasher13::new();
    hash.write(room.as_str().as_bytes());
    u16::try_from(hash.finish() % u64::from(partitions.max(1))).unwrap_or_default()
}

/// How much waits in the ledger's queue, all partitions together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backlog {
    /// How many entries.
    pub entries: u64,
    /// What they take of the memory of shared state.
    pub bytes: u64,
    /// As much as they may take; 0 if no ledger is kept.
    pub most_bytes: u64,
}

/// A node's end of the queue to the ledger. Entries get in with the [commit](super::RoomStore::commit) that they tell of.
#[async_trait]
pub trait LedgerFeed: Send + Sync + 'static {
    /// Forgets this node's copies of entries that the worker has taken, and tells how much waits.
    async fn poll_backlog(&self) -> Result<Backlog, BackendError>;
}

/// An entry as it came out of the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedEntry {
    /// The partition that it came from.
    pub partition: u16,
    /// Its id within the partition.
    pub id: String,
    /// None for one that was deleted while it was in hand.
    pub text: Option<Vec<u8>>,
}

impl QueuedEntry {
    /// What it says, or why that cannot be read.
    pub fn entry(&self) -> Option<Result<Entry, RecordError>> {
        let text = self.text.as_deref()?;
        Some(std::str::from_utf8(text).map_err(RecordError::from).and_then(decode_entry))
    }
}

/// What one read of the queue brought.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueueReading {
    /// Of each partition in its order.
    pub entries: Vec<QueuedEntry>,
    /// There was more than one read brings.
    pub more: bool,
}

/// How much waits in each partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueueLevel {
    /// For each partition: how many entries, and when the oldest of them was appended.
    pub partitions: Vec<(usize, Option<Millis>)>,
    /// What time it is by the clock that entries are dated by.
    pub now: Millis,
}

/// A worker's end of the queue to the ledger. Whatever is read stays in the queue, in this worker's hand, until it is
/// [acknowledged](LedgerQueue::acknowledge): a worker that dies, or loses its connection, loses nothing.
#[async_trait]
pub trait LedgerQueue: Send + 'static {
    /// How many partitions there are.
    fn partitions(&self) -> u16;

    /// The name of a partition, for operators.
    fn name_of(&self, partition: u16) -> String;

    /// What is new; but after a loss of the connection first what was given to this worker before and has not been acknowledged.
    async fn read(&mut self) -> Result<QueueReading, BackendError>;

    /// What other workers have had in hand for longer than `idle`: they are dead, or might as well be.
    async fn take_over(&mut self, idle: Duration) -> Result<Vec<QueuedEntry>, BackendError>;

    /// These are in the ledger: they leave the queue.
    async fn acknowledge(&mut self, entries: &[&QueuedEntry]) -> Result<(), BackendError>;

    /// How much waits. Nothing if the nodes write to another number of partitions.
    async fn level(&mut self) -> Result<Option<QueueLevel>, BackendError>;

    /// Forgets workers that have nothing in hand and have not been heard of for `idle`. How many.
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
