use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;

use super::{MemoryLedger, MemoryNode, lock, stored::Stored};
use crate::{
    backend::{BackendError, Commit, Due, Proposal, RoomStore},
    clock::Millis,
    id::{NodeId, RoomId},
    room::{Room, StreamPosition, Update},
};

impl MemoryNode {
    /// Publishing under the lock of the room keeps the order of versions.
    fn publish(&self, stored: &Stored, update: &Arc<Update>) {
        for node in &stored.subscribers {
            // Normally it is this node, which needs no lookup.
            if self.shared.members.is_none() && *node == self.name {
                if let Some(events) = self.events.upgrade() {
                    events.update(update);
                }
                continue;
            }
            for process in self.shared.processes(node).iter().filter(|it| it.is_to_hear(&update.room)) {
                if let Some(events) = process.events.upgrade() {
                    events.update(update);
                }
            }
        }
    }

    fn is_to_hear(&self, room: &RoomId) -> bool {
        self.shared.members.is_none() || self.is_subscribed(room)
    }

    /// Whether another process with the name of this node subscribed to the room.
    fn is_shared_with_namesake(&self, room: &RoomId) -> bool {
        let others = self.shared.processes(&self.name);
        others.iter().any(|other| other.process != self.process && other.is_subscribed(room))
    }

    fn gauge_history(&self) {
        if let Some(gauge) = &self.history_bytes {
            gauge.set(i64::try_from(self.shared.histories.bytes()).unwrap_or(i64::MAX));
        }
    }

    fn note_due(&self, room: &RoomId, due: Due) {
        if let Some(members) = &self.shared.members {
            match due {
                Due::Same => {}
                Due::Never => members.set_due(room, None),
                Due::At(at) => members.set_due(room, Some(at)),
            }
        }
    }
}

#[async_trait]
impl RoomStore for MemoryNode {
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
                if let Some(members) = &self.shared.members {
                    lock(&self.rooms).insert(room.clone());
                    members.hold(&self.name, room);
                }
                return Ok(stored.room.clone());
            }
        }
    }

    async fn unsubscribe(&self, room: &RoomId) -> Result<(), BackendError> {
        if let Some(cell) = self.shared.cell(room) {
            let mut stored = lock(&cell);
            if let Some(members) = &self.shared.members {
                lock(&self.rooms).remove(room);
                members.release(&self.name, room);
                if self.is_shared_with_namesake(room) {
                    return Ok(());
                }
            }
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
        let place = self.shared.make_place(update.weight());
        let mut stored = lock(&cell);
        let room = &stored.room;
        if room.version != update.base || (room.exists() && room.epoch != update.epoch) {
            drop(place);
            self.gauge_history();
            return Ok(Commit::Conflict);
        }
        match (&self.shared.ledger, proposal.entry) {
            (MemoryLedger::Journal(journal), Some(entry)) => journal.append(entry),
            (MemoryLedger::Queue(queue), Some(entry)) => queue.append(&entry)?,
            (MemoryLedger::None, _) | (_, None) => {}
        }
        stored.apply(update, self.shared.retention.age, place, &self.shared.histories);
        self.gauge_history();
        self.note_due(&update.room, proposal.due);
        self.publish(&stored, update);
        Ok(Commit::Applied)
    }

    async fn restore(&self, room: &Room, found: Option<StreamPosition>, due: Due) -> Result<Commit, BackendError> {
        let Some(cell) = self.shared.cell(&room.id) else { return Ok(Commit::Conflict) };
        let mut stored = lock(&cell);
        let is = stored.room.exists().then(|| stored.room.position());
        if is != found {
            return Ok(Commit::Conflict);
        }
        stored.replace(room.clone(), &self.shared.histories);
        self.gauge_history();
        self.note_due(&room.id, due);
        if let Some(members) = &self.shared.members {
            for member in room.members.values().filter(|member| member.node != self.name) {
                members.vouch_for(&member.node, &room.id);
            }
        }
        let others: Vec<&NodeId> = stored.subscribers.iter().filter(|node| **node != self.name).collect();
        for process in others.into_iter().flat_map(|node| self.shared.processes(node)) {
            if let Some(events) = process.events.upgrade() {
                events.stale(&room.id);
            }
        }
        Ok(Commit::Applied)
    }

    /// A room in memory can always be read.
    async fn alarm(&self, _room: &RoomId) -> Result<(), BackendError> {
        Ok(())
    }

    async fn repair(&self, _room: &Room, _due: Due) -> Result<Commit, BackendError> {
        Ok(Commit::Conflict)
    }

    async fn history(&self, room: &RoomId, epoch: u64, after: u64) -> Result<Option<Vec<Arc<Update>>>, BackendError> {
        Ok(self.shared.cell(room).and_then(|cell| lock(&cell).since(epoch, after)))
    }

    async fn exists(&self, room: &RoomId) -> Result<bool, BackendError> {
        Ok(self.shared.cell(room).is_some_and(|cell| lock(&cell).room.exists()))
    }

    async fn overdue(&self, at: Millis) -> Result<Vec<RoomId>, BackendError> {
        Ok(self.shared.members.as_ref().map(|members| members.overdue(at)).unwrap_or_default())
    }

    async fn set_due(&self, room: &RoomId, due: Option<Millis>) -> Result<(), BackendError> {
        if let Some(members) = &self.shared.members {
            members.set_due(room, due);
        }
        Ok(())
    }

    /// Rooms in memory do not expire.
    async fn extend_rooms(&self) -> Result<(), BackendError> {
        Ok(())
    }
}
