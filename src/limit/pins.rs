use dashmap::DashMap;

use crate::{clock::Millis, id::RoomId};

/// Wrong PINs that cost nothing: typing errors.
const FREE: u32 = 3;
/// The wait after the first one that does; it doubles with every further one.
const FIRST_WAIT: Millis = 250;
/// The longest wait.
const MAX_WAIT: Millis = 30_000;
/// A room without a wrong PIN for this long starts again.
const FORGET: Millis = 10 * 60_000;
/// From so many rooms on those that are quiet again are looked for and forgotten. Only rooms that exist are counted, so there are
/// not more than were open in the time after which they are forgotten.
const MANY_ROOMS: usize = 10_000;

/// Wrong PINs make the next try of that **room** wait, whoever makes it and over however many sockets: three at once and seven within five
/// seconds, then fewer and fewer. While a room waits no PIN is looked at, the right one neither, so waiting tells nothing.
#[derive(Debug, Default)]
pub struct PinThrottle {
    rooms: DashMap<RoomId, Misses>,
}

#[derive(Debug, Clone, Copy)]
struct Misses {
    count: u32,
    last: Millis,
    open_at: Millis,
}

impl PinThrottle {
    /// Whether a PIN may be tried now; if not, how long to wait.
    pub fn check(&self, room: &RoomId, now: Millis) -> Result<(), Millis> {
        match self.rooms.get(room) {
            Some(misses) if misses.open_at > now => Err(misses.open_at - now),
            _ => Ok(()),
        }
    }

    /// Counts a wrong PIN.
    pub fn miss(&self, room: &RoomId, now: Millis) {
        if self.rooms.len() >= MANY_ROOMS && !self.rooms.contains_key(room) {
            self.rooms.retain(|_, misses| now.saturating_sub(misses.last) < FORGET);
        }
        let mut misses = self.rooms.entry(room.clone()).or_insert(Misses { count: 0, last: now, open_at: 0 });
        if now.saturating_sub(misses.last) > FORGET {
            misses.count = 0;
        }
        misses.count = misses.count.saturating_add(1);
        misses.last = now;
        if let Some(over) = misses.count.checked_sub(FREE) {
            misses.open_at = now + FIRST_WAIT.saturating_mul(1 << over.min(20)).min(MAX_WAIT);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_most_a_dozen_in_five_seconds_and_then_fewer() {
        let throttle = PinThrottle::default();
        let room = RoomId::parse("r").unwrap();
        let mut tries = Vec::new();
        for now in 0..120_000 {
            if throttle.check(&room, now).is_ok() {
                tries.push(now);
                throttle.miss(&room, now);
            }
        }
        assert_eq!(tries.iter().filter(|at| **at < 5_000).count(), 7, "{tries:?}");
        assert!(tries.windows(2).filter(|pair| pair[0] > 60_000).all(|pair| pair[1] - pair[0] >= 30_000), "{tries:?}");
        assert!(throttle.check(&RoomId::parse("other").unwrap(), 1).is_ok());
    }
}
