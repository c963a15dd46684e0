//! When each message is due. The schedule is fixed in advance, whatever the server does.

use std::time::{Duration, Instant};

/// An open-loop schedule. The rooms take turns at even intervals, and the senders of a room take turns too: message `n` of a room is from
/// its sender `n % senders`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule {
    start: Instant,
    rooms: u64,
    senders: u64,
    per_second: u64,
    first: u64,
    count: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) room: usize,
    pub(crate) sender: usize,
    /// The number of the message in its room, counted over all rounds.
    pub(crate) sequence: u64,
    pub(crate) due: Instant,
}

impl Schedule {
    /// Without messages; see [`Self::lasting`].
    pub(crate) fn new(start: Instant, rooms: u32, senders: u32) -> Self {
        let (rooms, senders) = (u64::from(rooms).max(1), u64::from(senders).max(1));
        Self { start, rooms, senders, per_second: 1, first: 0, count: 0 }
    }

    /// Messages at this rate in all rooms together, for so many seconds or as much longer as it takes to give each room equally many. Each
    /// room has had `first` messages before.
    pub(crate) fn lasting(self, per_second: u64, seconds: u32, first: u64) -> Self {
        let turns = (per_second * u64::from(seconds)).div_ceil(self.rooms);
        Self { per_second: per_second.max(1), first, count: turns * self.rooms, ..self }
    }

    /// The number of messages in all rooms together.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The number of messages in each room.
    pub(crate) fn count_per_room(&self) -> u64 {
        self.count / self.rooms
    }

    /// All messages in the order in which they are due.
    pub(crate) fn slots(&self) -> impl Iterator<Item = Slot> + use<> {
        let it = *self;
        (0..it.count).map(move |index| {
            let sequence = it.first + index / it.rooms;
            Slot {
                room: usize::try_from(index % it.rooms).unwrap_or(usize::MAX),
                sender: usize::try_from(sequence % it.senders).unwrap_or(usize::MAX),
                sequence,
                due: it.start + it.offset(index),
            }
        })
    }

    /// When a message of a room is due; `None` for messages of earlier rounds.
    pub(crate) fn due(&self, room: u64, sequence: u64) -> Option<Instant> {
        let turn = sequence.checked_sub(self.first)?;
        Some(self.start + self.offset(turn * self.rooms + room))
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
    fn rooms_take_turns_at_even_intervals() {
        let start = Instant::now();
        let slots: Vec<Slot> = Schedule::new(start, 2, 1).lasting(10, 1, 100).slots().collect();
        assert_eq!(slots.len(), 10);
        for (index, slot) in (0_u32..).zip(&slots) {
            assert_eq!(slot.room, (index % 2) as usize);
            assert_eq!(slot.sequence, 100 + u64::from(index / 2));
            assert_eq!(slot.due, start + Duration::from_millis(100) * index);
        }
    }

    #[test]
    fn the_receiver_finds_when_every_message_was_due() {
        for (senders, first) in [(1, 5), (2, 6), (4, 7)] {
            let schedule = Schedule::new(Instant::now(), 7, senders).lasting(42, 11, first);
            assert!(schedule.count() >= 462 && schedule.count_per_room() * 7 == schedule.count());
            for slot in schedule.slots() {
                assert_eq!(schedule.due(slot.room as u64, slot.sequence), Some(slot.due));
                assert_eq!(slot.sequence % u64::from(senders), slot.sender as u64);
            }
            assert_eq!(schedule.due(0, first - 1), None);
        }
    }

    #[test]
    fn senders_take_turns() {
        let start = Instant::now();
        let slots = Schedule::new(start, 2, 2).lasting(20, 1, 0).slots();
        let slots = slots.map(|slot| (slot.room, slot.sender, slot.sequence, (slot.due - start).as_millis()));
        let turns: Vec<_> = slots.take(5).collect();
        assert_eq!(turns, [(0, 0, 0, 0), (1, 0, 0, 50), (0, 1, 1, 100), (1, 1, 1, 150), (0, 0, 2, 200)]);
    }

    #[test]
    fn a_schedule_neither_drifts_nor_skips_a_room() {
        let start = Instant::now();
        let last = Schedule::new(start, 3, 1).lasting(21, 600, 0).slots().last().unwrap();
        let expected = Duration::from_mins(10) - Duration::from_nanos(1_000_000_000 / 21);
        assert!((last.due - start).abs_diff(expected) < Duration::from_nanos(2));
        let slow = Schedule::new(start, 1_000, 1).lasting(300, 4, 0);
        assert_eq!((slow.count(), slow.count_per_room()), (2_000, 2));
    }
}
