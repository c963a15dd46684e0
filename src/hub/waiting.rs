use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::{Hub, Outbox};
use crate::{
    id::{ConnId, RoomId},
    room::Update,
};

type Rooms = HashMap<RoomId, Vec<(ConnId, Arc<Outbox>)>>;

/// The sockets with a waiting JOIN, by room. They are prompted when the room changes on this node. The node need not have the room: such
/// sockets also retry at intervals.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    rooms: Mutex<Rooms>,
    /// The number of waiting sockets, so that updates of other rooms cost no lookup.
    count: AtomicUsize,
}

/// The registration of a waiting socket, which ends when this is dropped.
#[derive(Debug)]
pub struct Wait {
    hub: Arc<Hub>,
    room: RoomId,
    conn: ConnId,
}

impl Waiting {
    fn rooms(&self) -> MutexGuard<'_, Rooms> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Prompts the sockets that wait for this room, if the update may admit them.
    pub(super) fn on_update(&self, update: &Update) {
        if self.count.load(Ordering::Acquire) == 0 || !update.changes.iter().any(crate::room::Change::makes_room) {
            return;
        }
        for (_, outbox) in self.rooms().get(&update.room).into_iter().flatten() {
            outbox.prompt_join();
        }
    }
}

impl Hub {
    /// Registers a socket, which is prompted whenever a change of `room` may admit it, for as long as the result is kept.
    pub fn wait(self: &Arc<Self>, room: &RoomId, conn: ConnId, outbox: &Arc<Outbox>) -> Wait {
        self.waiting.rooms().entry(room.clone()).or_default().push((conn, Arc::clone(outbox)));
        self.waiting.count.fetch_add(1, Ordering::AcqRel);
        self.parts.metrics.joins_waiting.inc();
        Wait { hub: Arc::clone(self), room: room.clone(), conn }
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        let waiting = &self.hub.waiting;
        let mut rooms = waiting.rooms();
        if let Some(sockets) = rooms.get_mut(&self.room) {
            if let Some(place) = sockets.iter().position(|(conn, _)| *conn == self.conn) {
                sockets.remove(place);
            }
            if sockets.is_empty() {
                rooms.remove(&self.room);
            }
        }
        drop(rooms);
        waiting.count.fetch_sub(1, Ordering::AcqRel);
        self.hub.parts.metrics.joins_waiting.dec();
    }
}
