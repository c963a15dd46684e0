use std::{collections::HashMap, sync::Arc};

use super::{
    histories::{Histories, Place},
    history::History,
};
use crate::{
    backend::Inbox,
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
    history: History,
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
            history: History::default(),
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

    /// Applies an update, and keeps it in the history for `age` if there is a place for it.
    #[inline]
    pub(super) fn apply(&mut self, update: &Arc<Update>, age: Millis, place: Option<Place<'_>>, histories: &Histories) {
        for change in &update.changes {
            self.room.apply(change, update.at);
            if let Some(user) = change.ends_negotiations() {
                self.inboxes.remove(user);
            }
        }
        if !self.room.exists() {
            self.forget(histories);
            self.inboxes.clear();
            return;
        }
        // Most updates change no seat; for those the members need not be checked.
        if update.changes.iter().any(|change| change.seat().is_some()) {
            self.resumable = self.room.is_resumable();
        }
        match place {
            Some(place) if self.resumable => self.history.push(update, age, place, histories),
            _ => self.forget(histories),
        }
    }

    /// Replaces the room, and forgets its history.
    pub(super) fn replace(&mut self, room: Room, histories: &Histories) {
        self.room = room;
        self.resumable = self.room.is_resumable();
        self.forget(histories);
        self.inboxes.clear();
    }

    fn forget(&mut self, histories: &Histories) {
        self.history.clear(&self.room.id, histories);
    }

    /// Makes the history shorter, for those of other rooms.
    pub(super) fn shorten(&mut self, histories: &Histories) {
        self.history.shorten(&self.room.id, histories);
    }

    pub(super) fn since(&self, epoch: u64, after: u64) -> Option<Vec<Arc<Update>>> {
        if epoch != self.room.epoch || after > self.room.version {
            return None;
        }
        if after == self.room.version {
            return Some(Vec::new());
        }
        self.history.since(after)
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
