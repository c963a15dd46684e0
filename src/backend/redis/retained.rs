use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::limit::Entries;

/// Maximum bytes of retained entries, over all partitions. A busy node writes this much in some minutes.
const MOST_BYTES: usize = 64 * 1024 * 1024;

/// The entries that this node has appended to the streams and that the workers have not taken yet. Redis may lose its last second, or
/// everything; the ledger must not. An entry that is appended twice does no harm, because events have ids.
#[derive(Debug, Default)]
pub(super) struct Retained {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    partitions: Vec<VecDeque<(StreamId, Arc<[u8]>)>>,
    bytes: usize,
}

/// The id of an entry in a stream: milliseconds and a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct StreamId(pub(super) u64, pub(super) u64);

impl StreamId {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (time, number) = text.split_once('-')?;
        Some(Self(time.parse().ok()?, number.parse().ok()?))
    }
}

impl std::fmt::Display for StreamId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.0, self.1)
    }
}

impl Retained {
    pub(super) fn new(partitions: u16) -> Self {
        let partitions = vec![VecDeque::new(); partitions.into()];
        Self { inner: Mutex::new(Inner { partitions, ..Inner::default() }) }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Retains an entry, and drops the oldest of the longest partition beyond the limit. Returns how many were dropped.
    pub(super) fn retain(&self, partition: u16, id: StreamId, entry: Vec<u8>) -> u64 {
        let mut inner = self.inner();
        let Inner { partitions, bytes } = &mut *inner;
        let Some(queue) = partitions.get_mut(usize::from(partition)) else { return 0 };
        *bytes += entry.len();
        queue.push_back((id, entry.into()));
        let mut gone = 0;
        while *bytes > MOST_BYTES {
            let longest = partitions.iter_mut().max_by_key(|queue| queue.len());
            let Some((_, old)) = longest.and_then(VecDeque::pop_front) else { break };
            *bytes -= old.len();
            gone += 1;
        }
        gone
    }

    /// Drops the entries before `first`, which the workers have taken.
    pub(super) fn trim_acked(&self, partition: u16, first: StreamId) {
        let mut inner = self.inner();
        let Inner { partitions, bytes } = &mut *inner;
        let Some(queue) = partitions.get_mut(usize::from(partition)) else { return };
        while queue.front().is_some_and(|(id, _)| *id < first) {
            *bytes -= queue.pop_front().map_or(0, |(_, entry)| entry.len());
        }
        if queue.is_empty() {
            *queue = VecDeque::new();
        }
    }

    /// The last retained entry.
    pub(super) fn last(&self, partition: u16) -> Option<StreamId> {
        self.inner().partitions.get(usize::from(partition)).and_then(|queue| queue.back().map(|(id, _)| *id))
    }

    /// What is retained.
    pub(super) fn size(&self) -> Entries {
        let inner = self.inner();
        Entries { number: inner.partitions.iter().map(|queue| queue.len() as u64).sum(), bytes: inner.bytes as u64 }
    }

    /// All retained entries of a partition, oldest first.
    pub(super) fn all(&self, partition: u16) -> Vec<(StreamId, Arc<[u8]>)> {
        self.inner()
            .partitions
            .get(usize::from(partition))
            .map(|queue| queue.iter().cloned().collect())
            .unwrap_or_default()
    }

    /// Records the new id of an entry that was appended again.
    pub(super) fn moved(&self, partition: u16, old: StreamId, new: StreamId) {
        let mut inner = self.inner();
        let Some(queue) = inner.partitions.get_mut(usize::from(partition)) else { return };
        let Some(place) = queue.iter().position(|(id, _)| *id == old) else { return };
        if let Some((_, entry)) = queue.remove(place) {
            queue.push_back((new, entry));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_out_is_forgotten_and_the_oldest_go_first() {
        let kept = Retained::new(2);
        for number in 0..5 {
            kept.retain(1, StreamId(10, number), b"entry".to_vec());
        }
        kept.trim_acked(1, StreamId::parse("10-2").unwrap());
        let ids = |kept: &Retained| kept.all(1).iter().map(|(id, _)| id.to_string()).collect::<Vec<_>>();
        assert_eq!(ids(&kept), ["10-2", "10-3", "10-4"]);
        kept.moved(1, StreamId(10, 2), StreamId(20, 0));
        assert_eq!(ids(&kept), ["10-3", "10-4", "20-0"]);
        assert_eq!((kept.last(1), kept.last(0)), (Some(StreamId(20, 0)), None));
        let large = vec![0; MOST_BYTES / 2];
        let gone = (1..4).map(|number| kept.retain(1, StreamId(20, number), large.clone()));
        assert_eq!(gone.collect::<Vec<_>>(), [0, 3, 1], "it is said how many can no longer be put back");
        assert!(kept.inner().bytes <= MOST_BYTES);
        assert_eq!(kept.all(1).len(), 2);
        kept.trim_acked(1, StreamId(99, 0));
        assert_eq!(kept.inner().bytes, 0);
    }
}
