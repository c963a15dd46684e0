use super::PoolUse;

/// The values of a node that are collected only when it is scraped.
#[derive(Debug, Clone, Copy, Default)]
#[allow(missing_docs, reason = "each is its own name")]
pub struct Snapshot {
    pub rooms: usize,
    /// Bytes that wait in all outboxes, and in the fullest one.
    pub outbox: (usize, usize),
    pub journal_waiting: u64,
    pub journal_written: u64,
    pub journal_lost: u64,
    pub journal_failures: u64,
    pub pool: PoolUse,
}
