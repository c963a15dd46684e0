//! Shared state in this process: rooms of a single node, or of several nodes in one test.

mod codes;
mod stored;

use std::{
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
    time::Duration,
};

use async_trait::async_trait;
use dashmap::DashMap;

use self::{codes::Codes, stored::Stored};
use super::{Backend, BackendError, Commit, Delivery, Due, Inbox, Losses, Point, Proposal, Retention, Sink, answered};
use crate::{
    clock::Millis,
    id::{ConnId, NodeId, RoomId, UserId},
    ledger::Journal,
    protocol::Frame,
    room::{Presence, Room, Update},
    telemetry::{Dropped, Metrics},
};

/// What all nodes share.
#[derive(Debug)]
pub struct Memory {
    rooms: DashMap<RoomId, Arc<Mutex<Stored>>>,
    codes: Codes,
    nodes: DashMap<NodeId, Weak<MemoryNode>>,
    journal: Option<Journal>,
    max_rooms: usize,
    retention: Retention,
}

/// One node's view of it.
pub struct MemoryNode {
    shared: Arc<Memory>,
    name: NodeId,
    sink: OnceLock<Arc<dyn Sink>>,
    losses: Option<Losses>,
}

impl std::fmt::Debug for MemoryNode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryNode").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Memory {
    /// At most `max_rooms` rooms; their events go to `journal`.
    pub fn new(journal: Option<Journal>, max_rooms: usize) -> Arc<Self> {
        Self::keeping(Retention::default(), journal, max_rooms)
    }

    /// The same, for settings other than the usual ones.
    pub fn keeping(retention: Retention, journal: Option<Journal>, max_rooms: usize) -> Arc<Self> {
        let (rooms, nodes) = (DashMap::new(), DashMap::new());
        Arc::new(Self { rooms, codes: Codes::default(), nodes, journal, max_rooms, retention })
    }

    /// Puts back a room that survived a restart.
    pub fn restore(&self, room: Room) {
        self.rooms.insert(room.id.clone(), Arc::new(Mutex::new(Stored::new(room))));
    }

    /// Lets a node in.
    pub fn node(self: &Arc<Self>, name: NodeId) -> Arc<MemoryNode> {
        self.counting(name, None)
    }

    /// One that counts what it has to drop.
    pub fn counting(self: &Arc<Self>, name: NodeId, metrics: Option<Arc<Metrics>>) -> Arc<MemoryNode> {
        let losses = metrics.map(Losses::new);
        let node = MemoryNode { shared: Arc::clone(self), name: name.clone(), sink: OnceLock::new(), losses };
        let node = Arc::new(node);
        self.nodes.insert(name, Arc::downgrade(&node));
        node
    }

    fn cell(&self, room: &RoomId) -> Option<Arc<Mutex<Stored>>> {
        self.rooms.get(room).map(|cell| Arc::clone(&cell))
    }

    fn sink(&self, node: &NodeId) -> Option<Arc<dyn Sink>> {
        self.nodes.get(node)?.upgrade()?.sink.get().cloned()
    }
}

impl MemoryNode {
    /// Publishing happens under the room's lock: that is what keeps the order of versions.
    fn publish(&self, stored: &Stored, update: &Arc<Update>) {
        for node in &stored.subscribers {
            // As a rule it is this one, which need not be looked up.
            if *node == self.name {
                if let Some(sink) = self.sink.get() {
                    sink.update(update);
                }
            } else if let Some(sink) = self.shared.sink(node) {
                sink.update(update);
            }
        }
    }
}

/// Goes on after a panic: a room is replaced as a whole, so that no half of a change is left behind, and one bad room must not end all.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl Backend for MemoryNode {
    fn attach(&self, sink: Arc<dyn Sink>) {
        // A second sink would be a programming error; the first one stays.
        let _ = self.sink.set(sink);
    }

    fn is_up(&self) -> bool {
        true
    }

    async fn until_up(&self, _within: Duration) -> bool {
        true
    }

    async fn subscribe(&self, room: &RoomId) -> Result<Room, BackendError> {
        loop {
            if self.shared.rooms.len() >= self.shared.max_rooms && !self.shared.rooms.contains_key(room) {
                return Err(BackendError::Full);
            }
            let vacant = || Arc::new(Mutex::new(Stored::new(Room::vacant(room.clone()))));
            let cell = Arc::clone(&self.shared.rooms.entry(room.clone()).or_insert_with(vacant));
            let mut stored = lock(&cell);
            if !stored.dropped {
                stored.subscribe(&self.name);
                return Ok(stored.room.clone());
            }
        }
    }

    async fn unsubscribe(&self, room: &RoomId) -> Result<(), BackendError> {
        if let Some(cell) = self.shared.cell(room) {
            let mut stored = lock(&cell);
            stored.subscribers.retain(|name| *name != self.name);
            if stored.is_idle() {
                stored.dropped = true;
                self.shared.rooms.remove(room);
            }
        }
        Ok(())
    }

    async fn commit(&self, proposal: Proposal) -> Result<Commit, BackendError> {
        let update = &proposal.update;
        let Some(cell) = self.shared.cell(&update.room) else { return Ok(Commit::Conflict) };
        let mut stored = lock(&cell);
        let room = &stored.room;
        if room.version != update.base || (room.exists() && room.epoch != update.epoch) {
            return Ok(Commit::Conflict);
        }
        stored.apply(update, self.shared.retention.age);
        if let (Some(journal), Some(entry)) = (&self.shared.journal, proposal.entry) {
            journal.append(entry);
        }
        self.publish(&stored, update);
        Ok(Commit::Applied)
    }

    async fn restore(&self, room: &Room, found: Option<Point>, _due: Due) -> Result<Commit, BackendError> {
        let Some(cell) = self.shared.cell(&room.id) else { return Ok(Commit::Conflict) };
        let mut stored = lock(&cell);
        let is = stored.room.exists().then_some((stored.room.epoch, stored.room.version));
        if is != found {
            return Ok(Commit::Conflict);
        }
        stored.replace(room.clone());
        for node in stored.subscribers.iter().filter(|node| **node != self.name) {
            if let Some(sink) = self.shared.sink(node) {
                sink.stale(&room.id);
            }
        }
        Ok(Commit::Applied)
    }

    async fn history(&self, room: &RoomId, epoch: u64, after: u64) -> Result<Option<Vec<Arc<Update>>>, BackendError> {
        Ok(self.shared.cell(room).and_then(|cell| lock(&cell).since(epoch, after)))
    }

    async fn direct(
        &self,
        room: &RoomId,
        to: &UserId,
        _at: Option<&NodeId>,
        frame: Frame,
    ) -> Result<Delivery, BackendError> {
        let Some(cell) = self.shared.cell(room) else { return Ok(Delivery::Nobody) };
        let mut stored = lock(&cell);
        let Some(member) = stored.room.members.get(to) else { return Ok(Delivery::Nobody) };
        match member.presence {
            Presence::Away { .. } => {
                let gone = stored.keep(to, frame);
                if let Some(losses) = &self.losses {
                    losses.note(Dropped::InboxFull, gone, room, to);
                }
                Ok(Delivery::Kept)
            }
            Presence::Present => match self.shared.sink(&member.node) {
                Some(sink) if sink.signal(room, to, &frame) => Ok(Delivery::Sent),
                _ => Ok(Delivery::Nobody),
            },
        }
    }

    async fn answers(
        &self,
        node: &NodeId,
        room: &RoomId,
        user: &UserId,
        conn: ConnId,
    ) -> Result<Option<bool>, BackendError> {
        let Some(sink) = self.shared.sink(node) else { return Ok(None) };
        Ok(Some(answered(sink.ask(room, user, conn)).await))
    }

    async fn inbox(&self, room: &RoomId, user: &UserId) -> Result<Inbox, BackendError> {
        Ok(self.shared.cell(room).map(|cell| lock(&cell).inbox(user)).unwrap_or_default())
    }

    async fn taken(&self, room: &RoomId, user: &UserId, inbox: &Inbox) -> Result<(), BackendError> {
        if let Some(cell) = self.shared.cell(room) {
            lock(&cell).take(user, inbox);
        }
        Ok(())
    }

    async fn exists(&self, room: &RoomId) -> Result<bool, BackendError> {
        Ok(self.shared.cell(room).is_some_and(|cell| lock(&cell).room.exists()))
    }

    async fn claim_code(&self, code: &str, room: &RoomId, until: Millis, now: Millis) -> Result<bool, BackendError> {
        Ok(self.shared.codes.claim(code, room, until, now))
    }

    async fn resolve_code(&self, code: &str, now: Millis) -> Result<Option<RoomId>, BackendError> {
        Ok(self.shared.codes.resolve(code, now))
    }
}
