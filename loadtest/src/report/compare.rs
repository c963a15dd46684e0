//! Compares the JSON of two runs.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result, ensure};
use clap::Args;
use comfy_table::{Cell, Table};
use serde::Deserialize;

use super::{
    Machine,
    sheet::{STYLE, right},
};
use crate::units::number;

/// Options of `loadtest compare`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The JSON of the earlier run
    before: PathBuf,
    /// The JSON of the later run
    after: PathBuf,
    /// Fail when a latency, the CPU or the memory has grown by more than this, in percent
    #[arg(long, value_name = "N")]
    worse: Option<f64>,
}

/// The part of a report that is compared.
#[derive(Debug, Deserialize)]
struct Saved {
    scenario: String,
    machine: Machine,
    figures: BTreeMap<String, f64>,
}

/// `loadtest compare`.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let (before, after) = (read(&options.before)?, read(&options.after)?);
    ensure!(
        before.scenario == after.scenario,
        "one is of `{}`, the other of `{}`: only runs of the same scenario can be compared",
        before.scenario,
        after.scenario
    );
    let mut table = Table::new();
    table.load_style(STYLE);
    table.set_header([after.scenario.as_str(), "before", "after", "change"]);
    let mut worse = false;
    for (name, now) in &after.figures {
        let Some(was) = before.figures.get(name) else { continue };
        let change = growth(*was, *now);
        let bad = change.zip(options.worse).is_some_and(|(change, limit)| is_cost(name) && change > limit);
        worse |= bad;
        let mark = if bad { " WORSE" } else { "" };
        let change = change.map_or_else(String::new, |change| format!("{change:+.1} %{mark}"));
        table.add_row([Cell::new(format!("  {name}")), right(&number(*was)), right(&number(*now)), right(&change)]);
    }
    println!("{table}");
    if before.machine.cpu != after.machine.cpu || before.machine.cpus != after.machine.cpus {
        println!("note: the runs were on different machines");
    }
    Ok(if worse { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn read(path: &Path) -> Result<Saved> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not the JSON of a run", path.display()))
}

/// The change in percent.
fn growth(was: f64, now: f64) -> Option<f64> {
    (was.abs() > f64::EPSILON).then(|| (now / was - 1.0) * 100.0)
}

/// Whether less is better.
fn is_cost(name: &str) -> bool {
    let name = name.split('@').next().unwrap_or(name);
    let units = ["_ms", "_cpu_us", "_bytes", "cpu_percent", "_growth_percent", "_mb", "_ratio"];
    units.iter().any(|unit| name.ends_with(unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_in_percent() {
        assert_eq!(growth(2.0, 3.0), Some(50.0));
        assert_eq!(growth(0.0, 3.0), None);
        for cost in [
            "chat_p99_ms",
            "cpu_percent",
            "rss_mb",
            "socket_rss_bytes",
            "delivery_nodes_cpu_us",
            "latency_p99_ms@1000",
            "cluster_delivery_by_relay_cpu_ratio",
        ] {
            assert!(is_cost(cost), "{cost}");
        }
        assert!(!is_cost("joined") && !is_cost("rss_given_back_percent"));
    }
}
