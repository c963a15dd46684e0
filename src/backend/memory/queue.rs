//! The ledger queue in one process. It does what `XADD`, `XREADGROUP`, `XAUTOCLAIM`, `XDEL` and `XACK` do with a stream of Redis.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use tokio::time::Instant;

use super::lock;
use crate::{
    backend::{
        BackendError, Backlog, LedgerQueue, QueueLevel, QueueReading, QueuedEntry,
        ports::partition_of,
        records::{Codec, encode_entry},
    },
    clock::{self, Millis},
    ledger::Entry,
};

/// Entries that wait to be written, by partition.
#[derive(Debug)]
pub struct MemoryQueue {
    streams: Vec<Mutex<Stream>>,
    /// Maximum number of entries of a partition.
    most: usize,
    /// The start of this queue, by the time of tokio and in ms since 1970.
    began: (Instant, Millis),
    codec: Codec,
}

#[derive(Debug, Default)]
struct Stream {
    entries: BTreeMap<u64, Queued>,
    last: u64,
    /// The last entry that was delivered to a worker.
    given: u64,
    in_hand: BTreeMap<u64, InHand>,
    /// When each worker made its last request.
    workers: HashMap<String, Instant>,
}

#[derive(Debug)]
struct Queued {
    at: Millis,
    text: Arc<[u8]>,
}

#[derive(Debug)]
struct InHand {
    worker: String,
    since: Instant,
}

/// The end of the queue of one worker.
#[derive(Debug)]
pub struct MemoryConsumer {
    queue: Arc<MemoryQueue>,
    name: String,
    /// Entries to read at once, from all partitions.
    batch: usize,
    /// For each partition: the entry after which some may have been delivered to this worker and not acknowledged.
    owed: Vec<Option<u64>>,
}

impl MemoryQueue {
    /// A queue for up to `most` entries in each of its `partitions`.
    pub fn new(partitions: u16, most: usize) -> Arc<Self> {
        let streams = (0..partitions.max(1)).map(|_| Mutex::default()).collect();
        Arc::new(Self { streams, most, began: (Instant::now(), clock::system()), codec: Codec::default() })
    }

    /// Connects a worker. It continues where an earlier one with this name stopped.
    pub fn consumer(self: &Arc<Self>, name: &str, batch: usize) -> MemoryConsumer {
        let owed = vec![Some(0); self.streams.len()];
        MemoryConsumer { queue: Arc::clone(self), name: name.to_owned(), batch, owed }
    }

    fn now(&self) -> Millis {
        self.began.1 + clock::millis(self.began.0.elapsed())
    }

    pub(super) fn append(&self, entry: &Entry) -> Result<(), BackendError> {
        let text = encode_entry(entry, &self.codec);
        let partitions = u16::try_from(self.streams.len()).unwrap_or(u16::MAX);
        let Some(stream) = self.streams.get(usize::from(partition_of(&entry.update.room, partitions))) else {
            return Ok(());
        };
        let mut stream = lock(stream);
        if stream.entries.len() >= self.most {
            return Err(BackendError::LedgerFull);
        }
        stream.last += 1;
        let last = stream.last;
        stream.entries.insert(last, Queued { at: self.now(), text: text.into() });
        Ok(())
    }

    pub(super) fn backlog(&self) -> Backlog {
        let mut backlog = Backlog::default();
        for stream in &self.streams {
            let stream = lock(stream);
            backlog.entries += stream.entries.len() as u64;
            backlog.bytes += stream.entries.values().map(|entry| entry.text.len() as u64).sum::<u64>();
        }
        backlog
    }
}

impl Stream {
    fn entry(&self, partition: u16, id: u64) -> QueuedEntry {
        let text = self.entries.get(&id).map(|entry| entry.text.to_vec());
        QueuedEntry { partition, id: format!("{id}-0"), text }
    }

    fn give(&mut self, id: u64, worker: &str) {
        self.in_hand.insert(id, InHand { worker: worker.to_owned(), since: Instant::now() });
    }
}

fn number(id: &str) -> Option<u64> {
    id.split('-').next()?.parse().ok()
}

impl MemoryConsumer {
    fn streams(&self) -> impl Iterator<Item = (u16, &Mutex<Stream>)> {
        (0_u16..).zip(&self.queue.streams)
    }
}

#[async_trait]
impl LedgerQueue for MemoryConsumer {
    fn partitions(&self) -> u16 {
        u16::try_from(self.queue.streams.len()).unwrap_or(u16::MAX)
    }

    fn name_of(&self, partition: u16) -> String {
        format!("{{{partition}}}:events")
    }

    async fn read(&mut self) -> Result<QueueReading, BackendError> {
        let count = self.batch.div_ceil(self.queue.streams.len().max(1));
        let mut reading = QueueReading::default();
        let mut owed = self.owed.clone();
        for ((partition, stream), owed) in self.streams().zip(&mut owed) {
            let mut stream = lock(stream);
            stream.workers.insert(self.name.clone(), Instant::now());
            let ids: Vec<u64> = match *owed {
                Some(after) => {
                    let mine = stream.in_hand.range(after + 1..).filter(|(_, hand)| hand.worker == self.name);
                    mine.map(|(id, _)| *id).take(count).collect()
                }
                None => stream.entries.range(stream.given + 1..).map(|(id, _)| *id).take(count).collect(),
            };
            match owed {
                Some(_) => *owed = ids.last().copied(),
                None => {
                    for id in &ids {
                        stream.give(*id, &self.name);
                        stream.given = *id;
                    }
                }
            }
            reading.more |= ids.len() >= count;
            reading.entries.extend(ids.into_iter().map(|id| stream.entry(partition, id)));
        }
        self.owed = owed;
        Ok(reading)
    }

    async fn take_over(&mut self, idle: Duration) -> Result<Vec<QueuedEntry>, BackendError> {
        let count = self.batch.div_ceil(self.queue.streams.len().max(1));
        let mut taken = Vec::new();
        for (partition, stream) in self.streams() {
            let mut stream = lock(stream);
            let old = stream.in_hand.iter().filter(|(_, hand)| hand.since.elapsed() >= idle);
            let old: Vec<u64> = old.map(|(id, _)| *id).take(count).collect();
            for id in old {
                if stream.entries.contains_key(&id) {
                    stream.give(id, &self.name);
                    taken.push(stream.entry(partition, id));
                } else {
                    stream.in_hand.remove(&id);
                }
            }
        }
        Ok(taken)
    }

    async fn acknowledge(&mut self, entries: &[&QueuedEntry]) -> Result<(), BackendError> {
        for entry in entries {
            let stream = self.queue.streams.get(usize::from(entry.partition));
            if let (Some(stream), Some(id)) = (stream, number(&entry.id)) {
                let mut stream = lock(stream);
                stream.entries.remove(&id);
                stream.in_hand.remove(&id);
            }
        }
        Ok(())
    }

    async fn level(&mut self) -> Result<Option<QueueLevel>, BackendError> {
        let partitions = self.streams().map(|(_, stream)| {
            let stream = lock(stream);
            (stream.entries.len(), stream.entries.values().next().map(|entry| entry.at))
        });
        Ok(Some(QueueLevel { partitions: partitions.collect(), now: self.queue.now(), ..QueueLevel::default() }))
    }

    async fn forget_workers(&mut self, idle: Duration) -> Result<u64, BackendError> {
        let mut most = 0;
        for (_, stream) in self.streams() {
            let mut stream = lock(stream);
            let Stream { workers, in_hand, .. } = &mut *stream;
            let before = workers.len();
            let busy = |name: &String| in_hand.values().any(|hand| hand.worker == *name);
            workers.retain(|name, heard| heard.elapsed() <= idle || busy(name));
            most = most.max((before - workers.len()) as u64);
        }
        Ok(most)
    }
}
