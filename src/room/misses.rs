use serde::{Deserialize, Serialize};

use crate::clock::Millis;

/// Wrong PINs that cost nothing: typing errors.
const FREE: u32 = 3;
/// The wait after the first one that does; it doubles with every further one.
const FIRST_WAIT: Millis = 250;
/// The longest wait.
const MAX_WAIT: Millis = 30_000;
/// A room without a wrong PIN for this long starts again.
const FORGET: Millis = 10 * 60_000;

/// Wrong PINs make the next try of that **room** wait, whoever makes it, over however many sockets and nodes: three at once and seven
/// within five seconds, then fewer and fewer. While a room waits no PIN is looked at, the right one neither, so waiting tells nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Misses {
    count: u32,
    last: Millis,
    open_at: Millis,
}

impl Misses {
    /// How long the next try has to wait, if it has to.
    pub(super) fn wait(&self, now: Millis) -> Option<Millis> {
        self.open_at.checked_sub(now).filter(|wait| *wait > 0)
    }

    /// After one more.
    pub(super) fn another(before: Option<Self>, now: Millis) -> Self {
        let recent = before.filter(|misses| now.saturating_sub(misses.last) <= FORGET);
        let count = recent.map_or(0, |misses| misses.count).saturating_add(1);
        let wait = count.checked_sub(FREE).map_or(0, |over| FIRST_WAIT.saturating_mul(1 << over.min(20)).min(MAX_WAIT));
        Self { count, last: now, open_at: now + wait }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_most_a_dozen_in_five_seconds_and_then_fewer() {
        let mut misses: Option<Misses> = None;
        let mut tries = Vec::new();
        for now in 0..120_000 {
            if misses.is_none_or(|misses| misses.wait(now).is_none()) {
                tries.push(now);
                misses = Some(Misses::another(misses, now));
            }
        }
        assert_eq!(tries.iter().filter(|at| **at < 5_000).count(), 7, "{tries:?}");
        assert!(tries.windows(2).filter(|pair| pair[0] > 60_000).all(|pair| pair[1] - pair[0] >= 30_000), "{tries:?}");
        let late = Misses::another(misses, 120_000 + FORGET + 1);
        assert_eq!((late.count, late.wait(120_000 + FORGET + 1)), (1, None));
    }
}
