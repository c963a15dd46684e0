use std::{
    cell::Cell,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
};

use prometheus_client::metrics::counter::Atomic;

/// Number of shards. More threads than that share them.
pub(super) const SHARDS: usize = 8;

/// A counter with a shard for each thread, because all threads count frames at the same time.
#[derive(Debug, Default)]
pub struct Sharded([Shard; SHARDS]);

/// Aligned to the two cache lines that processors fetch at once.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard(AtomicU64);

/// The shard of this thread, below [`SHARDS`].
pub(super) fn place() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    const NONE: usize = usize::MAX;
    thread_local! {
        static MINE: Cell<usize> = const { Cell::new(NONE) };
    }
    MINE.with(|mine| {
        if mine.get() == NONE {
            mine.set(NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS);
        }
        mine.get()
    })
}

impl Atomic<u64> for Sharded {
    fn inc(&self) -> u64 {
        self.inc_by(1)
    }

    /// Returns the previous value of one shard; no caller uses it.
    fn inc_by(&self, more: u64) -> u64 {
        self.0.get(place()).map_or(0, |shard| shard.0.fetch_add(more, Ordering::Relaxed))
    }

    fn get(&self) -> u64 {
        self.0.iter().map(|shard| shard.0.load(Ordering::Relaxed)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn additions_of_all_threads_are_counted() {
        let sum = Sharded::default();
        std::thread::scope(|scope| {
            for _ in 0..SHARDS * 2 {
                scope.spawn(|| (0..1_000).for_each(|_| _ = sum.inc()));
            }
        });
        assert_eq!(sum.get(), 16_000);
    }
}
