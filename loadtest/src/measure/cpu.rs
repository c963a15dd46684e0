//! CPU of groups of processes, shared out among the operations of a round.

use std::time::Duration;

use anyhow::Result;

use super::Process;
use crate::{load::prefix, report::Sheet, units::per};

/// Groups that only write the ledger. Their CPU is reported apart from that of the nodes and of Redis.
const LEDGER: [&str; 2] = ["worker", "postgresql"];

#[derive(Debug, Clone)]
pub(crate) struct ProcessGroup {
    name: &'static str,
    processes: Vec<Process>,
}

impl ProcessGroup {
    /// A group; its name is part of the names of its figures.
    pub(crate) fn new(name: &'static str, processes: impl IntoIterator<Item = Process>) -> Self {
        Self { name, processes: processes.into_iter().collect() }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Resident memory of all processes, in bytes.
    pub(crate) fn rss(&self) -> Result<u64> {
        self.processes.iter().map(|process| process.rss()).sum()
    }

    /// CPU time of all processes so far.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        self.processes.iter().map(|process| process.cpu()).sum()
    }
}

/// Measures the CPU that groups spend from now on.
#[derive(Debug)]
pub(crate) struct CpuMeter<'a> {
    groups: &'a [ProcessGroup],
    before: Vec<Duration>,
}

impl<'a> CpuMeter<'a> {
    pub(crate) fn start(groups: &'a [ProcessGroup]) -> Result<Self> {
        Ok(Self { groups, before: groups.iter().map(ProcessGroup::cpu).collect::<Result<_>>()? })
    }

    /// The CPU since the start, in a round of so many operations and seconds.
    pub(crate) fn stop(self, operations: u64, seconds: f64) -> Result<Spent> {
        let spent = |(group, before): (&ProcessGroup, Duration)| Ok((group.name, group.cpu()?.saturating_sub(before)));
        let groups = self.groups.iter().zip(self.before).map(spent).collect::<Result<_>>()?;
        Ok(Spent { groups, operations, seconds })
    }
}

/// The CPU that groups spent in one round.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Spent {
    groups: Vec<(&'static str, Duration)>,
    operations: u64,
    seconds: f64,
}

impl Spent {
    /// Microseconds of an operation.
    fn micros(&self, cpu: Duration) -> f64 {
        per(cpu.as_secs_f64() * 1e6, self.operations)
    }

    fn serving(&self) -> Option<Duration> {
        if self.groups.is_empty() {
            return None;
        }
        Some(self.groups.iter().filter(|(name, _)| !LEDGER.contains(name)).map(|(_, cpu)| *cpu).sum())
    }

    /// Microseconds of an operation that nodes and Redis spent; `None` if nothing is measured.
    pub(crate) fn serving_micros(&self) -> Option<f64> {
        Some(self.micros(self.serving()?))
    }

    /// Microseconds of an operation that a group spent.
    pub(crate) fn group_micros(&self, name: &str) -> Option<f64> {
        Some(self.micros(self.group(name)?))
    }

    /// A round of one operation that only nodes spent CPU on.
    #[cfg(test)]
    pub(crate) fn of_nodes(micros: u64) -> Self {
        Self { groups: vec![("nodes", Duration::from_micros(micros))], operations: 1, seconds: 1.0 }
    }

    fn group(&self, name: &str) -> Option<Duration> {
        self.groups.iter().find(|(group, _)| *group == name).map(|(_, cpu)| *cpu)
    }
}

/// Reports the CPU of each operation as the median of the rounds: of nodes and Redis together, and of each group.
pub(crate) fn report_cpu(sheet: &mut Sheet, column: &str, operation: &str, rounds: &[Spent]) {
    let mut set = |figure: String, value: &dyn Fn(&Spent) -> Option<f64>| {
        let values: Vec<f64> = rounds.iter().filter_map(value).collect();
        sheet.set_rounds(column, &figure, values);
    };
    set(format!("{operation}_cpu_us"), &Spent::serving_micros);
    let groups: Vec<&str> = rounds.first().iter().flat_map(|it| &it.groups).map(|(name, _)| *name).collect();
    if groups.iter().any(|name| LEDGER.contains(name)) {
        let all = |it: &Spent| Some(it.micros(it.groups.iter().map(|(_, cpu)| cpu).sum()));
        set(format!("{operation}_with_ledger_cpu_us"), &all);
    }
    for name in groups {
        set(format!("{operation}_{name}_cpu_us"), &|it| Some(it.micros(it.group(name)?)));
        let percent = |it: &Spent| Some(it.group(name)?.as_secs_f64() / it.seconds.max(f64::EPSILON) * 100.0);
        set(format!("{}{name}_cpu_percent", prefix(operation)), &percent);
    }
}

/// The CPU of one server divided by that of another, round by round, so that slow changes of the machine cancel out.
pub(crate) fn compare_rounds(ours: &[Spent], theirs: &[Spent]) -> Vec<f64> {
    let ratio = |(ours, theirs): (&Spent, &Spent)| {
        let theirs = theirs.serving_micros().filter(|micros| *micros > 0.0)?;
        Some(ours.serving_micros()? / theirs)
    };
    ours.iter().zip(theirs).filter_map(ratio).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spent(nodes: u64) -> Spent {
        let groups = [("nodes", 2 * nodes), ("redis", 10), ("worker", 100)];
        let groups = groups.map(|(name, millis)| (name, Duration::from_millis(millis)));
        Spent { groups: groups.to_vec(), operations: 1_000, seconds: 2.0 }
    }

    #[test]
    fn the_ledger_is_reported_apart() {
        let mut sheet = Sheet::new("");
        report_cpu(&mut sheet, "", "delivery", &[spent(20), spent(30), spent(400)]);
        let figures: std::collections::BTreeMap<_, _> = sheet.figures().collect();
        let figure = |name: &str| figures[name].round().to_string();
        assert_eq!(figure("delivery_cpu_us"), "70");
        assert_eq!(figure("delivery_with_ledger_cpu_us"), "170");
        assert_eq!(figure("delivery_worker_cpu_us"), "100");
        assert_eq!(figure("worker_cpu_percent"), "5");
    }

    #[test]
    fn servers_are_compared_round_by_round() {
        assert_eq!(compare_rounds(&[spent(20), spent(45)], &[spent(45), spent(20)]), [0.5, 2.0]);
        let nothing = Spent { groups: vec![("nodes", Duration::ZERO)], operations: 1, seconds: 1.0 };
        assert!(compare_rounds(&[spent(20)], &[nothing]).is_empty());
        let unknown = Spent { groups: Vec::new(), operations: 1, seconds: 1.0 };
        assert_eq!(unknown.serving_micros(), None);
    }
}
