//! The memory of Redis that the ledger queue may take, and its division among partitions.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// The queue may take this fraction of the memory of Redis.
const PART: u64 = 4;
/// The limit where the memory of Redis is unlimited or unknown.
const UNKNOWN: u64 = 64 * 1024 * 1024;
/// Minimum interval of measurements for partitions that have used up their share.
const MOMENT: Duration = Duration::from_millis(100);

/// The memory of Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Memory {
    /// The limit of one server, if known.
    pub(super) of_each: Option<u64>,
    /// The number of servers.
    pub(super) servers: u64,
}

/// How many bytes may wait in all streams together; `set` for each server, if the settings say it.
pub(super) fn limit(set: Option<u64>, memory: Memory) -> u64 {
    let of_each = set.unwrap_or_else(|| memory.of_each.map_or(UNKNOWN, |all| all / PART));
    of_each.saturating_mul(memory.servers.max(1))
}

/// The bytes that may wait in the streams. The commit script compares with the share of its partition, so that commits cannot race past the
/// limit; the sum of all shares never exceeds it.
#[derive(Debug)]
pub(super) struct Quota {
    /// The limit for each server, from the settings.
    set: Option<u64>,
    shares: Vec<AtomicU64>,
    /// The time of the last measurement.
    seen: Mutex<Instant>,
}

impl Quota {
    pub(super) fn new(set: Option<u64>, partitions: u16) -> Self {
        let shares = (0..partitions).map(|_| AtomicU64::new(0)).collect();
        let quota = Self { set, shares, seen: Mutex::new(Instant::now()) };
        // The limit before the first measurement.
        quota.divide(Memory { of_each: None, servers: 1 }, &vec![0; partitions.into()]);
        quota
    }

    /// The share of a partition.
    pub(super) fn share(&self, partition: u16) -> u64 {
        self.shares.get(usize::from(partition)).map_or(0, |share| share.load(Ordering::Relaxed))
    }

    /// Whether a new measurement is due. Of concurrent callers only one gets `true`.
    pub(super) fn is_old(&self) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let old = seen.elapsed() >= MOMENT;
        if old {
            *seen = Instant::now();
        }
        old
    }

    /// Gives each partition what it uses already, and an equal part of the rest, so that a busy partition gets what it needs while there is
    /// enough. Returns the limit.
    pub(super) fn divide(&self, memory: Memory, taken: &[u64]) -> u64 {
        let most = limit(self.set, memory);
        let left = most.saturating_sub(taken.iter().sum());
        let more = left / (self.shares.len() as u64).max(1);
        for (share, taken) in self.shares.iter().zip(taken) {
            share.store(taken.saturating_add(more), Ordering::Relaxed);
        }
        most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    #[test]
    fn there_is_a_quarter_of_the_memory_or_what_is_set_for_each_server() {
        let alone = |of_each| Memory { of_each, servers: 1 };
        let quota = Quota::new(None, 16);
        assert_eq!(quota.divide(alone(None), &[0; 16]), 64 * MIB);
        assert_eq!(quota.divide(alone(Some(384 * MIB)), &[0; 16]), 96 * MIB);
        assert_eq!(quota.divide(Memory { of_each: Some(384 * MIB), servers: 3 }, &[0; 16]), 288 * MIB);
        let set = Quota::new(Some(8 * MIB), 16);
        assert_eq!(set.divide(alone(Some(384 * MIB)), &[0; 16]), 8 * MIB);
        assert_eq!(set.share(3), 8 * MIB / 16);
    }

    #[test]
    fn a_busy_partition_gets_more_and_all_together_never_too_much() {
        let quota = Quota::new(Some(16 * MIB), 4);
        let memory = Memory { of_each: None, servers: 1 };
        let mut taken = [MIB, 0, 0, 0];
        for _ in 0..100 {
            quota.divide(memory, &taken);
            let shares: u64 = (0..4).map(|partition| quota.share(partition)).sum();
            assert!(shares <= 16 * MIB, "{shares}");
            taken[0] = quota.share(0);
        }
        assert!(taken[0] > 15 * MIB, "one may have nearly all of it: {}", taken[0]);
        // Nothing is left for the others; beyond the limit nothing is left for any partition.
        assert!(quota.share(1) < MIB);
        quota.divide(memory, &[20 * MIB, 5, 0, 0]);
        assert_eq!((quota.share(0), quota.share(1), quota.share(2)), (20 * MIB, 5, 0));
    }
}
