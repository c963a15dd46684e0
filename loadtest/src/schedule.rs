//! When each message is due: fixed in advance, whatever the server does.

use std::time::{Duration, Instant};

/// An open-loop schedule. Message number `k` of a round goes to room `k % rooms` at `start + k / (rooms * rate)`, so the
/// rooms take turns and the load is even.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule {
    start: Instant,
    rooms: u64,
    per_second: u64,
    first: u64,
    count: u64,
}

/// One message of a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot {
    /// Index of the room.
    pub(crate) room: usize,
    /// Number of the message in its room, counted over all rounds.
    pub(crate) sequence: u64,
    /// When it is due.
    pub(crate) due: Instant,
}

impl Schedule {
    /// `seconds` of `rate` messages a second in each of `rooms` rooms; the rooms have had `first` messages before.
    pub(crate) fn new(start: Instant, rooms: u32, rate: u32, seconds: u32, first: u64) -> Self {
        let per_second = u64::from(rooms) * u64::from(rate);
        let count = per_second * u64::from(seconds);
        Self { start, rooms: u64::from(rooms).max(1), per_second: per_second.max(1), first, count }
    }

    /// How many messages there are in all rooms together.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// How many messages there are in each room.
    pub(crate) fn count_per_room(&self) -> u64 {
        self.count / self.rooms
    }

    /// All messages in the order in which they are due.
    pub(crate) fn slots(&self) -> impl Iterator<Item = Slot> + use<> {
        let schedule = *self;
        (0..schedule.count).map(move |index| Slot {
            room: usize::try_from(index % schedule.rooms).unwrap_or(usize::MAX),
            sequence: schedule.first + index / schedule.rooms,
            due: schedule.start + schedule.offset(index),
        })
    }

    /// When that message of that room is due; `None` for messages of earlier rounds.
    pub(crate) fn due(&self, room: u64, sequence: u64) -> Option<Instant> {
        let index = sequence.checked_sub(self.first)? * self.rooms + room;
        Some(self.start + self.offset(index))
    }

    fn offset(&self, index: u64) -> Duration {
        let seconds = index / self.per_second;
        let rest = (index % self.per_second) * 1_000_000_000 / self.per_second;
        Duration::from_secs(seconds) + Duration::from_nanos(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_take_turns_at_even_distances() {
        let start = Instant::now();
        let slots: Vec<Slot> = Schedule::new(start, 2, 5, 1, 100).slots().collect();
        assert_eq!(slots.len(), 10);
        for (index, slot) in (0_u32..).zip(&slots) {
            assert_eq!(slot.room, (index % 2) as usize);
            assert_eq!(slot.sequence, 100 + u64::from(index / 2));
            assert_eq!(slot.due, start + Duration::from_millis(100) * index);
        }
    }

    #[test]
    fn the_receiver_finds_the_time_of_every_slot() {
        let schedule = Schedule::new(Instant::now(), 7, 3, 11, 5);
        assert_eq!(schedule.count(), 231);
        assert_eq!(schedule.count_per_room(), 33);
        for slot in schedule.slots() {
            assert_eq!(schedule.due(slot.room as u64, slot.sequence), Some(slot.due));
        }
        assert_eq!(schedule.due(0, 4), None);
    }

    #[test]
    fn no_drift_over_a_long_round() {
        let start = Instant::now();
        let schedule = Schedule::new(start, 3, 7, 600, 0);
        let last = schedule.slots().last().unwrap();
        let expected = Duration::from_mins(10) - Duration::from_nanos(1_000_000_000 / 21);
        assert!((last.due - start).abs_diff(expected) < Duration::from_nanos(2));
    }
}
