//! The ledger's queue, as one group of workers reads it, and the ledger.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use tandem::{
    backend::{
        BackendError, LedgerQueue, QueueLevel, QueueReading, QueuedEntry,
        records::{Codec, encode_entry},
    },
    clock::Millis,
    ledger::{DeadLetter, Entry, EventStore, LedgerError},
};
use tokio::time::{Instant, sleep};

use crate::{
    bus::{Shared, lock},
    chance::Dice,
};

/// The entries that wait for the ledger, and those that workers have claimed.
#[derive(Debug, Clone, Default)]
pub struct Queue {
    entries: BTreeMap<u64, Arc<Entry>>,
    last: u64,
    given: u64,
    in_hand: BTreeMap<u64, (u64, Instant)>,
}

impl Queue {
    /// The number contains the time, as in a stream of Redis, so a queue that has lost its end gives no number twice.
    pub fn append(&mut self, entry: &Arc<Entry>, now: Millis) -> u64 {
        self.last = (self.last + 1).max(now * 1_000);
        self.entries.insert(self.last, Arc::clone(entry));
        self.last
    }

    pub fn contains(&self, number: u64) -> bool {
        self.entries.contains_key(&number)
    }

    pub fn get(&self, number: u64) -> Option<&Arc<Entry>> {
        self.entries.get(&number)
    }

    /// Whether every entry was given to a worker.
    fn is_read(&self) -> bool {
        self.entries.range(self.given + 1..).next().is_none()
    }

    pub fn len(&self) -> u64 {
        self.entries.len() as u64
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn entry(&self, number: u64) -> QueuedEntry {
        let text = self.entries.get(&number).map(|entry| encode_entry(entry, &Codec::default()));
        QueuedEntry { partition: 0, id: number.to_string(), text }
    }
}

/// The queue, as one worker process sees it.
pub struct Consumer {
    bus: Shared,
    process: u64,
    owed: bool,
    dice: Dice,
}

const BATCH: usize = 50;
/// How long a read waits if it finds nothing. A worker that looks every few milliseconds costs a story more than all its clients.
const IDLE: Duration = Duration::from_millis(400);

impl Consumer {
    pub fn new(bus: &Shared, process: u64, dice: Dice) -> Self {
        Self { bus: Arc::clone(bus), process, owed: true, dice }
    }

    async fn reach(&mut self) -> Result<(), BackendError> {
        sleep(Duration::from_millis(self.dice.between(0, 3))).await;
        if lock(&self.bus).away {
            self.owed = true;
            return Err(BackendError::Unreachable("the store is away".to_owned()));
        }
        Ok(())
    }
}

#[async_trait]
impl LedgerQueue for Consumer {
    fn partitions(&self) -> u16 {
        1
    }

    fn name_of(&self, _partition: u16) -> String {
        "events".to_owned()
    }

    async fn read(&mut self) -> Result<QueueReading, BackendError> {
        self.reach().await?;
        let idle = !self.owed && lock(&self.bus).store.queue.is_read();
        if idle {
            sleep(IDLE).await;
            self.reach().await?;
        }
        let mut bus = lock(&self.bus);
        let queue = &mut bus.store.queue;
        let numbers: Vec<u64> = if std::mem::take(&mut self.owed) {
            queue.in_hand.iter().filter(|(_, (worker, _))| *worker == self.process).map(|(number, _)| *number).collect()
        } else {
            queue.entries.range(queue.given + 1..).map(|(number, _)| *number).take(BATCH).collect()
        };
        for number in &numbers {
            queue.given = queue.given.max(*number);
            queue.in_hand.insert(*number, (self.process, Instant::now()));
        }
        let entries = numbers.iter().map(|number| queue.entry(*number)).collect();
        Ok(QueueReading { entries, more: numbers.len() >= BATCH })
    }

    async fn take_over(&mut self, idle: Duration) -> Result<Vec<QueuedEntry>, BackendError> {
        self.reach().await?;
        let mut bus = lock(&self.bus);
        let queue = &mut bus.store.queue;
        let old = queue.in_hand.iter().filter(|(_, (_, since))| since.elapsed() >= idle);
        let old: Vec<u64> = old.map(|(number, _)| *number).take(BATCH).collect();
        let mut taken = Vec::new();
        for number in old {
            if queue.contains(number) {
                queue.in_hand.insert(number, (self.process, Instant::now()));
                taken.push(queue.entry(number));
            } else {
                queue.in_hand.remove(&number);
            }
        }
        Ok(taken)
    }

    async fn acknowledge(&mut self, entries: &[&QueuedEntry]) -> Result<(), BackendError> {
        self.reach().await?;
        let mut bus = lock(&self.bus);
        for number in entries.iter().filter_map(|entry| entry.id.parse::<u64>().ok()) {
            bus.store.queue.entries.remove(&number);
            bus.store.queue.in_hand.remove(&number);
        }
        Ok(())
    }

    async fn level(&mut self) -> Result<Option<QueueLevel>, BackendError> {
        self.reach().await?;
        let bus = lock(&self.bus);
        let length = usize::try_from(bus.store.queue.len()).unwrap_or(usize::MAX);
        Ok(Some(QueueLevel { partitions: vec![(length, None)], now: bus.now(), ..QueueLevel::default() }))
    }

    async fn forget_workers(&mut self, _idle: Duration) -> Result<u64, BackendError> {
        Ok(0)
    }
}

/// The ledger in place of PostgreSQL: it keeps events by their ids.
#[derive(Default)]
pub struct Ledger {
    events: Mutex<BTreeMap<String, u64>>,
    pub away: AtomicBool,
}

impl Ledger {
    /// The ids of the events that it has.
    pub fn events(&self) -> Vec<String> {
        self.events.lock().unwrap().keys().cloned().collect()
    }

    async fn reach(&self) -> Result<(), LedgerError> {
        sleep(Duration::from_millis(2)).await;
        if self.away.load(Ordering::Relaxed) {
            sleep(Duration::from_secs(1)).await;
            return Err(LedgerError::Late(Duration::from_secs(1)));
        }
        Ok(())
    }
}

#[async_trait]
impl EventStore for Ledger {
    async fn write(&self, entries: &[&Entry]) -> Result<u64, LedgerError> {
        self.reach().await?;
        let mut events = self.events.lock().unwrap();
        let before = events.len();
        for event in entries.iter().flat_map(|entry| entry.events()) {
            *events.entry(event.id.to_string()).or_default() += 1;
        }
        Ok((events.len() - before) as u64)
    }

    async fn dead_letter(&self, _letter: &DeadLetter) -> Result<(), LedgerError> {
        self.reach().await
    }

    async fn takes_entries(&self) -> Result<(), LedgerError> {
        self.reach().await
    }
}

#[cfg(test)]
mod tests {
    use tandem::{
        id::{NodeId, RoomId},
        room::{Change, Room, Update},
    };

    use super::*;

    #[test]
    fn a_queue_that_has_lost_its_end_gives_no_number_twice() {
        let room = Room::vacant(RoomId::parse("r").unwrap());
        let changes = vec![Change::Closed];
        let update = Arc::new(Update { room: room.id.clone(), epoch: 1, base: 0, at: 0, changes });
        let entry = Arc::new(Entry::new(&update, &NodeId::parse("node").unwrap(), &room).unwrap());
        let mut queue = Queue::default();
        queue.append(&entry, 5);
        let backup = queue.clone();
        let lost = queue.append(&entry, 5);
        queue = backup;
        assert!(queue.append(&entry, 6) > lost);
    }
}
