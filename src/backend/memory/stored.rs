use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use crate::{
    backend::{Inbox, Retention},
    clock::Millis,
    id::{NodeId, UserId},
    protocol::Frame,
    room::{Room, Update},
};

/// A room with its history and inboxes.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) room: Room,
    pub(super) subscribers: Vec<NodeId>,
    /// The entry was removed from the map.
    pub(super) dropped: bool,
    history: VecDeque<Arc<Update>>,
    history_bytes: usize,
    inboxes: HashMap<UserId, Inbox>,
    /// Whether a member has a token: only such members can ask for the history.
    resumable: bool,
}

impl Stored {
    pub(super) fn new(room: Room) -> Self {
        Self {
            resumable: room.is_resumable(),
            room,
            subscribers: Vec::new(),
            dropped: false,
            history: VecDeque::new(),
            history_bytes: 0,
            inboxes: HashMap::new(),
        }
    }

    pub(super) fn subscribe(&mut self, node: &NodeId) {
        if !self.subscribers.contains(node) {
            self.subscribers.push(node.clone());
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        !self.room.exists() && self.subscribers.is_empty()
    }

    /// Applies an update, and keeps it in the history for `age`.
    #[inline]
    pub(super) fn apply(&mut self, update: &Arc<Update>, age: Millis) {
        for change in &update.changes {
            self.room.apply(change, update.at);
            if let Some(user) = change.ends_negotiations() {
                self.inboxes.remove(user);
            }
        }
        if !self.room.exists() {
            self.forget();
            self.inboxes.clear();
            return;
        }
        // Most updates change no seat; for those the members need not be checked.
        if update.changes.iter().any(|change| change.seat().is_some()) {
            self.resumable = self.room.is_resumable();
        }
        if self.resumable {
            let old = |kept: &Arc<Update>| update.at.saturating_sub(kept.at) > age;
            self.history_bytes += update.weight();
            self.history.push_back(Arc::clone(update));
            while self.history.front().is_some_and(old)
                || self.history.len() > Retention::UPDATES
                || self.history_bytes > Retention::UPDATE_BYTES
            {
                let gone = self.history.pop_front().map_or(0, |update| update.weight());
                self.history_bytes = self.history_bytes.saturating_sub(gone);
            }
        } else {
            self.forget();
        }
    }

    /// Replaces the room, and forgets its history.
    pub(super) fn replace(&mut self, room: Room) {
        self.room = room;
        self.resumable = self.room.is_resumable();
        self.forget();
        self.inboxes.clear();
    }

    fn forget(&mut self) {
        self.history = VecDeque::new();
        self.history_bytes = 0;
    }

    pub(super) fn since(&self, epoch: u64, after: u64) -> Option<Vec<Arc<Update>>> {
        if epoch != self.room.epoch || after > self.room.version {
            return None;
        }
        if after == self.room.version {
            return Some(Vec::new());
        }
        let known = self.history.front().is_some_and(|first| first.base <= after);
        known.then(|| self.history.iter().filter(|update| update.version() > after).cloned().collect())
    }

    /// Keeps a frame, and returns how many others were dropped for it.
    pub(super) fn keep(&mut self, user: &UserId, frame: Frame) -> u64 {
        self.inboxes.entry(user.clone()).or_default().keep(frame)
    }

    pub(super) fn inbox(&self, user: &UserId) -> Inbox {
        self.inboxes.get(user).cloned().unwrap_or_default()
    }

    /// Removes the frames of `taken`.
    pub(super) fn take(&mut self, user: &UserId, taken: &Inbox) {
        let Some(inbox) = self.inboxes.get_mut(user) else { return };
        inbox.remove(taken);
        if inbox.is_empty() {
            self.inboxes.remove(user);
        }
    }
}
