use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use super::{Digest, Shown};
use crate::clock::Millis;

/// A room looks at one wrong PIN in this time, beyond the burst: 30 a minute.
const EVERY: Millis = 2_000;
/// The wrong PINs that a room looks at without a pause. With those that [`EVERY`] adds meanwhile they are ten in five seconds.
const BURST: Millis = 8;
/// The part of the burst for addresses without a wrong PIN, and for those of members.
const KEPT: Millis = 4;
/// The wrong PINs of an address without a wait, for typing errors.
const FREE: u32 = 3;
/// The first wait of an address; it doubles with every further wrong PIN.
const FIRST_WAIT: Millis = 1_000;
const MAX_WAIT: Millis = 300_000;
/// An address is clean again after this time without a wrong PIN: so long that nobody guesses more by waiting for it.
const FORGET: Millis = 3_600_000;
/// How long it is known that a clean address had to wait.
const FORGET_TICKET: Millis = 300_000;
/// How long a newer address may come later than it was told before older ones are looked at.
const LATE: Millis = 1_000;
/// The addresses that a room remembers.
const MOST: usize = 64;
/// The addresses of former members that a room remembers.
const MOST_FORMER: usize = 32;
/// How long a former member is a recent one.
const RECENT: Millis = 3_600_000;

/// What a room remembers of wrong PINs, over all sockets and nodes. While it has to wait, no PIN is looked at, not even the right one, so the
/// answer reveals nothing.
///
/// Two waits: an address that was wrong waits for longer and longer, and the room as a whole looks at so many wrong PINs. A part of what the
/// room looks at is kept for addresses that were not wrong. If these are too many as well, the newest one is next: a friend comes after
/// the many who began to guess, and each of them can be the newest only once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
pub struct PinGuard {
    /// When the budget of the room is whole again.
    #[n(0)]
    whole_at: Millis,
    /// Oldest first.
    #[n(1)]
    guessers: Vec<Guesser>,
    /// The addresses of members that left, oldest first.
    #[n(2)]
    former: Vec<Former>,
}

/// An address that was wrong, or that had to wait before it could be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
pub struct Guesser {
    #[n(0)]
    origin: Digest,
    /// Its wrong PINs; 0 for one that had to wait because of others.
    #[n(1)]
    misses: u32,
    /// When the last of them was shown, or when it was told to wait.
    #[n(2)]
    at: Millis,
    /// Until when it has to wait.
    #[n(3)]
    open_at: Millis,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
struct Former {
    #[n(0)]
    origin: Digest,
    #[n(1)]
    at: Millis,
}

/// What is looked at next: an address of members, or any other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caller {
    Known,
    Stranger,
}

impl Guesser {
    fn is_remembered(&self, now: Millis) -> bool {
        now.saturating_sub(self.at) <= if self.misses == 0 { FORGET_TICKET } else { FORGET }
    }
}

impl PinGuard {
    fn guesser(&self, origin: Shown, now: Millis) -> Option<&Guesser> {
        self.guessers.iter().find(|guesser| origin.fits(guesser.origin) && guesser.is_remembered(now))
    }

    /// Whether a member from that address left recently.
    pub(super) fn is_former(&self, origin: Shown, now: Millis) -> bool {
        self.former.iter().any(|former| origin.fits(former.origin) && now.saturating_sub(former.at) <= RECENT)
    }

    /// How long the next PIN from `origin` has to wait, if it has to.
    pub(super) fn wait(&self, origin: Shown, caller: Caller, now: Millis) -> Option<Millis> {
        let guesser = self.guesser(origin, now);
        let own = guesser.map_or(0, |guesser| guesser.open_at.saturating_sub(now));
        let ticket = guesser.filter(|guesser| guesser.misses == 0);
        let is_clean = guesser.is_none() || ticket.is_some();
        let is_first = is_clean || caller == Caller::Known;
        let limit = if is_first { BURST } else { BURST - KEPT };
        let budget = (self.whole_at.max(now) + EVERY).saturating_sub(now + limit * EVERY);
        let newer = match ticket {
            Some(ticket) if caller == Caller::Stranger => self.newer(ticket, now),
            _ => 0,
        };
        // A ticket says what it was told; whether it may be looked at is decided now.
        let own = if is_clean { 0 } else { own };
        Some(own.max(budget + newer * EVERY)).filter(|wait| *wait > 0)
    }

    /// How many clean addresses had to wait later than this one, and may still come for it.
    fn newer(&self, ticket: &Guesser, now: Millis) -> Millis {
        let after = self.guessers.iter().skip_while(|guesser| guesser.origin != ticket.origin).skip(1);
        after.filter(|guesser| guesser.misses == 0 && guesser.open_at + LATE > now).map(|_| 1).sum()
    }

    /// The address after one more wrong PIN, and when the budget is whole after it.
    pub(super) fn missed(&self, origin: Digest, now: Millis) -> (Guesser, Millis) {
        let misses = self.guesser(origin.into(), now).map_or(0, |guesser| guesser.misses).saturating_add(1);
        let wait =
            misses.checked_sub(FREE).map_or(0, |over| FIRST_WAIT.saturating_mul(1 << over.min(20)).min(MAX_WAIT));
        (Guesser { origin, misses, at: now, open_at: now + wait }, self.whole_at.max(now) + EVERY)
    }

    /// A clean address that has to wait because of others; `None` if the room knows it already.
    pub(super) fn told_to_wait(&self, origin: Digest, wait: Millis, now: Millis) -> Option<(Guesser, Millis)> {
        let ticket = Guesser { origin, misses: 0, at: now, open_at: now + wait };
        self.guesser(origin.into(), now).is_none().then_some((ticket, self.whole_at))
    }

    /// Takes over what [`PinGuard::missed`] or [`PinGuard::told_to_wait`] returned. Where there is no room for it, addresses that only had to wait
    /// go first, then the oldest: an address that was wrong is forgotten early only after as many wrong PINs of others.
    pub(super) fn put(&mut self, guesser: &Guesser, whole_at: Millis) {
        let now = guesser.at;
        self.whole_at = whole_at;
        self.guessers.retain(|kept| kept.origin != guesser.origin && kept.is_remembered(now));
        if self.guessers.len() >= MOST {
            match self.guessers.iter().position(|kept| kept.misses == 0) {
                Some(ticket) => drop(self.guessers.remove(ticket)),
                None if guesser.misses == 0 => return,
                None => drop(self.guessers.remove(0)),
            }
        }
        self.guessers.push(guesser.clone());
    }

    /// A member from that address left.
    pub(super) fn part(&mut self, origin: Digest, now: Millis) {
        self.former.retain(|former| former.origin != origin && now.saturating_sub(former.at) <= RECENT);
        if self.former.len() >= MOST_FORMER {
            self.former.remove(0);
        }
        self.former.push(Former { origin, at: now });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Millis = 1_700_000_000_000;

    fn origin(number: usize) -> Digest {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&(number as u64).to_be_bytes());
        Digest::new(bytes)
    }

    /// A door that counts what is looked at.
    #[derive(Default)]
    struct Door {
        guard: PinGuard,
        looked: Vec<Millis>,
        /// When each guesser was told to come again.
        told: std::collections::HashMap<usize, Millis>,
    }

    impl Door {
        /// A wrong PIN is shown; how long it has to wait if it is not looked at.
        fn guess(&mut self, from: usize, now: Millis) -> Option<Millis> {
            let wait = self.ask(from, now);
            if wait.is_none() {
                let (guesser, whole_at) = self.guard.missed(origin(from), now);
                self.guard.put(&guesser, whole_at);
                self.looked.push(now);
            }
            wait
        }

        /// The right PIN is shown, or a wrong one before it is looked at.
        fn ask(&mut self, from: usize, now: Millis) -> Option<Millis> {
            let wait = self.guard.wait(origin(from).into(), Caller::Stranger, now);
            if let Some(wait) = wait
                && let Some((guesser, whole_at)) = self.guard.told_to_wait(origin(from), wait, now)
            {
                self.guard.put(&guesser, whole_at);
            }
            wait
        }

        fn most_within(&self, window: Millis) -> usize {
            let within = |from: &Millis| self.looked.iter().filter(|at| (*from..*from + window).contains(*at)).count();
            self.looked.iter().map(within).max().unwrap_or(0)
        }
    }

    /// Guessers that come back when they are told to, for `long`.
    fn attack(door: &mut Door, guessers: usize, from: Millis, long: Millis) {
        for now in (from..from + long).step_by(200) {
            for guesser in 0..guessers {
                if door.told.get(&guesser).is_none_or(|told| *told <= now) {
                    let told = now + door.guess(guesser, now).unwrap_or(0);
                    door.told.insert(guesser, told);
                }
            }
        }
    }

    #[test]
    fn a_room_looks_at_ten_in_five_seconds_and_then_at_thirty_a_minute() {
        // Each guesses once, so that only the room slows them down.
        let mut door = Door::default();
        let mut fresh = 0;
        for now in (START..START + 600_000).step_by(50) {
            if door.guess(fresh, now).is_none() {
                fresh += 1;
            }
        }
        assert!(door.most_within(5_000) <= 10, "{}", door.most_within(5_000));
        let late = door.looked.iter().filter(|at| **at >= START + 60_000).count();
        assert!((265..=271).contains(&late), "{late} in nine minutes");
    }

    #[test]
    fn an_address_has_three_and_then_waits_twice_as_long_each_time() {
        let mut door = Door::default();
        let mut now = START;
        let mut waits = Vec::new();
        while waits.len() < 12 {
            match door.guess(7, now) {
                Some(wait) => {
                    waits.push(wait / 1_000);
                    now += wait;
                }
                None => assert!(door.looked.len() <= waits.len() + 3),
            }
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        now += FORGET + 1;
        assert_eq!([door.guess(7, now), door.guess(7, now), door.guess(7, now)], [None; 3], "it is clean again");
    }

    /// The figures of docs/protocol.md.
    #[test]
    fn an_hour_of_guessing_gets_so_many_looks() {
        for (guessers, first, next) in [(1, 22, 12), (50, 1_000, 600)] {
            let mut door = Door::default();
            let mut open = vec![START; guessers];
            for now in (START..START + 2 * 3_600_000).step_by(500) {
                for (guesser, open) in open.iter_mut().enumerate().filter(|(_, open)| **open <= now) {
                    if let Some(wait) = door.guess(guesser, now) {
                        *open = now + wait;
                    }
                }
            }
            let in_the_first = door.looked.iter().filter(|at| **at < START + 3_600_000).count();
            let in_the_second = door.looked.len() - in_the_first;
            println!("{guessers} addresses: {in_the_first} looks in the first hour, {in_the_second} in the second");
            assert!(in_the_first <= first && in_the_first * 10 >= first * 9, "{guessers}: {in_the_first}");
            assert!(in_the_second <= next && in_the_second * 10 >= next * 9, "{guessers}: {in_the_second}");
        }
    }

    /// How long friends with the right PIN wait, who come `begun` after `guessers` began and each `pause` after the one before, and come back when
    /// they are told to. In ms, the longest last.
    fn friends(guessers: usize, begun: Millis, pause: Millis, count: usize) -> Vec<Millis> {
        let mut door = Door::default();
        attack(&mut door, guessers, START, begun);
        let mut now = START + begun;
        let mut waits = Vec::new();
        for friend in 0..count {
            let came = now;
            let mut next = now;
            loop {
                if next <= now {
                    match door.ask(1_000 + friend, now) {
                        None => break,
                        Some(wait) => next = now + wait + 50,
                    }
                }
                attack(&mut door, guessers, now, 50);
                now += 50;
            }
            waits.push(now - came);
            attack(&mut door, guessers, now, pause);
            now += pause;
        }
        assert!(door.most_within(5_000) <= 10);
        waits.sort_unstable();
        waits
    }

    #[test]
    fn a_friend_gets_in_within_ten_seconds_whoever_guesses() {
        for (guessers, begun, pause) in
            [(1, 1_000, 1_000), (50, 1_000, 1_000), (50, 60_000, 7_000), (50, 300_000, 20_000)]
        {
            let waits = friends(guessers, begun, pause, 20);
            println!("{guessers} addresses, {begun} ms after they began: {waits:?}");
            assert!(waits[18] <= 10_000, "p95 of {waits:?}");
        }
    }

    #[test]
    fn an_address_of_members_is_looked_at_though_many_are_new() {
        let mut door = Door::default();
        attack(&mut door, 50, START, 5_000);
        door.guard.part(origin(900), START);
        let now = START + 5_000;
        assert!(door.guard.is_former(origin(900).into(), now) && !door.guard.is_former(origin(901).into(), now));
        assert!(!door.guard.is_former(origin(900).into(), START + RECENT + 1));
        let wait = door.guard.wait(origin(900).into(), Caller::Known, now);
        assert!(wait.is_none_or(|wait| wait <= EVERY), "{wait:?}");
    }

    #[test]
    fn nobody_pushes_himself_out_for_free() {
        let mut door = Door::default();
        let mut now = START;
        for _ in 0..6 {
            now += door.guess(1, now).unwrap_or(0);
        }
        let open_at = door.guard.guesser(origin(1).into(), now).unwrap().open_at;
        // Ten thousand others come, and only those that are looked at count.
        for other in 0..10_000 {
            door.guess(2 + other, now);
        }
        assert_eq!(door.guard.guesser(origin(1).into(), now).unwrap().open_at, open_at);
        assert!(door.guard.guessers.len() <= MOST);
        let before = door.looked.len();
        let mut other = 20_000;
        while door.guard.guesser(origin(1).into(), now).is_some() {
            now += 500;
            other += 1;
            door.guess(other, now);
        }
        assert!(door.looked.len() - before >= MOST - 10, "{}", door.looked.len() - before);
    }
}
