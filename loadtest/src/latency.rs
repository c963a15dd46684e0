//! Latency from the time a message was due, not from when it was sent.
//!
//! A generator that falls behind, because the server or the machine stalls, then still counts the wait of every message that
//! should have been under way ("coordinated omission").

use std::time::{Duration, Instant};

use anyhow::Result;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::units::micros;

/// The longest latency told apart from longer ones: a minute.
const LONGEST_MICROS: u64 = 60_000_000;

/// A distribution of latencies, in microseconds to three digits. Written down as pairs of a value and how often it was there.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "Vec<(u64, u64)>", into = "Vec<(u64, u64)>")]
pub(crate) struct Latency(Histogram<u64>);

impl From<Latency> for Vec<(u64, u64)> {
    fn from(latency: Latency) -> Self {
        latency.0.iter_recorded().map(|it| (it.value_iterated_to(), it.count_at_value())).collect()
    }
}

impl TryFrom<Vec<(u64, u64)>> for Latency {
    type Error = anyhow::Error;

    fn try_from(pairs: Vec<(u64, u64)>) -> Result<Self> {
        let mut latency = Self::new()?;
        for (value, count) in pairs {
            latency.0.saturating_record_n(value, count);
        }
        Ok(latency)
    }
}

impl Latency {
    /// An empty one.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self(Histogram::new_with_bounds(1, LONGEST_MICROS, 3)?))
    }

    /// Takes in one message that was due and has arrived.
    pub(crate) fn record(&mut self, due: Instant, arrived: Instant) {
        self.record_span(arrived.saturating_duration_since(due));
    }

    pub(crate) fn record_span(&mut self, span: Duration) {
        self.0.saturating_record(micros(span).clamp(1, LONGEST_MICROS));
    }

    /// Takes in all of another one.
    pub(crate) fn add(&mut self, other: &Self) -> Result<()> {
        Ok(self.0.add(&other.0)?)
    }

    /// The value that this part of all are below, in microseconds.
    pub(crate) fn quantile(&self, quantile: f64) -> u64 {
        self.0.value_at_quantile(quantile)
    }

    /// How many were taken in.
    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }

    /// The figures to report.
    pub(crate) fn summary(&self) -> Summary {
        Summary {
            count: self.0.len(),
            p50: self.0.value_at_quantile(0.5),
            p90: self.0.value_at_quantile(0.9),
            p99: self.0.value_at_quantile(0.99),
            p999: self.0.value_at_quantile(0.999),
            max: self.0.max(),
        }
    }
}

/// Percentiles in microseconds.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) struct Summary {
    /// How many were measured.
    pub(crate) count: u64,
    /// Half were faster.
    #[serde(rename = "p50_us")]
    pub(crate) p50: u64,
    /// 90 % were faster.
    #[serde(rename = "p90_us")]
    pub(crate) p90: u64,
    /// 99 % were faster.
    #[serde(rename = "p99_us")]
    pub(crate) p99: u64,
    /// 99.9 % were faster.
    #[serde(rename = "p999_us")]
    pub(crate) p999: u64,
    /// The slowest.
    #[serde(rename = "max_us")]
    pub(crate) max: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::Schedule;

    fn close(value: u64, expected: u64) -> bool {
        value.abs_diff(expected) * 500 <= expected
    }

    #[test]
    fn a_stall_is_charged_to_every_message_that_was_due_in_it() {
        // 100 messages a second for 10 s. The server answers at once, but stands still in second 4: what was due then
        // arrives when it ends. A closed loop would count one slow message; here a tenth of all are slow.
        let start = Instant::now();
        let stall = start + Duration::from_secs(4)..start + Duration::from_secs(5);
        let mut latency = Latency::new().unwrap();
        for slot in Schedule::new(start, (10, 1), 100, 10, 0).slots() {
            let arrived = if stall.contains(&slot.due) { stall.end } else { slot.due };
            latency.record(slot.due, arrived + Duration::from_micros(200));
        }
        let summary = latency.summary();
        assert_eq!(summary.count, 1000);
        assert!(close(summary.p50, 200), "{summary:?}");
        assert!(close(summary.p99, 900_200), "{summary:?}");
        assert!(close(summary.max, 1_000_200), "{summary:?}");
    }

    #[test]
    fn early_and_endless_are_kept_in_bounds() {
        let now = Instant::now();
        let mut latency = Latency::new().unwrap();
        latency.record(now + Duration::from_secs(1), now);
        latency.record(now, now + Duration::from_hours(1));
        let summary = latency.summary();
        assert_eq!(summary.count, 2);
        assert_eq!(summary.p50, 1);
        assert!(close(summary.max, LONGEST_MICROS));
    }

    #[test]
    fn it_is_the_same_after_a_journey() {
        let mut latency = Latency::new().unwrap();
        for micros in [1, 250, 250, 1_234_567, 59_999_999] {
            latency.record_span(Duration::from_micros(micros));
        }
        let text = serde_json::to_string(&latency).unwrap();
        let again: Latency = serde_json::from_str(&text).unwrap();
        assert_eq!(format!("{:?}", again.summary()), format!("{:?}", latency.summary()));
        assert_eq!(again.count(), 5);
    }

    #[test]
    fn two_become_one() {
        let mut all = Latency::new().unwrap();
        let mut round = Latency::new().unwrap();
        round.record_span(Duration::from_micros(10));
        all.add(&round).unwrap();
        all.add(&round).unwrap();
        assert_eq!(all.summary().count, 2);
    }
}
