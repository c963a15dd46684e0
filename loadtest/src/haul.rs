//! What came of a load, on the side of those who made it.

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::{latency::Latency, tally::Faults};

/// What was sent and what arrived.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// Messages that were sent, warm-up included.
    pub(crate) sent: u64,
    /// Deliveries there should be.
    pub(crate) expected: u64,
    /// Different deliveries there were.
    pub(crate) delivered: u64,
    /// Messages that could not even be handed to a client.
    pub(crate) unsent: u64,
    /// What was wrong with the deliveries.
    pub(crate) faults: Faults,
    /// ERROR frames and closed sockets.
    pub(crate) complaints: u64,
    /// The first of them.
    pub(crate) first_complaint: Option<String>,
}

impl Outcome {
    /// Whether every delivery arrived once and in order.
    pub(crate) fn correct(&self) -> bool {
        self.faults.none() && self.unsent == 0 && self.complaints == 0
    }

    /// Messages that were really sent.
    pub(crate) fn made(&self) -> u64 {
        self.sent - self.unsent
    }

    fn add(&mut self, other: Self) {
        self.sent += other.sent;
        self.expected += other.expected;
        self.delivered += other.delivered;
        self.unsent += other.unsent;
        self.faults += other.faults;
        self.complaints += other.complaints;
        if self.first_complaint.is_none() {
            self.first_complaint = other.first_complaint;
        }
    }
}

/// What came of one round, or of several, or of several generators.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Haul {
    /// What was sent and what arrived.
    pub(crate) outcome: Outcome,
    /// From the time a message was due to the time it arrived.
    pub(crate) latency: Latency,
    /// How late the generator was by itself.
    pub(crate) lag: Latency,
}

impl Haul {
    /// Nothing yet.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self { outcome: Outcome::default(), latency: Latency::new()?, lag: Latency::new()? })
    }

    /// Takes in all of another one.
    pub(crate) fn add(&mut self, other: Self) -> Result<()> {
        self.outcome.add(other.outcome);
        self.latency.add(&other.latency)?;
        self.lag.add(&other.lag)
    }

    /// The same, of which nothing is known but whether it was right.
    pub(crate) fn untimed(self) -> Result<Self> {
        Ok(Self { latency: Latency::new()?, lag: Latency::new()?, ..self })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn haul(sent: u64, micros: u64, complaint: Option<&str>) -> Haul {
        let mut haul = Haul::new().unwrap();
        (haul.outcome.sent, haul.outcome.expected, haul.outcome.delivered) = (sent, sent * 4, sent * 4 - 1);
        haul.outcome.faults.lost = 1;
        haul.outcome.complaints = u64::from(complaint.is_some());
        haul.outcome.first_complaint = complaint.map(str::to_owned);
        haul.latency.record_span(Duration::from_micros(micros));
        haul
    }

    #[test]
    fn generators_are_merged() {
        let mut all = haul(10, 100, None);
        all.add(haul(20, 900, Some("a"))).unwrap();
        all.add(haul(5, 500, Some("b"))).unwrap();
        assert_eq!(
            (
                all.outcome.sent,
                all.outcome.expected,
                all.outcome.delivered,
                all.outcome.faults.lost,
                all.outcome.complaints
            ),
            (35, 140, 137, 3, 2)
        );
        assert_eq!(all.outcome.first_complaint.as_deref(), Some("a"));
        let summary = all.latency.summary();
        assert_eq!((summary.count, summary.p50, summary.max), (3, 500, 900));
    }

    #[test]
    fn without_its_times_it_is_still_as_wrong() {
        let untimed = haul(1, 7, None).untimed().unwrap();
        assert_eq!((untimed.latency.count(), untimed.outcome.faults.lost), (0, 1));
    }
}
