use std::{collections::VecDeque, sync::Arc};

use super::histories::{Class, Histories, Place};
use crate::{backend::Retention, clock::Millis, id::RoomId, room::Update};

/// The last updates of a room. They follow each other without a gap.
#[derive(Debug, Default)]
pub(super) struct History {
    updates: VecDeque<Arc<Update>>,
    bytes: usize,
    /// Where the room is in the order of all. It may have become smaller since.
    class: Option<Class>,
}

impl History {
    /// Keeps an update for `age`, and forgets those that are beyond the bounds of a room.
    pub(super) fn push(&mut self, update: &Arc<Update>, age: Millis, place: Place<'_>, histories: &Histories) {
        let old = |kept: &Arc<Update>| update.at.saturating_sub(kept.at) > age;
        self.bytes += place.keep();
        self.updates.push_back(Arc::clone(update));
        while self.updates.front().is_some_and(old)
            || self.updates.len() > Retention::UPDATES
            || self.bytes > Retention::UPDATE_BYTES
        {
            self.pop(histories);
        }
        if self.class < Some(Class::of(self.bytes)) {
            self.rank(&update.room, histories);
        }
    }

    fn pop(&mut self, histories: &Histories) {
        let gone = self.updates.pop_front().map_or(0, |update| update.weight());
        self.bytes = self.bytes.saturating_sub(gone);
        histories.release(gone);
    }

    fn rank(&mut self, room: &RoomId, histories: &Histories) {
        let class = (!self.updates.is_empty()).then(|| Class::of(self.bytes));
        histories.rank(room, self.class, class);
        self.class = class;
    }

    /// Forgets the oldest until the class is smaller, unless it has become so since the room was ranked.
    pub(super) fn shorten(&mut self, room: &RoomId, histories: &Histories) {
        let was = Class::of(self.bytes);
        if self.class == Some(was) {
            self.pop(histories);
            while Class::LEAST < was && Class::of(self.bytes) == was {
                self.pop(histories);
            }
        }
        self.rank(room, histories);
    }

    /// Forgets all of it.
    pub(super) fn clear(&mut self, room: &RoomId, histories: &Histories) {
        if self.class.is_some() {
            self.updates = VecDeque::new();
            histories.release(std::mem::take(&mut self.bytes));
            self.rank(room, histories);
        }
    }

    /// The updates after a version, or `None` if some of them are gone.
    pub(super) fn since(&self, after: u64) -> Option<Vec<Arc<Update>>> {
        let known = self.updates.front().is_some_and(|first| first.base <= after);
        known.then(|| self.updates.iter().filter(|update| update.version() > after).cloned().collect())
    }
}
