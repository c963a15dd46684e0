//! Whether every message arrived exactly once, in order, and under the same version at every member.

use std::{
    collections::BTreeSet,
    ops::{AddAssign, Sub},
};

use serde::{Deserialize, Serialize};

use crate::client::scan::Arrival;

/// The messages that one member has received.
#[derive(Debug)]
pub(crate) struct Receipts {
    /// One for each sender: what two of them send at once may arrive in either order.
    lanes: Vec<Lane>,
    /// The sender whose messages are expected; `None` for all.
    only: Option<usize>,
    last_version: Option<u64>,
    faults: Faults,
}

/// The messages that one member has received from one sender.
#[derive(Debug, Default, Clone)]
struct Lane {
    next: u64,
    missing: BTreeSet<u64>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Faults {
    /// Never arrived.
    pub(crate) lost: u64,
    /// Arrived a second time.
    pub(crate) doubled: u64,
    /// Arrived after a later one, or under a version that did not grow.
    pub(crate) out_of_order: u64,
    /// Arrived under another version than at another member.
    pub(crate) differing: u64,
}

impl AddAssign for Faults {
    fn add_assign(&mut self, other: Self) {
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.out_of_order += other.out_of_order;
        self.differing += other.differing;
    }
}

impl Sub for Faults {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            // What was missing and came late after all is not lost any more.
            lost: self.lost.saturating_sub(earlier.lost),
            doubled: self.doubled.saturating_sub(earlier.doubled),
            out_of_order: self.out_of_order.saturating_sub(earlier.out_of_order),
            differing: self.differing.saturating_sub(earlier.differing),
        }
    }
}

impl Receipts {
    /// Nothing received yet from so many senders, who number their messages in turn: message `n` is from sender `n % senders`.
    pub(crate) fn new(senders: usize) -> Self {
        Self { lanes: vec![Lane::default(); senders.max(1)], only: None, last_version: None, faults: Faults::default() }
    }

    /// The same, but only messages of one sender are expected.
    pub(crate) fn only_from(self, sender: usize) -> Self {
        Self { only: Some(sender), ..self }
    }

    /// Records a message; returns whether it is the first time.
    pub(crate) fn take(&mut self, arrival: Arrival, log: &mut VersionLog) -> bool {
        let Arrival { sequence, version } = arrival;
        let Some((lane, number)) = self.lane(sequence) else { return false };
        if number < lane.next && !lane.missing.remove(&number) {
            self.faults.doubled += 1;
            return false;
        }
        let mut disordered = number < lane.next;
        lane.missing.extend(lane.next..number);
        lane.next = lane.next.max(number + 1);
        if let Some(version) = version {
            disordered |= self.last_version >= Some(version);
            self.last_version = self.last_version.max(Some(version));
            self.faults.differing += u64::from(!log.agrees(sequence, version));
        }
        self.faults.out_of_order += u64::from(disordered);
        true
    }

    fn lane(&mut self, sequence: u64) -> Option<(&mut Lane, u64)> {
        let count = u64::try_from(self.lanes.len()).ok()?;
        let lane = self.lanes.get_mut(usize::try_from(sequence % count).ok()?)?;
        Some((lane, sequence / count))
    }

    /// The faults, given that `sent` messages were sent in turn by the senders and none is still under way.
    pub(crate) fn faults(&self, sent: u64) -> Faults {
        let senders = u64::try_from(self.lanes.len()).unwrap_or(u64::MAX);
        let expected = |(sender, _): &(u64, &Lane)| self.only.is_none_or(|only| u64::try_from(only) == Ok(*sender));
        let lost = (0..).zip(&self.lanes).filter(expected).map(|(sender, lane)| {
            let gaps = u64::try_from(lane.missing.len()).unwrap_or(u64::MAX);
            gaps + (sent + senders - 1 - sender).div_euclid(senders).saturating_sub(lane.next)
        });
        Faults { lost: lost.sum(), ..self.faults }
    }
}

/// The version of each message of a room, as the first member saw it.
#[derive(Debug, Default)]
pub(crate) struct VersionLog(Vec<Option<u64>>);

impl VersionLog {
    /// Whether a member sees the same version as those before it.
    fn agrees(&mut self, sequence: u64, version: u64) -> bool {
        let Ok(index) = usize::try_from(sequence) else {
            return false;
        };
        if self.0.len() <= index {
            self.0.resize(index + 1, None);
        }
        self.0.get_mut(index).is_some_and(|seen| *seen.get_or_insert(version) == version)
    }

    /// Versions between the first and the last of some messages that none of them has.
    pub(crate) fn skipped(&self, messages: std::ops::Range<u64>) -> u64 {
        let version = |sequence: u64| self.0.get(usize::try_from(sequence).ok()?).copied().flatten();
        let Some(last) = messages.end.checked_sub(1) else { return 0 };
        match (version(messages.start), version(last)) {
            (Some(first), Some(end)) => end.saturating_sub(first).saturating_sub(last - messages.start),
            // Those that never arrived are counted as lost.
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(arrivals: &[(u64, Option<u64>)]) -> Receipts {
        let mut receipts = Receipts::new(1);
        let mut log = VersionLog::default();
        for &(sequence, version) in arrivals {
            receipts.take(Arrival { sequence, version }, &mut log);
        }
        receipts
    }

    #[test]
    fn gaps_repeats_and_steps_back_are_faults() {
        let none = Faults::default();
        let old = |sequence| (sequence, None);
        for (arrivals, sent, faults) in [
            (vec![(0, Some(4)), (1, Some(6)), (2, Some(7))], 3, none),
            (vec![old(0), old(1)], 2, none),
            (vec![old(0), old(3)], 6, Faults { lost: 4, ..none }),
            // What came late is not lost.
            (vec![old(0), old(2), old(1)], 3, Faults { out_of_order: 1, ..none }),
            (vec![old(0), old(1), old(1), old(0)], 2, Faults { doubled: 2, ..none }),
            (vec![(0, Some(5)), (1, Some(5)), (2, Some(4))], 3, Faults { out_of_order: 2, ..none }),
        ] {
            assert_eq!(feed(&arrivals).faults(sent), faults, "{arrivals:?}");
        }
    }

    #[test]
    fn members_must_see_the_same_versions() {
        let mut log = VersionLog::default();
        let mut members = [Receipts::new(1), Receipts::new(1)];
        for (version, member) in [(7, 0), (8, 1)] {
            assert!(members[member].take(Arrival { sequence: 0, version: Some(version) }, &mut log));
        }
        assert_eq!(members[0].faults(1), Faults::default());
        assert_eq!(members[1].faults(1).differing, 1);
    }

    #[test]
    fn versions_between_messages_are_counted() {
        let mut log = VersionLog::default();
        for (sequence, version) in [(0, 5), (1, 9), (2, 10), (3, 12)] {
            assert!(log.agrees(sequence, version));
        }
        assert_eq!([log.skipped(0..4), log.skipped(1..3), log.skipped(2..4), log.skipped(4..9)], [4, 0, 1, 0]);
    }

    #[test]
    fn senders_have_an_order_each_and_versions_one_for_all() {
        let mut receipts = Receipts::new(2);
        let mut log = VersionLog::default();
        for (sequence, version) in [(1, 5), (0, 6), (3, 7), (2, 8)] {
            assert!(receipts.take(Arrival { sequence, version: Some(version) }, &mut log));
        }
        assert_eq!(receipts.faults(4), Faults::default());
        assert_eq!(receipts.faults(8).lost, 4);
        // Five messages in turn are three of the first sender and two of the second.
        assert_eq!(receipts.faults(5).lost, 1);
        receipts.take(Arrival { sequence: 4, version: Some(8) }, &mut log);
        assert_eq!(receipts.faults(4).out_of_order, 1);
    }

    #[test]
    fn a_signal_is_expected_from_one_sender_only() {
        let mut receipts = Receipts::new(2).only_from(1);
        receipts.take(Arrival { sequence: 1, version: None }, &mut VersionLog::default());
        assert_eq!((receipts.faults(3).lost, receipts.faults(4).lost), (0, 1));
    }
}
