//! The figures as a table for people and as JSON for everything else.

mod cluster_table;
mod figures;
mod table;

pub(crate) use figures::latencies;
pub(crate) use table::{STYLE, right};

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::ExitCode,
    thread::available_parallelism,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::{
    bench::cluster,
    peers::Phase,
    progress::Progress,
    scenario::{control, idle},
};

/// All that a run has to say.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// When it was made, in seconds since 1970.
    made_at: u64,
    /// How it was asked for.
    command: Vec<String>,
    machine: Machine,
    /// What was measured, server by server.
    pub(crate) columns: Vec<Column>,
    /// CPU of one server by that of another.
    pub(crate) cpu_ratios: Vec<Ratio>,
    /// What was measured of a cluster alone.
    pub(crate) cluster: Option<cluster::Figures>,
    /// What else nodes of all kinds were asked for.
    pub(crate) phases: Vec<Phase>,
    /// Threads of tandem's servers, and of the relay.
    pub(crate) threads: Option<u32>,
    /// What must hold.
    pub(crate) checks: Vec<Check>,
    /// Warnings that the servers logged.
    pub(crate) warnings: Vec<String>,
}

/// The name of a run in its file, where scenarios have theirs.
const BENCH: &str = "bench";

/// What is written.
#[derive(Debug, Serialize)]
struct Saved<'a> {
    scenario: &'static str,
    figures: BTreeMap<String, f64>,
    #[serde(flatten)]
    report: &'a Report,
}

/// Where it was measured.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) cpus: usize,
    pub(crate) cpu: String,
    pub(crate) kernel: String,
}

/// One server.
#[derive(Debug, Serialize)]
pub(crate) struct Column {
    /// Its name.
    pub(crate) name: &'static str,
    /// What idle sockets cost.
    pub(crate) idle: Option<idle::Figures>,
    /// What deliveries cost.
    pub(crate) control: Option<control::Figures>,
}

/// One server's CPU by another's.
#[derive(Debug, Serialize)]
pub(crate) struct Ratio {
    /// Whose.
    pub(crate) of: &'static str,
    /// By whose.
    pub(crate) by: &'static str,
    /// The median of the rounds.
    pub(crate) median: f64,
    /// Round by round.
    pub(crate) rounds: Vec<f64>,
}

/// The table row that a check belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Subject {
    /// RSS of an idle socket, in bytes.
    RssPerSocket,
    /// CPU of tandem by CPU of the relay.
    CpuRatio,
    /// CPU of a cluster by CPU of a single node.
    ClusterRatio,
    /// CPU of a cluster by CPU of as many nodes of Socket.IO.
    RivalRatio,
    /// The same by as many of Centrifugo.
    CentrifugoRatio,
}

/// A figure with its limit.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Check {
    /// Which figure.
    pub(crate) subject: Subject,
    /// Its value.
    pub(crate) value: f64,
    /// The value hoped for.
    pub(crate) aim: f64,
    /// The largest value allowed.
    pub(crate) limit: f64,
}

impl Check {
    fn passed(&self) -> bool {
        self.value <= self.limit
    }

    /// A word or two for the table; `show` puts a value in its unit.
    fn verdict(&self, show: impl Fn(f64) -> String) -> String {
        if !self.passed() {
            format!("MISSED, max {}", show(self.limit))
        } else if self.value > self.aim {
            format!("ok, above aim of {}", show(self.aim))
        } else {
            format!("ok, max {}", show(self.limit))
        }
    }
}

impl Report {
    /// An empty one, made here and now.
    pub(crate) fn new() -> Self {
        let made_at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Self {
            made_at,
            command: std::env::args().collect(),
            machine: Machine::this(),
            columns: Vec::new(),
            cpu_ratios: Vec::new(),
            cluster: None,
            phases: Vec::new(),
            threads: None,
            checks: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Prints the table, writes the file, and tells how the process should end: badly when a delivery or a socket was lost,
    /// or, with `strict`, when a limit was missed.
    pub(crate) fn finish(&self, progress: &Progress, json: Option<&Path>, strict: bool) -> Result<ExitCode> {
        progress.clear();
        println!("{}", table::table(self));
        if let Some(figures) = &self.cluster {
            println!("{}", cluster_table::table(figures));
        }
        for phase in &self.phases {
            println!("{}", phase.table());
        }
        for note in self.notes() {
            println!(" {note}");
        }
        if let Some(path) = json {
            let text = serde_json::to_string_pretty(&self.saved())?;
            fs::write(path, text + "\n").with_context(|| format!("cannot write {}", path.display()))?;
            println!(" figures: {}", path.display());
        }
        let missed = strict && self.checks.iter().any(|check| !check.passed());
        Ok(if missed || !self.correct() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    fn saved(&self) -> Saved<'_> {
        Saved { scenario: BENCH, figures: figures::figures(self), report: self }
    }

    /// Whether nothing was lost.
    fn correct(&self) -> bool {
        self.cluster.as_ref().is_none_or(cluster::Figures::correct)
            && self.phases.iter().all(Phase::correct)
            && self.columns.iter().all(|column| {
                column.idle.as_ref().is_none_or(|idle| idle.closed == 0)
                    && column.control.as_ref().is_none_or(|control| control.outcome.correct())
            })
    }

    fn check(&self, subject: Subject) -> Option<&Check> {
        self.checks.iter().find(|check| check.subject == subject)
    }

    /// What does not fit into the table.
    fn notes(&self) -> Vec<String> {
        let mut notes: Vec<String> = self.phases.iter().flat_map(Phase::notes).collect();
        notes.extend(self.threads.map(|threads| format!("threads of tandem and of the relay: {threads}")));
        for Column { name, idle, control } in &self.columns {
            if let Some(close) = idle.as_ref().and_then(|idle| idle.first_close.as_ref()) {
                notes.push(format!("{name}: first closed socket: {close}"));
            }
            if let Some(complaint) = control.as_ref().and_then(|it| it.outcome.first_complaint.as_ref()) {
                notes.push(format!("{name}: first complaint: {complaint}"));
            }
        }
        let clash = self.cluster.as_ref().and_then(|cluster| cluster.clash.as_ref());
        if let Some(complaint) = clash.and_then(|clash| clash.figures.outcome.first_complaint.as_ref()) {
            notes.push(format!("two at once: first complaint: {complaint}"));
        }
        notes.extend(self.warnings.iter().map(|warning| format!("logged: {warning}")));
        notes
    }
}

impl Machine {
    /// This one.
    pub(crate) fn this() -> Self {
        let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = info
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(key, _)| key.trim() == "model name")
            .map(|(_, name)| name.trim().to_owned());
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            cpus: available_parallelism().map_or(1, usize::from),
            cpu: model.unwrap_or_default(),
            kernel: kernel.trim().to_owned(),
        }
    }
}

/// Bytes in units of 1,024.
fn kilobytes(bytes: f64) -> String {
    format!("{:.2} KB", bytes / 1024.0)
}

fn times(ratio: f64) -> String {
    format!("x {ratio:.2}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{haul::Outcome, latency::Summary, meter::Part, scenario::control::Share};

    fn summary() -> Summary {
        Summary { count: 9, p50: 412, p90: 1_024, p99: 10_240, p999: 20_480, max: 59_000_000 }
    }

    fn column(name: &'static str) -> Column {
        let memory = crate::probe::Memory { rss: 1, pss: 1, private: 1 };
        let share = Share { user: 123.456, system: 234.5, total: 357.9 };
        Column {
            name,
            idle: Some(idle::Figures {
                sockets: 200_000,
                closed: 0,
                first_close: None,
                joins_per_second: 12_345.6,
                server: Some(idle::ServerFigures {
                    before: memory,
                    after: memory,
                    per_socket: idle::PerSocket { rss: 123_456.0, pss: 5_000.0, private: 4_000.0 },
                    cpu_percent: 100.0,
                }),
                redis: None,
            }),
            control: Some(control::Figures {
                outcome: Outcome {
                    sent: 54_000_000,
                    expected: 216_000_000,
                    delivered: 216_000_000,
                    ..Outcome::default()
                },
                latency: summary(),
                generator_lag: summary(),
                cpu: Some(share),
                rounds: vec![share],
                parts: vec![Part { name: "server", cpu: share, percent: 50.0 }],
            }),
        }
    }

    fn full() -> Report {
        let mut report = Report::new();
        report.columns = vec![column("tandem"), column("relay")];
        report.cpu_ratios = vec![Ratio { of: "tandem", by: "relay", median: 1.25, rounds: vec![1.25] }];
        report.checks = vec![
            Check { subject: Subject::RssPerSocket, value: 7_000.0, aim: 6_144.0, limit: 9_216.0 },
            Check { subject: Subject::CpuRatio, value: 1.25, aim: 2.0, limit: 2.0 },
        ];
        report
    }

    #[test]
    fn the_table_fits_into_80_columns() {
        for line in table::table(&full()).lines() {
            assert!(line.chars().count() <= 80, "{} in {line}", line.chars().count());
        }
    }

    #[test]
    fn a_cluster_takes_one_column_more() {
        let mut report = full();
        let mut cluster = column("cluster");
        if let Some(control) = &mut cluster.control {
            control.parts.push(Part { name: "PostgreSQL", ..control.parts[0].clone() });
        }
        report.columns.insert(0, cluster);
        report.cpu_ratios.push(Ratio { of: "cluster", by: "tandem", median: 12.5, rounds: vec![12.5] });
        let table = table::table(&report).to_string();
        assert!(table.contains("of these PostgreSQL") && table.contains("by that of tandem"), "{table}");
        assert!(table.lines().all(|line| line.chars().count() <= 96), "{table}");
    }

    #[test]
    fn its_figures_are_named_like_those_of_scenarios() {
        let mut report = full();
        report.columns[0].control.as_mut().unwrap().latency.p99 = 2_500;
        let saved = serde_json::to_value(report.saved()).unwrap();
        assert_eq!(saved["scenario"], "bench");
        let figures = saved["figures"].as_object().unwrap();
        let some = ["tandem_delivery_cpu_us", "tandem_delivery_server_cpu_us", "tandem_delivery_p99_ms"];
        assert_eq!(some.map(|name| figures[name].clone()), [357.9, 357.9, 2.5].map(serde_json::Value::from));
        assert_eq!(
            (&figures["tandem_delivery_by_relay_cpu_ratio"], &figures["relay_socket_rss_bytes"]),
            (&1.25.into(), &123_456.0.into())
        );
        assert_eq!(saved["columns"][1]["name"], "relay");
    }

    #[test]
    fn a_lost_delivery_is_never_correct() {
        let mut report = full();
        assert!(report.correct());
        report.columns[1].control.as_mut().unwrap().outcome.faults.lost = 1;
        assert!(!report.correct());
    }

    #[test]
    fn a_check_knows_its_aim_and_its_limit() {
        let check = |value| Check { subject: Subject::RssPerSocket, value, aim: 6_144.0, limit: 9_216.0 };
        assert_eq!(check(6_144.0).verdict(kilobytes), "ok, max 9.00 KB");
        assert_eq!(check(7_000.0).verdict(kilobytes), "ok, above aim of 6.00 KB");
        assert_eq!(check(9_300.0).verdict(kilobytes), "MISSED, max 9.00 KB");
        assert!(check(9_216.0).passed() && !check(9_216.1).passed());
    }
}
