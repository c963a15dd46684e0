use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::clock::Millis;

/// The number of wrong PINs without a wait, for typing errors.
const FREE: u32 = 3;
/// The first wait; it doubles with every further wrong PIN.
const FIRST_WAIT: Millis = 250;
/// The maximum wait.
const MAX_WAIT: Millis = 30_000;
/// After this time without a wrong PIN the count starts again.
const FORGET: Millis = 10 * 60_000;

/// Wrong PINs delay the next attempt in that **room**, over all sockets and nodes: three are free, seven are possible within five seconds,
/// then fewer and fewer. While a room is locked no PIN is checked, not even the right one, so the answer reveals nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
pub struct Misses {
    #[n(0)]
    count: u32,
    #[n(1)]
    last: Millis,
    #[n(2)]
    open_at: Millis,
}

impl Misses {
    /// How long the next attempt has to wait, if it has to.
    pub(super) fn wait(&self, now: Millis) -> Option<Millis> {
        self.open_at.checked_sub(now).filter(|wait| *wait > 0)
    }

    /// The count after one more wrong PIN.
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
