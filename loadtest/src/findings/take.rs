use std::{
    collections::BTreeMap,
    time::{SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

use super::{AT, Growth, Rule};
use crate::{
    crowd::Record,
    latency::Latency,
    report::Machine,
    units::{float, median, per, slope},
};

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
    /// By the size of something.
    #[serde(default)]
    pub(crate) growth: Option<Growth>,
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
            figures: ["lost", "doubled", "out_of_order", "complaints"].map(|name| (name.to_owned(), 0.0)).into(),
            curves: Vec::new(),
            series: Vec::new(),
            growth: None,
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
        // What was never counted has not happened.
        self.figure("announced_left", 0.0);
        self.figure("discontinuities", 0.0);
        for (name, total, peak) in record.totals() {
            self.figure(name, float(total));
            self.figure(&format!("{name}_peak_100ms"), float(peak));
        }
        for (name, latency) in record.latencies() {
            self.distribution(name, &latency);
        }
        for (name, points) in record.rates() {
            let plot =
                if matches!(name.as_str(), "sent" | "delivered") { "Frames a second" } else { "Events a second" };
            self.line(plot, &name, points);
        }
        for (name, points) in record.tails() {
            self.line("p99 of each second, ms", &name, points);
        }
        self.gauges(record);
        self.servers(record);
        self.complaints = record.complaints();
    }

    /// A line over time.
    fn line(&mut self, plot: &str, name: &str, points: Vec<(f64, f64)>) {
        self.series.push(Series { plot: plot.to_owned(), name: name.to_owned(), points });
    }

    /// What was read off the servers, over time.
    pub(crate) fn gauges(&mut self, record: &Record) {
        for (name, points) in record.gauges() {
            match name.split_once(' ') {
                Some(("cpu", part)) => self.line("CPU of the servers, % of a core", part, points),
                Some(("rss", part)) => self.line("Memory of the servers, MB", part, points),
                _ => {}
            }
        }
    }

    /// Percentiles as figures, and the curve.
    pub(crate) fn distribution(&mut self, name: &str, latency: &Latency) {
        let value = |quantile: f64| float(latency.quantile(quantile)) / 1e3;
        for (suffix, quantile) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999), ("max", 1.0)] {
            self.figure(&format!("{name}_{suffix}_ms"), value(quantile));
        }
        self.figure(&format!("{name}_count"), float(latency.count()));
        let points = QUANTILES.map(|quantile| (quantile, value(quantile))).to_vec();
        self.curves.push(Series { plot: "Latency, ms".to_owned(), name: name.to_owned(), points });
    }

    /// CPU in the middle; memory at the end, and how it grew in the second half: that of the nodes, and that of what stands behind
    /// them by itself, because there the ledger may wait.
    fn servers(&mut self, record: &Record) {
        let (mut cpu, mut last) = (None, None);
        for (name, points) in record.gauges() {
            let Some((kind, part)) = name.split_once(' ') else { continue };
            if kind == "cpu" {
                let middle = median(points.iter().map(|(_, value)| *value)).unwrap_or(0.0);
                cpu = Some(cpu.unwrap_or(0.0) + middle);
                continue;
            }
            last = Some(last.unwrap_or(0.0) + points.last().map_or(0.0, |(_, value)| *value));
            let prefix = if part == "nodes" { String::new() } else { format!("{}_", part.to_lowercase()) };
            if let Some((per_hour, percent)) = grown(&points) {
                self.figure(&format!("{prefix}rss_mb_per_hour"), per_hour);
                self.figure(&format!("{prefix}rss_growth_percent"), percent);
            }
        }
        for (name, value) in [("cpu_percent", cpu), ("rss_mb", last)] {
            self.figures.extend(value.map(|value| (name.to_owned(), value)));
        }
    }

    /// Takes over figures by the size of something; each is a figure of its own, too, known by its point.
    pub(crate) fn grow(&mut self, growth: Growth) {
        for point in &growth.points {
            for column in growth.known() {
                if let Some(value) = point.figures.get(&column.figure) {
                    self.figure(&format!("{}{AT}{}", column.figure, point.name().replace(' ', "-")), *value);
                }
            }
        }
        self.growth = Some(growth);
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

/// Of the second half, and of a line laid through it, so that neither a start nor a single moment counts: by how much it grows an hour,
/// and by how much from its beginning to its end, in percent.
fn grown(points: &[(f64, f64)]) -> Option<(f64, f64)> {
    let half = points.get(points.len() / 2..)?;
    let slope = slope(half)?;
    let span = half.last()?.0 - half.first()?.0;
    let mean = per(half.iter().map(|(_, value)| value).sum(), u64::try_from(half.len()).ok()?);
    let first = mean - slope * span / 2.0;
    (first > 0.0).then(|| (slope * 3_600.0, slope * span / first * 100.0))
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

    #[test]
    fn only_what_goes_on_growing_is_growth() {
        let points =
            |value: fn(f64) -> f64| (0..100).map(|at| (f64::from(at), value(f64::from(at)))).collect::<Vec<_>>();
        // Up to the middle all grows, and then nothing does, but for a moment.
        let (per_hour, percent) = grown(&points(|at| if at < 50.0 { at } else { 50.0 })).unwrap();
        assert!(per_hour.abs() < 1e-6 && percent.abs() < 1e-6);
        let (_, percent) = grown(&points(|at| if (at - 99.0).abs() < 0.1 { 200.0 } else { 100.0 })).unwrap();
        assert!(percent < 12.0, "{percent}");
        // From 60 to 69.8 in the second half.
        let (per_hour, percent) = grown(&points(|at| 50.0 + at / 5.0)).unwrap();
        assert!((per_hour - 720.0).abs() < 1e-6 && (percent - 9.8 / 60.0 * 100.0).abs() < 1e-6, "{per_hour} {percent}");
        assert!(grown(&[]).is_none() && grown(&[(0.0, 1.0)]).is_none());
    }
}
