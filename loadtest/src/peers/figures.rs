use comfy_table::{Cell, Table};
use serde::Serialize;

use super::cost::Cost;
use crate::{
    latency::Summary,
    report::{Ratio, STYLE, latencies, right},
    units::{grouped, median, time},
};

/// One thing that was asked of all.
#[derive(Debug, Serialize)]
pub(crate) struct Phase {
    /// What.
    pub(super) title: String,
    /// What is counted: signals, joins.
    pub(super) unit: &'static str,
    /// What must have arrived.
    pub(super) news: &'static str,
    /// From when latency counts.
    pub(super) since: &'static str,
    pub(super) of: Vec<Figures>,
    /// CPU of the cluster by that of each other.
    pub(super) ratios: Vec<Ratio>,
}

/// How one did.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Figures {
    pub(super) name: &'static str,
    /// What was done, in all rounds.
    pub(super) done: u64,
    /// News that never came: signals, or of others who joined.
    pub(super) lost: u64,
    /// News that came twice.
    pub(super) doubled: u64,
    /// Errors, closed sockets, and what the generator could not even begin.
    pub(super) failed: u64,
    pub(super) first_failure: Option<String>,
    /// How many were done in a second, where that was not given.
    pub(super) per_second: Option<f64>,
    pub(super) latency: Summary,
    /// How late the generator was by itself, where there was a schedule.
    pub(super) generator_lag: Option<Summary>,
    /// Round by round.
    pub(super) costs: Vec<Cost>,
}

impl Figures {
    fn correct(&self) -> bool {
        self.lost == 0 && self.doubled == 0 && self.failed == 0
    }

    /// The median of the rounds.
    fn cost(&self, of: impl Fn(&Cost) -> Option<f64>) -> Option<f64> {
        median(self.costs.iter().filter_map(of))
    }
}

impl Phase {
    /// Compares the first with each of the others, round by round.
    pub(super) fn compare(&mut self) {
        let Some((first, others)) = self.of.split_first() else { return };
        for other in others {
            let pairs = first.costs.iter().zip(&other.costs).filter(|(_, theirs)| theirs.total() > 0.0);
            let rounds: Vec<f64> = pairs.map(|(ours, theirs)| ours.total() / theirs.total()).collect();
            if let Some(median) = median(rounds.iter().copied()) {
                self.ratios.push(Ratio { of: first.name, by: other.name, median, rounds });
            }
        }
    }

    /// Whether the first lost nothing. What others lose is told, and is theirs.
    pub(crate) fn correct(&self) -> bool {
        self.of.first().is_none_or(Figures::correct)
    }

    /// Each by whose it is and by its name, which ends with its unit.
    pub(crate) fn each_figure(&self, set: &mut impl FnMut(&str, &str, f64)) {
        for it in &self.of {
            if let Some(cost) = it.cost(|cost| Some(cost.total())) {
                set(it.name, &format!("{}_cpu_us", self.unit), cost);
            }
            if let Some(per_second) = it.per_second {
                set(it.name, &format!("{}_per_second", self.unit), per_second);
            }
            for (name, value) in latencies(self.unit, &it.latency) {
                set(it.name, &name, value);
            }
        }
        for ratio in &self.ratios {
            set(ratio.of, &format!("{}_by_{}_cpu_ratio", self.unit, ratio.by), ratio.median);
        }
    }

    /// What does not fit into the table.
    pub(crate) fn notes(&self) -> Vec<String> {
        let said = |it: &Figures| Some(format!("{}: first failure: {}", it.name, it.first_failure.as_ref()?));
        self.of.iter().filter_map(said).collect()
    }

    /// The figures, one column a contestant.
    pub(crate) fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(STYLE);
        let mut header = vec![Cell::new(&self.title)];
        header.extend(self.of.iter().map(|it| right(it.name)));
        header.push(Cell::new(""));
        table.set_header(header);
        let mut row = |label: &str, note: &str, cell: &dyn Fn(&Figures) -> Option<String>| {
            let mut cells = vec![Cell::new(format!("  {label}"))];
            cells.extend(self.of.iter().map(|it| right(cell(it).as_deref().unwrap_or("-"))));
            cells.push(Cell::new(note));
            table.add_row(cells);
        };
        let us = |cost: Option<f64>| cost.map(|cost| format!("{cost:.1} us"));
        row(self.unit, "", &|it| Some(grouped(it.done)));
        if self.of.iter().any(|it| it.per_second.is_some()) {
            row("a second", "", &|it| Some(format!("{:.0}", it.per_second?)));
        }
        row(&format!("{} lost", self.news), "must be 0", &|it| Some(grouped(it.lost)));
        row(&format!("{} doubled", self.news), "must be 0", &|it| Some(grouped(it.doubled)));
        row("failed", "must be 0", &|it| Some(grouped(it.failed)));
        row("CPU of each", "", &|it| us(it.cost(|cost| Some(cost.total()))));
        for part in self.parts() {
            row(&format!("of these {part}"), "", &|it| us(it.cost(|cost| cost.of(part))));
        }
        for ratio in &self.ratios {
            let text = format!("x {:.2}", ratio.median);
            row(&format!("by that of {}", ratio.by), "", &|it| (it.name == ratio.of).then(|| text.clone()));
        }
        let lag = self.of.iter().filter_map(|it| Some(it.generator_lag?.p99)).max();
        let lag = lag.map(|lag| format!(", generator's own {}", time(lag))).unwrap_or_default();
        row("p50", self.since, &|it| Some(time(it.latency.p50)));
        row("p99", &format!("{}{lag}", self.since), &|it| Some(time(it.latency.p99)));
        row("max", self.since, &|it| Some(time(it.latency.max)));
        table
    }

    fn parts(&self) -> Vec<&'static str> {
        let mut parts = Vec::new();
        for (name, _) in self.of.iter().flat_map(|it| &it.costs).flat_map(|cost| &cost.parts) {
            if !parts.contains(name) {
                parts.push(*name);
            }
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(name: &'static str, cost: f64) -> Figures {
        Figures {
            name,
            done: 30_000,
            lost: 0,
            doubled: 0,
            failed: 0,
            first_failure: None,
            per_second: None,
            latency: Summary { count: 9, p50: 412, p90: 1_024, p99: 10_240, p999: 20_480, max: 59_000_000 },
            generator_lag: None,
            costs: vec![Cost { parts: vec![("nodes", cost), ("Redis", cost)] }, Cost { parts: vec![("nodes", cost)] }],
        }
    }

    fn phase() -> Phase {
        let of = vec![figures("cluster", 10.0), figures("socket.io", 40.0), figures("centrifugo", 20.0)];
        let mut phase = Phase {
            title: "Signals".into(),
            unit: "signals",
            news: "signals",
            since: "since due",
            of,
            ratios: Vec::new(),
        };
        phase.compare();
        phase
    }

    #[test]
    fn the_cluster_is_compared_with_each_other_round_by_round() {
        let phase = phase();
        let ratios: Vec<_> = phase.ratios.iter().map(|ratio| (ratio.by, ratio.median)).collect();
        assert_eq!(ratios, [("socket.io", 0.25), ("centrifugo", 0.5)]);
        let table = phase.table().to_string();
        assert!(table.contains("x 0.25") && table.contains("of these Redis"), "{table}");
        assert!(table.lines().all(|line| line.chars().count() <= 96), "{table}");
    }

    #[test]
    fn figures_are_named_by_whose_they_are() {
        let mut all = std::collections::BTreeMap::new();
        phase().each_figure(&mut |name, what, value| {
            all.insert(format!("{name} {what}"), value.to_string());
        });
        assert_eq!(all["cluster signals_cpu_us"], "15");
        assert_eq!(all["socket.io signals_p99_ms"], "10.24");
        assert_eq!(all["cluster signals_by_socket.io_cpu_ratio"], "0.25");
    }

    #[test]
    fn what_the_cluster_loses_is_never_correct() {
        let mut phase = phase();
        assert!(phase.correct());
        phase.of[1].lost = 1;
        assert!(phase.correct(), "that is another's");
        phase.of[0].lost = 1;
        assert!(!phase.correct());
    }
}
