//! What the histories of all rooms may take together.

use std::{
    collections::BTreeSet,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use super::{Memory, lock};
use crate::id::RoomId;

/// Histories of less are all of one class.
const LEAST: usize = 1024;

/// The bytes of all histories, and the rooms with most. Rooms are in order by the class of their size alone, each class twice the one
/// before, so that few commits change the order.
#[derive(Debug)]
pub(super) struct Histories {
    most: usize,
    bytes: AtomicUsize,
    order: Mutex<BTreeSet<(Class, RoomId)>>,
    told: AtomicBool,
}

/// The class of a size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Class(u32);

impl Class {
    pub(super) const LEAST: Self = Self(0);

    pub(super) fn of(bytes: usize) -> Self {
        Self(usize::BITS - (bytes / LEAST).leading_zeros())
    }
}

impl Histories {
    pub(super) fn new(most: usize) -> Self {
        Self { most, bytes: AtomicUsize::new(0), order: Mutex::default(), told: AtomicBool::new(false) }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    fn reserve(&self, bytes: usize) -> Option<Place<'_>> {
        let with = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= self.most);
        self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, with).ok()?;
        Some(Place { histories: self, bytes })
    }

    pub(super) fn release(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Moves a room from one class to another; `None` is that of rooms without a history.
    pub(super) fn rank(&self, room: &RoomId, before: Option<Class>, now: Option<Class>) {
        let mut order = lock(&self.order);
        if let Some(class) = before {
            order.remove(&(class, room.clone()));
        }
        if let Some(class) = now {
            order.insert((class, room.clone()));
        }
    }

    fn largest(&self) -> Option<(Class, RoomId)> {
        lock(&self.order).last().cloned()
    }

    fn tell(&self) {
        if !self.told.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                bytes = self.most,
                "the histories of all rooms take HISTORY_BYTES; from here on the longest ones lose their oldest changes"
            );
        }
    }
}

/// Bytes that an update may take. They are given back unless it is kept.
#[derive(Debug)]
pub(super) struct Place<'a> {
    histories: &'a Histories,
    bytes: usize,
}

impl Place<'_> {
    /// The bytes, which the history of a room gives back from here on.
    pub(super) fn keep(mut self) -> usize {
        std::mem::take(&mut self.bytes)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.histories.release(self.bytes);
    }
}

impl Memory {
    /// Makes place for an update: where there is none, one of the longest histories loses its oldest updates. No room may be locked.
    pub(super) fn make_place(&self, bytes: usize) -> Option<Place<'_>> {
        let histories = &self.histories;
        loop {
            if let Some(place) = histories.reserve(bytes) {
                return Some(place);
            }
            histories.tell();
            // What others have reserved and not yet kept is in no room.
            let (class, room) = histories.largest()?;
            match self.cell(&room) {
                Some(cell) => lock(&cell).shorten(histories),
                None => histories.rank(&room, Some(class), None),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_begins_at_twice_the_size_of_the_one_before() {
        let classes = [0, 1_023, 1_024, 2_047, 2_048, 524_288].map(|bytes| Class::of(bytes).0);
        assert_eq!(classes, [0, 0, 1, 1, 2, 10]);
    }

    #[test]
    fn what_is_reserved_and_not_kept_is_given_back() {
        let histories = Histories::new(100);
        let first = histories.reserve(60).unwrap();
        assert!(histories.reserve(41).is_none());
        let second = histories.reserve(40).unwrap();
        assert_eq!(second.keep(), 40);
        drop(first);
        assert_eq!(histories.bytes(), 40);
    }
}
