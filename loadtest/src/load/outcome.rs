use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::Returns;
use crate::{
    measure::{Faults, Latency},
    report::Sheet,
    units::float,
};

/// Figures of an outcome that are zero if every message arrived once and in order.
pub(crate) const CORRECT: [&str; 6] = ["unsent", "lost", "doubled", "out_of_order", "differing", "errors"];

/// What the clients of one round, or of several, sent and received.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// Messages of the schedule.
    pub(crate) sent: u64,
    /// Deliveries that these should cause.
    pub(crate) expected: u64,
    /// Deliveries, each counted once.
    pub(crate) delivered: u64,
    /// Messages that could not be sent because their sender was too busy.
    pub(crate) unsent: u64,
    pub(crate) faults: Faults,
    /// ERROR frames and closed connections.
    pub(crate) errors: u64,
    pub(crate) first_error: Option<String>,
    pub(crate) returns: Returns,
    /// From the moment a message was due to its arrival.
    pub(crate) latency: Latency,
    /// The same of messages whose sender and receiver kept their connections in the round.
    pub(crate) others: Latency,
    /// Versions of rooms that were none of the round's messages, though nothing else was sent.
    pub(crate) skipped: u64,
    /// From the moment a message was due to the moment its sender was told to send it.
    pub(crate) lag: Latency,
}

impl Outcome {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            sent: 0,
            expected: 0,
            delivered: 0,
            unsent: 0,
            faults: Faults::default(),
            errors: 0,
            first_error: None,
            returns: Returns::new()?,
            latency: Latency::new()?,
            others: Latency::new()?,
            skipped: 0,
            lag: Latency::new()?,
        })
    }

    pub(crate) fn made(&self) -> u64 {
        self.sent - self.unsent
    }

    /// Adds the outcome of another round or generator.
    pub(crate) fn add(&mut self, other: Self) -> Result<()> {
        self.sent += other.sent;
        self.expected += other.expected;
        self.delivered += other.delivered;
        self.unsent += other.unsent;
        self.faults += other.faults;
        self.errors += other.errors;
        if self.first_error.is_none() {
            self.first_error = other.first_error;
        }
        self.returns.add(&other.returns)?;
        self.skipped += other.skipped;
        self.latency.add(&other.latency)?;
        self.others.add(&other.others)?;
        self.lag.add(&other.lag)
    }

    /// The same without its latencies: a warm-up must be correct, but is not measured.
    pub(crate) fn without_latency(self) -> Result<Self> {
        Ok(Self { latency: Latency::new()?, others: Latency::new()?, lag: Latency::new()?, ..self })
    }

    /// Reports all figures. The operation is `delivery`, or gives the names of the counts its prefix.
    pub(crate) fn report(&self, sheet: &mut Sheet, column: &str, operation: &str) {
        let prefix = prefix(operation);
        for (name, value) in [
            ("sent", self.sent),
            ("delivered", self.delivered),
            ("unsent", self.unsent),
            ("lost", self.faults.lost),
            ("doubled", self.faults.doubled),
            ("out_of_order", self.faults.out_of_order),
            ("differing", self.faults.differing),
            ("errors", self.errors),
        ] {
            sheet.set(column, &format!("{prefix}{name}"), float(value));
        }
        self.latency.report(sheet, column, operation);
        sheet.set(column, &format!("{prefix}generator_lag_p99_ms"), self.lag.quantile_ms(0.99));
    }
}

/// The prefix of the counts of an operation.
pub(crate) fn prefix(operation: &str) -> String {
    if operation == "delivery" { String::new() } else { format!("{operation}_") }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn outcome(sent: u64, micros: u64, error: Option<&str>) -> Outcome {
        let mut outcome = Outcome::new().unwrap();
        (outcome.sent, outcome.expected, outcome.delivered) = (sent, sent * 4, sent * 4 - 1);
        outcome.faults.lost = 1;
        outcome.errors = u64::from(error.is_some());
        outcome.first_error = error.map(str::to_owned);
        outcome.latency.record_span(Duration::from_micros(micros));
        outcome
    }

    #[test]
    fn generators_are_added() {
        let mut all = outcome(10, 100, None);
        all.add(outcome(20, 900, Some("a"))).unwrap();
        all.add(outcome(5, 500, Some("b"))).unwrap();
        let counts = (all.sent, all.expected, all.delivered, all.faults.lost, all.errors);
        assert_eq!(counts, (35, 140, 137, 3, 2));
        assert_eq!(all.first_error.as_deref(), Some("a"));
        assert_eq!((all.latency.count(), all.latency.quantile(0.5)), (3, 500));
        let all = all.without_latency().unwrap();
        assert_eq!((all.latency.count(), all.faults.lost), (0, 3));
    }
}
