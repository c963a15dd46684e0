use std::time::Instant;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::{client::Entry, measure::Latency, report::Sheet, units::float};

/// Figures that are zero if every member came back to its seat.
pub(crate) const RETURNED: [&str; 3] = ["not_back", "not_resumed", "announced_left"];

/// How members came back that had lost their connections.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Returns {
    /// Connections that were lost.
    pub(super) dropped: u64,
    returned: u64,
    /// Members that came back and had to be shown the whole room.
    not_resumed: u64,
    /// Attempts to come back that failed.
    refused: u64,
    /// Messages that were refused because shared state was away; their senders send them again.
    pub(super) unavailable: u64,
    /// Members that the others were told have left.
    pub(super) announced_left: u64,
    /// From the loss of a connection to the seat that was taken again.
    back: Latency,
}

impl Returns {
    pub(crate) fn new() -> Result<Self> {
        let back = Latency::new()?;
        Ok(Self { dropped: 0, returned: 0, not_resumed: 0, refused: 0, unavailable: 0, announced_left: 0, back })
    }

    /// Notes a member that is back after so many attempts that were refused.
    pub(super) fn returned(&mut self, lost: Instant, refused: u32, entry: Entry) {
        self.returned += 1;
        self.refused += u64::from(refused);
        self.not_resumed += u64::from(entry == Entry::Joined);
        self.back.record(lost, Instant::now());
    }

    /// Notes attempts that were refused.
    pub(super) fn note_refused(&mut self, times: u64) {
        self.refused += times;
    }

    /// Attempts to come in that failed.
    pub(crate) fn refused(&self) -> u64 {
        self.refused
    }

    /// Members that are still without a connection.
    pub(super) fn away(&self) -> u64 {
        self.dropped.saturating_sub(self.returned)
    }

    pub(super) fn add(&mut self, other: &Self) -> Result<()> {
        self.dropped += other.dropped;
        self.returned += other.returned;
        self.not_resumed += other.not_resumed;
        self.refused += other.refused;
        self.unavailable += other.unavailable;
        self.announced_left += other.announced_left;
        self.back.add(&other.back)
    }

    pub(crate) fn report(&self, sheet: &mut Sheet, column: &str) {
        for (name, value) in [
            ("dropped", self.dropped),
            ("not_back", self.away()),
            ("not_resumed", self.not_resumed),
            ("refused", self.refused),
            ("unavailable", self.unavailable),
            ("announced_left", self.announced_left),
        ] {
            sheet.set(column, name, float(value));
        }
        self.back.report(sheet, column, "back");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_not_back_is_counted() {
        let mut returns = Returns::new().unwrap();
        returns.dropped = 3;
        returns.returned(Instant::now(), 2, Entry::Resumed { replayed: 5 });
        returns.returned(Instant::now(), 0, Entry::Joined);
        let mut all = returns.clone();
        all.add(&returns).unwrap();
        let mut sheet = Sheet::new("");
        all.report(&mut sheet, "");
        let figures = ["not_back", "not_resumed", "refused"].map(|name| sheet.get("", name).unwrap().to_string());
        assert_eq!(figures, ["2", "2", "4"]);
        assert!(sheet.get("", "back_max_ms").is_some());
    }
}
