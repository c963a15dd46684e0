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

/// Sockets whose JOIN was refused by something that passes by itself, by the room that they want to enter. They are prompted when that
/// room changes on this node. Whether this node takes part in the room does not matter: they also try again after a while.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    rooms: Mutex<Rooms>,
    /// So that rooms which nobody waits for need not look.
    count: AtomicUsize,
}

/// A place in front of a room; given back when dropped.
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

    /// Prompts those who wait for a room in which somebody may have made room for them.
    pub(super) fn hear(&self, update: &Update) {
        if self.count.load(Ordering::Acquire) == 0 || !update.changes.iter().any(crate::room::Change::makes_room) {
            return;
        }
        for (_, outbox) in self.rooms().get(&update.room).into_iter().flatten() {
            outbox.prompt_join();
        }
    }
}

impl Hub {
    /// The socket is prompted whenever `room` changes so that it may be let in, for as long as the result is kept.
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
