use std::{
    collections::BTreeMap,
    time::{SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

use super::Rule;
use crate::{crowd::Record, latency::Latency, report::Machine, units::float};

/// Where a distribution is looked at; each step is a tenth of what the one before left over.
const QUANTILES: [f64; 14] = [0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9999];

/// All that a scenario has to say.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Findings {
    /// Which one.
    pub(crate) scenario: String,
    /// When, in seconds since 1970.
    pub(crate) made_at: u64,
    /// How it was asked for.
    pub(crate) command: Vec<String>,
    /// Where.
    pub(crate) machine: Machine,
    /// By their names, which end with their units.
    pub(crate) figures: BTreeMap<String, f64>,
    /// Distributions: x is the part of all that were faster, y milliseconds.
    pub(crate) curves: Vec<Series>,
    /// Over time: x is seconds.
    pub(crate) series: Vec<Series>,
    /// What had to hold.
    pub(crate) verdicts: Vec<Verdict>,
    /// The first things that should not have happened.
    pub(crate) complaints: Vec<String>,
    /// The last warnings that servers logged.
    pub(crate) warnings: Vec<String>,
}

/// A line of a plot.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Series {
    /// The plot that it is in.
    pub(crate) plot: String,
    /// Its name there.
    pub(crate) name: String,
    /// From left to right.
    pub(crate) points: Vec<(f64, f64)>,
}

/// Whether a rule holds.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Verdict {
    /// The rule.
    pub(crate) rule: String,
    /// The figure; nothing if there is none of that name.
    pub(crate) value: Option<f64>,
    /// Whether it holds.
    pub(crate) passed: bool,
}

impl Findings {
    /// None yet.
    pub(crate) fn new(scenario: &str) -> Self {
        Self {
            scenario: scenario.to_owned(),
            made_at: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
            command: std::env::args().collect(),
            machine: Machine::this(),
            figures: ["lost", "doubled", "out_of_order", "complaints", "announced_left", "discontinuities"]
                .map(|name| (name.to_owned(), 0.0))
                .into(),
            curves: Vec::new(),
            series: Vec::new(),
            verdicts: Vec::new(),
            complaints: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// A figure.
    pub(crate) fn figure(&mut self, name: &str, value: f64) {
        self.figures.insert(name.to_owned(), value);
    }

    /// More of it.
    pub(crate) fn add(&mut self, name: &str, value: f64) {
        *self.figures.entry(name.to_owned()).or_default() += value;
    }

    /// The most of it.
    pub(crate) fn most(&mut self, name: &str, value: f64) {
        let most = self.figures.entry(name.to_owned()).or_default();
        *most = most.max(value);
    }

    /// Takes over what was written down.
    pub(crate) fn take(&mut self, record: &Record, sockets: u32) {
        self.figure("sockets", f64::from(sockets));
        for (name, total, peak) in record.totals() {
            self.figure(name, float(total));
            self.figure(&format!("{name}_peak_100ms"), float(peak));
        }
        for (name, latency) in record.latencies() {
            self.distribution(name, &latency);
        }
        let mut series = |plot: &str, name: &str, points: Vec<(f64, f64)>| {
            self.series.push(Series { plot: plot.to_owned(), name: name.to_owned(), points });
        };
        for (name, points) in record.rates() {
            let plot =
                if matches!(name.as_str(), "sent" | "delivered") { "Frames a second" } else { "Events a second" };
            series(plot, &name, points);
        }
        for (name, points) in record.tails() {
            series("p99 of each second, ms", &name, points);
        }
        for (name, points) in record.gauges() {
            match name.split_once(' ') {
                Some(("cpu", part)) => series("CPU of the servers, % of a core", part, points),
                Some(("rss", part)) => series("Memory of the servers, MB", part, points),
                _ => {}
            }
        }
        self.servers(record);
        self.complaints = record.complaints();
    }

    fn distribution(&mut self, name: &str, latency: &Latency) {
        let value = |quantile: f64| float(latency.quantile(quantile)) / 1e3;
        for (suffix, quantile) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999), ("max", 1.0)] {
            self.figure(&format!("{name}_{suffix}_ms"), value(quantile));
        }
        self.figure(&format!("{name}_count"), float(latency.count()));
        let points = QUANTILES.map(|quantile| (quantile, value(quantile))).to_vec();
        self.curves.push(Series { plot: "Latency, ms".to_owned(), name: name.to_owned(), points });
    }

    /// CPU in the middle, and memory at the end and how it grew in the second half.
    fn servers(&mut self, record: &Record) {
        let (mut cpu, mut half, mut last) = (0.0, 0.0, 0.0);
        for (name, points) in record.gauges() {
            let values: Vec<f64> = points.iter().map(|(_, value)| *value).collect();
            let middle = values.get(values.len() / 2).copied().unwrap_or(0.0);
            if name.starts_with("cpu ") {
                cpu += crate::units::median(values).unwrap_or(0.0);
            } else if name.starts_with("rss ") {
                half += middle;
                last += values.last().copied().unwrap_or(0.0);
            }
        }
        if last > 0.0 {
            self.figure("cpu_percent", cpu);
            self.figure("rss_mb", last);
            self.figure("rss_growth_percent", (last / half - 1.0) * 100.0);
        }
    }

    /// Holds the figures against rules. A figure that there is not breaks its rule.
    pub(crate) fn judge(&mut self, rules: impl Iterator<Item = Rule>) {
        for rule in rules {
            let value = self.figures.get(&rule.figure).copied();
            let passed = value.is_some_and(|value| rule.holds(value));
            self.verdicts.push(Verdict { rule: rule.to_string(), value, passed });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_come_from_the_record_and_are_judged() {
        let record = Record::new();
        record.count("sent", 3);
        record.arrived("chat", 0);
        let mut findings = Findings::new("party");
        findings.take(&record, 8);
        findings
            .judge(["sent=3", "lost=0", "chat_p99_ms<1000", "nothing=1"].map(|rule| rule.parse().unwrap()).into_iter());
        let passed: Vec<bool> = findings.verdicts.iter().map(|verdict| verdict.passed).collect();
        assert_eq!(passed, [true, true, true, false]);
        assert_eq!(findings.figures["sent_peak_100ms"].to_string(), "3");
        let text = serde_json::to_string(&findings).unwrap();
        let again: Findings = serde_json::from_str(&text).unwrap();
        assert_eq!(again.figures, findings.figures);
    }
}
