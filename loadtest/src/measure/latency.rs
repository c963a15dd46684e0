//! Latency from the moment a message was due, not from the moment it was sent.
//!
//! When the server or the machine stalls and the generator falls behind, every message that should have been under way still
//! counts with its wait. Measuring from the send would hide that ("coordinated omission").

use std::time::{Duration, Instant};

use anyhow::Result;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::{
    report::Sheet,
    units::{float, micros},
};

/// Longer latencies count as this one: an hour. Clients of a crowd are away for minutes.
const LONGEST_MICROS: u64 = 3_600_000_000;

/// A histogram of latencies in microseconds with three significant digits. It is serialised as pairs of value and count.
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
    pub(crate) fn new() -> Result<Self> {
        Ok(Self(Histogram::new_with_bounds(1, LONGEST_MICROS, 3)?))
    }

    /// Records a message that was due and has arrived.
    pub(crate) fn record(&mut self, due: Instant, arrived: Instant) {
        self.record_span(arrived.saturating_duration_since(due));
    }

    pub(crate) fn record_span(&mut self, span: Duration) {
        self.0.saturating_record(micros(span).clamp(1, LONGEST_MICROS));
    }

    pub(crate) fn add(&mut self, other: &Self) -> Result<()> {
        Ok(self.0.add(&other.0)?)
    }

    /// A quantile in microseconds.
    pub(crate) fn quantile(&self, quantile: f64) -> u64 {
        self.0.value_at_quantile(quantile)
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }

    /// A quantile in milliseconds.
    pub(crate) fn quantile_ms(&self, quantile: f64) -> f64 {
        float(self.quantile(quantile)) / 1e3
    }

    /// Reports the usual quantiles as `{name}_p50_ms` and so on.
    pub(crate) fn report(&self, sheet: &mut Sheet, column: &str, name: &str) {
        if self.count() == 0 {
            return;
        }
        for (suffix, quantile) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999), ("max", 1.0)] {
            sheet.set(column, &format!("{name}_{suffix}_ms"), self.quantile_ms(quantile));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Schedule;

    fn close(value: u64, expected: u64) -> bool {
        value.abs_diff(expected) * 500 <= expected
    }

    #[test]
    fn a_stall_counts_for_every_message_that_was_due_in_it() {
        // 100 messages a second for 10 s. The server answers at once, but stalls in second 4: what was due then arrives when
        // the stall ends. A closed loop would count one slow message; here a tenth of all are slow.
        let start = Instant::now();
        let stall = start + Duration::from_secs(4)..start + Duration::from_secs(5);
        let mut latency = Latency::new().unwrap();
        for slot in Schedule::new(start, 10, 1).lasting(100, 10, 0).slots() {
            let arrived = if stall.contains(&slot.due) { stall.end } else { slot.due };
            latency.record(slot.due, arrived + Duration::from_micros(200));
        }
        assert_eq!(latency.count(), 1000);
        assert!(close(latency.quantile(0.5), 200) && close(latency.quantile(0.99), 900_200), "{latency:?}");
        assert!(close(latency.quantile(1.0), 1_000_200), "{latency:?}");
    }

    #[test]
    fn early_and_endless_are_kept_in_bounds() {
        let now = Instant::now();
        let mut latency = Latency::new().unwrap();
        latency.record(now + Duration::from_secs(1), now);
        latency.record(now, now + Duration::from_hours(2));
        assert_eq!((latency.count(), latency.quantile(0.5)), (2, 1));
        assert!(close(latency.quantile(1.0), LONGEST_MICROS));
    }

    #[test]
    fn a_histogram_survives_serialisation_and_addition() {
        let mut latency = Latency::new().unwrap();
        for micros in [1, 250, 250, 1_234_567, 59_999_999] {
            latency.record_span(Duration::from_micros(micros));
        }
        let text = serde_json::to_string(&latency).unwrap();
        let mut again: Latency = serde_json::from_str(&text).unwrap();
        for quantile in [0.0, 0.5, 0.9, 1.0] {
            assert_eq!(again.quantile(quantile), latency.quantile(quantile));
        }
        again.add(&latency).unwrap();
        assert_eq!(again.count(), 10);
    }
}
