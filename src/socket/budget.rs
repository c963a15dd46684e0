use std::time::Duration;

use tokio::time::Instant;

use crate::{
    clock::{Millis, millis},
    limit::Bucket,
};

/// How long a sender beyond its budget is only read more slowly. After that its frames are refused.
const DEBT: Duration = Duration::from_secs(2);
/// A sender is closed after this many bursts of refused frames.
const PATIENCE: u32 = 10;

/// The allowance of each socket, from the settings.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowance {
    /// Frames per second.
    pub(super) rate: u32,
    /// Frames at once.
    pub(super) burst: u32,
}

/// The budget of a socket. A sender that exceeds it is held back: it is not read until its debt is paid, and its frames wait in TCP. If
/// frames wait for two seconds without a pause, they are refused; a sender that continues even then is closed.
#[derive(Debug, Default)]
pub(super) struct Budget {
    bucket: Bucket,
    /// On the heap and only when needed, because most sockets never come near their budget.
    strain: Option<Box<Strain>>,
}

#[derive(Debug, Default)]
struct Strain {
    /// The time before which nothing is read.
    held_until: Option<Instant>,
    /// Since when frames have been waiting to be read, without a pause.
    behind_since: Option<Instant>,
    /// The number of refused frames, minus those that were granted since.
    refused: u32,
}

impl Budget {
    /// Charges `amount`, on credit if necessary. If it is refused: when to retry, in ms.
    pub(super) fn charge(
        &mut self,
        amount: u32,
        allowance: Allowance,
        now: Millis,
        instant: Instant,
    ) -> Result<(), Millis> {
        let Allowance { rate, burst } = allowance;
        let Err(wait) = self.bucket.take(amount, rate, burst, now) else {
            self.forgive();
            return Ok(());
        };
        let strain = self.strain.get_or_insert_default();
        let behind_since = strain.behind_since.unwrap_or(instant);
        if wait <= millis(DEBT) && instant.saturating_duration_since(behind_since) < DEBT {
            let wait = self.bucket.owe(amount, rate, burst, now);
            strain.behind_since = Some(behind_since);
            strain.held_until = Some(instant + Duration::from_millis(wait));
            self.forgive();
            return Ok(());
        }
        strain.refused = strain.refused.saturating_add(1);
        Err(wait)
    }

    fn forgive(&mut self) {
        if let Some(strain) = &mut self.strain {
            strain.refused = strain.refused.saturating_sub(1);
        }
    }

    /// Whether so many frames were refused that the socket is to be closed.
    pub(super) fn is_exhausted(&self, allowance: Allowance) -> bool {
        let most = allowance.burst.saturating_mul(PATIENCE);
        self.strain.as_ref().is_some_and(|strain| strain.refused > most)
    }

    /// Reads nothing before `until`.
    pub(super) fn hold(&mut self, until: Instant) {
        self.strain.get_or_insert_default().held_until = Some(until);
    }

    /// The time until which nothing may be read.
    pub(super) fn held_until(&self) -> Option<Instant> {
        self.strain.as_ref().and_then(|strain| strain.held_until)
    }

    /// Whether the sender may be read again at `now`, and could not be before.
    pub(super) fn release(&mut self, now: Instant) -> bool {
        let strain = self.strain.as_mut().filter(|strain| strain.held_until.is_some_and(|until| until <= now));
        strain.is_some_and(|strain| strain.held_until.take().is_some())
    }

    /// Whether frames may be waiting that were sent while nothing was read.
    pub(super) fn is_behind(&self) -> bool {
        self.strain.as_ref().is_some_and(|strain| strain.behind_since.is_some())
    }

    /// Records that no frame waits to be read.
    pub(super) fn catch_up(&mut self) {
        if let Some(strain) = &mut self.strain {
            strain.behind_since = None;
            if strain.refused == 0 && strain.held_until.is_none() {
                self.strain = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALLOWANCE: Allowance = Allowance { rate: 100, burst: 300 };

    /// Reads frames that are always there as a socket does: until `end`, and how many were granted and refused.
    fn flood(budget: &mut Budget, start: Instant, from: Millis, until: Millis) -> (usize, usize) {
        let (mut granted, mut refused) = (0, 0);
        let mut now = from;
        while now < until {
            let instant = start + Duration::from_millis(now);
            budget.release(instant);
            if let Some(held) = budget.held_until() {
                now = millis(held - start);
                continue;
            }
            match budget.charge(1, ALLOWANCE, now, instant) {
                Ok(()) => granted += 1,
                Err(_) if refused > 5_000 => break,
                Err(_) => refused += 1,
            }
        }
        (granted, refused)
    }

    #[test]
    fn two_seconds_are_lent_and_then_frames_are_refused() {
        let start = Instant::now();
        let mut budget = Budget::default();
        assert_eq!(flood(&mut budget, start, 0, 2_000), (500, 0), "the burst, and two seconds at the rate");
        assert!(!budget.is_exhausted(ALLOWANCE));
        let (granted, refused) = flood(&mut budget, start, 2_000, 2_001);
        assert!(granted <= 1 && refused > 5_000, "{granted} {refused}");
        assert!(budget.is_exhausted(ALLOWANCE));
    }

    #[test]
    fn whoever_pauses_has_new_credit_and_costs_nothing() {
        let start = Instant::now();
        let mut budget = Budget::default();
        flood(&mut budget, start, 0, 1_990);
        assert!(budget.is_behind());
        let later = start + Duration::from_millis(2_100);
        budget.release(later);
        budget.catch_up();
        assert!(budget.strain.is_none(), "nothing is kept");
        assert_eq!(flood(&mut budget, start, 2_100, 4_050).1, 0);
    }

    #[test]
    fn what_costs_more_than_two_seconds_is_not_lent() {
        let start = Instant::now();
        let mut budget = Budget::default();
        let slow = Allowance { rate: 1, burst: 10 };
        assert_eq!(budget.charge(10, slow, 0, start), Ok(()));
        assert_eq!(budget.charge(10, slow, 0, start), Err(10_000));
        assert_eq!(budget.held_until(), None);
        assert_eq!(budget.charge(2, slow, 0, start), Ok(()));
        assert_eq!(budget.held_until(), Some(start + Duration::from_secs(2)));
    }
}
