//! When each message is due: fixed in advance, whatever the server does.

use std::time::{Duration, Instant};

/// An open-loop schedule. The rooms take turns, so that the load is even: with one sender in each, message number `k` of a round goes to
/// room `k % rooms` at `start + k / per_second`. Where a room has several senders, each sends one message at that moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule {
    start: Instant,
    rooms: u64,
    /// Of each room.
    senders: u64,
    per_second: u64,
    first: u64,
    count: u64,
}

/// One message of a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot {
    /// Index of the room.
    pub(crate) room: usize,
    /// Index of the sender in it.
    pub(crate) sender: usize,
    /// Number of the message in its room, counted over all rounds.
    pub(crate) sequence: u64,
    /// When it is due.
    pub(crate) due: Instant,
}

impl Schedule {
    /// `seconds` of `per_second` messages a second in all, by each of the `senders` in each of `rooms` rooms in turn, and somewhat
    /// longer if that is needed for as many by each; the rooms have had `first` messages before, as many from each.
    pub(crate) fn new(start: Instant, (rooms, senders): (u32, u32), per_second: u64, seconds: u32, first: u64) -> Self {
        let (rooms, senders) = (u64::from(rooms).max(1), u64::from(senders).max(1));
        let turns = (per_second * u64::from(seconds)).div_ceil(rooms * senders);
        Self { start, rooms, senders, per_second: per_second.max(1), first, count: turns * rooms * senders }
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
        (0..schedule.count).map(move |index| {
            let (turn, sender) = (index / schedule.senders, index % schedule.senders);
            Slot {
                room: usize::try_from(turn % schedule.rooms).unwrap_or(usize::MAX),
                sender: usize::try_from(sender).unwrap_or(usize::MAX),
                sequence: schedule.first + turn / schedule.rooms * schedule.senders + sender,
                due: schedule.start + schedule.offset(index - sender),
            }
        })
    }

    /// When that message of that room is due; `None` for messages of earlier rounds.
    pub(crate) fn due(&self, room: u64, sequence: u64) -> Option<Instant> {
        let round = sequence.checked_sub(self.first)? / self.senders;
        Some(self.start + self.offset((round * self.rooms + room) * self.senders))
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
        let slots: Vec<Slot> = Schedule::new(start, (2, 1), 10, 1, 100).slots().collect();
        assert_eq!(slots.len(), 10);
        for (index, slot) in (0_u32..).zip(&slots) {
            assert_eq!(slot.room, (index % 2) as usize);
            assert_eq!(slot.sequence, 100 + u64::from(index / 2));
            assert_eq!(slot.due, start + Duration::from_millis(100) * index);
        }
    }

    #[test]
    fn the_receiver_finds_the_time_of_every_slot() {
        for (senders, first) in [(1, 5), (2, 6), (3, 6)] {
            let schedule = Schedule::new(Instant::now(), (7, senders), 21 * u64::from(senders), 11, first);
            assert_eq!(schedule.count(), 231 * u64::from(senders));
            assert_eq!(schedule.count_per_room(), 33 * u64::from(senders));
            for slot in schedule.slots() {
                assert_eq!(schedule.due(slot.room as u64, slot.sequence), Some(slot.due));
                assert_eq!(slot.sequence % u64::from(senders), slot.sender as u64);
            }
            assert_eq!(schedule.due(0, first - 1), None);
        }
    }

    #[test]
    fn senders_of_a_room_send_in_the_same_moment() {
        let start = Instant::now();
        let slots: Vec<Slot> = Schedule::new(start, (2, 2), 20, 1, 0).slots().collect();
        let places: Vec<_> = slots.iter().map(|slot| (slot.room, slot.sender, slot.sequence)).collect();
        assert_eq!(&places[..6], &[(0, 0, 0), (0, 1, 1), (1, 0, 0), (1, 1, 1), (0, 0, 2), (0, 1, 3)]);
        assert_eq!(slots[2].due, start + Duration::from_millis(100));
        assert_eq!(slots[3].due, slots[2].due);
    }

    #[test]
    fn every_room_has_its_turn_however_slow_it_is() {
        let schedule = Schedule::new(Instant::now(), (1_000, 1), 300, 4, 0);
        assert_eq!((schedule.count(), schedule.count_per_room()), (2_000, 2));
        assert_eq!(schedule.due(0, 1).unwrap() - schedule.start, Duration::from_nanos(3_333_333_333));
    }

    #[test]
    fn no_drift_over_a_long_round() {
        let start = Instant::now();
        let schedule = Schedule::new(start, (3, 1), 21, 600, 0);
        let last = schedule.slots().last().unwrap();
        let expected = Duration::from_mins(10) - Duration::from_nanos(1_000_000_000 / 21);
        assert!((last.due - start).abs_diff(expected) < Duration::from_nanos(2));
    }
}
