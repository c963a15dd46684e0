//! `docs/metrics.md` lists the metrics in the registries of nodes and workers.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    path::Path,
};

use tandem::{
    telemetry::{Metrics, PoolUse, Snapshot},
    worker::WorkerMetrics,
};

const DOCUMENT: &str = include_str!("../../docs/metrics.md");

/// A metric in the text of a scrape.
#[derive(Default)]
struct Metric {
    help: String,
    kind: String,
    /// Values by label.
    labels: BTreeMap<String, BTreeSet<String>>,
}

fn read(text: &str) -> BTreeMap<String, Metric> {
    let mut metrics: BTreeMap<String, Metric> = BTreeMap::new();
    let mut last = String::new();
    for line in text.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            // The encoder ends each with a full stop of its own.
            metrics.entry(name.to_owned()).or_default().help = help.trim_end_matches('.').into();
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            metrics.get_mut(name).unwrap().kind = kind.into();
            name.clone_into(&mut last);
        } else if let Some((_, labels)) = line.split_once('{') {
            let metric = metrics.get_mut(&last).unwrap();
            for label in labels.rsplit_once('}').unwrap().0.split(',') {
                let (key, value) = label.split_once('=').unwrap();
                metric.labels.entry(key.to_owned()).or_default().insert(value.trim_matches('"').to_owned());
            }
        }
    }
    metrics
}

/// The name in Prometheus.
fn stored(name: &str, kind: &str) -> String {
    match kind {
        "counter" => format!("{name}_total"),
        "info" => format!("{name}_info"),
        _ => name.to_owned(),
    }
}

fn unit(name: &str, kind: &str) -> &'static str {
    match name {
        _ if kind == "info" => "",
        _ if name.ends_with("_seconds") => "seconds",
        _ if name.ends_with("_bytes") => "bytes",
        "tandem_draining" | "tandem_link_up" | "tandem_worker_jobs" => "0 or 1",
        "tandem_worker_breaker" => "0, 1, 2",
        _ => "count",
    }
}

fn table(text: &str) -> String {
    let mut table = String::from("| metric | type | unit | labels | |\n|---|---|---|---|---|\n");
    for (name, metric) in read(text) {
        let Metric { help, kind, labels } = metric;
        // Labels with an open list of values.
        let open = |key: &str| ["node", "worker", "version", "le"].contains(&key);
        let values =
            |values: &BTreeSet<String>| values.iter().map(|value| format!("`{value}`")).collect::<Vec<_>>().join(" ");
        let labels = labels
            .iter()
            .filter(|(key, _)| *key != "le")
            .map(|(key, all)| if open(key) { format!("`{key}`") } else { format!("`{key}`: {}", values(all)) });
        let labels = labels.collect::<Vec<_>>().join("; ");
        let unit = unit(&name, &kind);
        let _ = writeln!(table, "| `{}` | {kind} | {unit} | {labels} | {help} |", stored(&name, &kind));
    }
    table
}

/// With WRITE_DOCS=1 the tables are written.
#[tokio::test]
async fn the_table_is_what_the_registries_hold() {
    let node = table(&Metrics::new("n").render(Snapshot::default()));
    let worker = table(&WorkerMetrics::new("w").render(PoolUse::default()));
    let between = |from: &str| {
        let (before, rest) = DOCUMENT.split_once(from).unwrap_or_else(|| panic!("no {from}"));
        let start = before.len() + from.len();
        start..start + rest.find("<!-- end -->").unwrap()
    };
    let (nodes, workers) = (between("<!-- nodes -->\n"), between("<!-- workers -->\n"));
    if std::env::var_os("WRITE_DOCS").is_some() {
        let mut text = DOCUMENT.to_owned();
        text.replace_range(workers, &worker);
        text.replace_range(nodes, &node);
        std::fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md"), text).unwrap();
        return;
    }
    let how = "WRITE_DOCS=1 cargo test --test it metrics_table writes it";
    assert_eq!(DOCUMENT[nodes], node, "{how}");
    assert_eq!(DOCUMENT[workers], worker, "{how}");
}
