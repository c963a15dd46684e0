use std::time::{Duration, Instant};

use crate::latency::Latency;

/// What arrives at one member from one other: each number once.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// How often each number came.
    came: Vec<u8>,
    doubled: u64,
}

impl Line {
    /// Takes in one; whether it is the first time.
    pub(super) fn take(&mut self, number: u64) -> bool {
        let Ok(place) = usize::try_from(number) else { return false };
        if self.came.len() <= place {
            self.came.resize(place + 1, 0);
        }
        let Some(times) = self.came.get_mut(place) else { return false };
        *times = times.saturating_add(1);
        self.doubled += u64::from(*times > 1);
        *times == 1
    }

    /// How many came, and how many of them again.
    pub(super) fn counts(&self) -> (u64, u64) {
        let came = self.came.iter().filter(|times| **times > 0).count();
        (u64::try_from(came).unwrap_or(u64::MAX), self.doubled)
    }
}

/// All that members wrote down.
#[derive(Debug)]
pub(super) struct Notes {
    /// When time begins.
    pub(super) origin: Instant,
    /// By receiver.
    pub(super) lines: Vec<Line>,
    pub(super) arrived: u64,
    pub(super) latency: Latency,
    pub(super) failed: u64,
    pub(super) first_failure: Option<String>,
}

impl Notes {
    /// A signal has come that was due so many microseconds after the beginning.
    pub(super) fn take(&mut self, receiver: usize, number: u64, due: u64) {
        let due = self.origin + Duration::from_micros(due);
        if self.lines.get_mut(receiver).is_some_and(|line| line.take(number)) {
            self.arrived += 1;
            self.latency.record(due, Instant::now());
        }
    }

    /// Something went wrong.
    pub(super) fn fail(&mut self, what: String) {
        self.failed += 1;
        self.first_failure.get_or_insert(what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_counts_once() {
        let mut line = Line::default();
        assert!(line.take(0) && line.take(2) && !line.take(2));
        assert_eq!(line.counts(), (2, 1));
        assert!(line.take(1));
        assert_eq!(line.counts(), (3, 1));
    }
}
