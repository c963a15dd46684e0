//! Shared state in place of Redis: rooms and what belongs to them, leases, and the ledger's queue.
//!
//! It is plain data; clock and connections are in [`crate::bus`]. A clone is a backup, from which a Redis that lost its last second goes on.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use tandem::{
    backend::{Commit, Due, Inbox, Proposal, Retention},
    clock::Millis,
    id::{NodeId, RoomId, UserId},
    ledger::Entry,
    protocol::Frame,
    room::{Change, Room, StreamPosition, Update},
};

use crate::queue::Queue;

#[derive(Debug, Clone)]
struct Stored {
    room: Room,
    history: VecDeque<Arc<Update>>,
    bytes: usize,
    inboxes: BTreeMap<UserId, Inbox>,
}

/// Everything that Redis has.
#[derive(Debug, Clone, Default)]
pub struct Store {
    rooms: BTreeMap<RoomId, Stored>,
    codes: BTreeMap<String, (RoomId, Millis)>,
    pub due: BTreeMap<RoomId, Millis>,
    /// Until when each node counts as alive.
    leases: BTreeMap<NodeId, Millis>,
    held: BTreeMap<NodeId, BTreeSet<RoomId>>,
    /// The node that may take over the rooms of a dead node, and until when.
    claims: BTreeMap<NodeId, Millis>,
    /// The ledger's queue.
    pub queue: Queue,
    retention: Retention,
}

/// What became of a signal that was to be kept.
#[derive(Debug, PartialEq, Eq)]
pub enum Kept {
    Yes,
    Nobody,
    At(NodeId),
}

impl Store {
    pub fn keeping(retention: Retention) -> Self {
        Self { retention, ..Self::default() }
    }

    pub fn room(&self, id: &RoomId) -> Room {
        self.rooms.get(id).map_or_else(|| Room::vacant(id.clone()), |stored| stored.room.clone())
    }

    pub fn rooms(&self) -> impl Iterator<Item = &Room> {
        self.rooms.values().map(|stored| &stored.room)
    }

    /// The number of the entry in the ledger's queue, if the update had one.
    pub fn commit(&mut self, proposal: &Proposal, now: Millis) -> (Commit, Option<u64>) {
        let (update, after) = (&proposal.update, &proposal.after);
        let stored = self.rooms.entry(update.room.clone()).or_insert_with(|| Stored::new(&update.room));
        let before = &stored.room;
        if before.version != update.base || (before.exists() && before.epoch != update.epoch) {
            return (Commit::Conflict, None);
        }
        if !before.exists() {
            stored.forget();
        }
        stored.room = after.clone();
        for change in &update.changes {
            // A new connection begins a negotiation anew.
            if let Change::Left { user, .. } = change {
                stored.inboxes.remove(user);
            } else if let Change::Rejoined { member, .. } = change {
                stored.inboxes.remove(&member.user);
            }
        }
        if !after.exists() {
            // That it was closed is known for an hour.
            stored.room = Room { epoch: update.epoch, ..Room::vacant(update.room.clone()) };
            stored.forget();
        } else if after.members.values().any(|member| member.token.is_some()) {
            stored.remember(update, self.retention.age);
        }
        self.note_due(&update.room, proposal.due);
        let number = proposal.entry.as_ref().map(|entry| self.append(&Arc::new(entry.clone()), now));
        (Commit::Applied, number)
    }

    pub fn restore(&mut self, room: &Room, found: Option<StreamPosition>, due: Due) -> Commit {
        let stored = self.rooms.entry(room.id.clone()).or_insert_with(|| Stored::new(&room.id));
        let is = stored.room.exists().then(|| stored.room.position());
        if is != found {
            return Commit::Conflict;
        }
        stored.room = room.clone();
        stored.forget();
        self.note_due(&room.id, due);
        Commit::Applied
    }

    fn note_due(&mut self, room: &RoomId, due: Due) {
        match due {
            Due::Same => {}
            Due::Never => {
                self.due.remove(room);
            }
            Due::At(at) => {
                self.due.insert(room.clone(), at);
            }
        }
    }

    pub fn history(&self, room: &RoomId, epoch: u64, after: u64) -> Option<Vec<Arc<Update>>> {
        let stored = self.rooms.get(room)?;
        if epoch != stored.room.epoch || after > stored.room.version {
            return None;
        }
        if after == stored.room.version {
            return Some(Vec::new());
        }
        let known = stored.history.front().is_some_and(|first| first.base <= after);
        known.then(|| stored.history.iter().filter(|update| update.version() > after).cloned().collect())
    }

    /// Keeps a signal for a member that is away, or whose seat is on the node that is `without` a socket for it.
    pub fn keep(&mut self, room: &RoomId, to: &UserId, frame: &Frame, without: Option<&NodeId>) -> Kept {
        let Some(stored) = self.rooms.get_mut(room) else { return Kept::Nobody };
        let Some(member) = stored.room.members.get(to) else { return Kept::Nobody };
        if member.present() && without != Some(&member.node) {
            return Kept::At(member.node.clone());
        }
        stored.inboxes.entry(to.clone()).or_default().keep(frame.clone());
        Kept::Yes
    }

    pub fn inbox(&self, room: &RoomId, user: &UserId) -> Inbox {
        self.rooms.get(room).and_then(|stored| stored.inboxes.get(user)).cloned().unwrap_or_default()
    }

    /// Removes the signals of `taken`. Some may be gone already.
    pub fn take(&mut self, room: &RoomId, user: &UserId, taken: &Inbox) {
        let Some(stored) = self.rooms.get_mut(room) else { return };
        let Some(inbox) = stored.inboxes.get_mut(user) else { return };
        inbox.remove(taken);
        if inbox.is_empty() {
            stored.inboxes.remove(user);
        }
    }

    pub fn claim_code(&mut self, code: &str, room: &RoomId, until: Millis, now: Millis) -> bool {
        let free = self.codes.get(code).is_none_or(|(owner, until)| owner == room || *until <= now);
        if free {
            self.codes.insert(code.to_owned(), (room.clone(), until));
        }
        free
    }

    pub fn resolve_code(&self, code: &str, now: Millis) -> Option<RoomId> {
        self.codes.get(code).filter(|(_, until)| *until > now).map(|(room, _)| room.clone())
    }

    pub fn append(&mut self, entry: &Arc<Entry>, now: Millis) -> u64 {
        self.queue.append(entry, now)
    }

    /// Renews a lease. Returns whether it had run out, and the nodes whose leases have.
    pub fn renew(&mut self, node: &NodeId, lease: Millis, now: Millis) -> (bool, Vec<NodeId>) {
        let lost = self.leases.insert(node.clone(), now + lease).is_none_or(|until| until < now);
        let dead = self.leases.iter().filter(|(_, until)| **until < now).map(|(node, _)| node.clone());
        (lost, dead.collect())
    }

    pub fn claim(&mut self, dead: &NodeId, until: Millis, now: Millis) -> bool {
        let free = self.claims.get(dead).is_none_or(|until| *until <= now);
        if free {
            self.claims.insert(dead.clone(), until);
        }
        free
    }

    pub fn bury(&mut self, dead: &NodeId, now: Millis) {
        if self.leases.get(dead).is_some_and(|until| *until < now) {
            self.leases.remove(dead);
            self.held.remove(dead);
        }
    }

    /// A room that was put back has members on this node: it counts as alive for a lease, unless it is known to be dead.
    pub fn vouch_for(&mut self, node: &NodeId, room: &RoomId, until: Millis) {
        self.leases.entry(node.clone()).or_insert(until);
        self.hold(node, [room.clone()]);
    }

    pub fn hold(&mut self, node: &NodeId, rooms: impl IntoIterator<Item = RoomId>) {
        self.held.entry(node.clone()).or_default().extend(rooms);
    }

    pub fn release(&mut self, node: &NodeId, room: &RoomId) {
        if let Some(held) = self.held.get_mut(node) {
            held.remove(room);
        }
    }

    pub fn held(&self, node: &NodeId) -> Vec<RoomId> {
        self.held.get(node).into_iter().flatten().cloned().collect()
    }

    pub fn overdue(&self, at: Millis) -> Vec<RoomId> {
        self.due.iter().filter(|(_, due)| **due <= at).map(|(room, _)| room.clone()).collect()
    }
}

impl Stored {
    fn new(room: &RoomId) -> Self {
        let room = Room::vacant(room.clone());
        Self { room, history: VecDeque::new(), bytes: 0, inboxes: BTreeMap::new() }
    }

    fn forget(&mut self) {
        self.history.clear();
        self.bytes = 0;
    }

    fn remember(&mut self, update: &Arc<Update>, age: Millis) {
        // The whole list expires when nothing was added to it for so long.
        if self.history.back().is_some_and(|last| update.at.saturating_sub(last.at) > age) {
            self.forget();
        }
        self.history.push_back(Arc::clone(update));
        self.bytes += update.weight();
        while self.history.len() > Retention::UPDATES || self.bytes > Retention::UPDATE_BYTES {
            self.bytes -= self.history.pop_front().map_or(0, |update| update.weight());
        }
    }
}
