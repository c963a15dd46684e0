//! The CPU of everything that takes part in the work, kept apart by part.

use anyhow::Result;
use serde::Serialize;

use crate::{
    probe::{Cpu, Memory, Probe},
    scenario::control::Share,
    units::median,
};

/// Processes that are counted together.
#[derive(Debug, Clone)]
pub(crate) struct Meter {
    part: &'static str,
    probes: Vec<Probe>,
}

impl Meter {
    /// Counts those under that name.
    pub(crate) fn new(part: &'static str, probes: impl IntoIterator<Item = Probe>) -> Self {
        Self { part, probes: probes.into_iter().collect() }
    }

    /// Its name.
    pub(crate) fn part(&self) -> &'static str {
        self.part
    }

    /// Resident memory, in bytes.
    pub(crate) fn rss(&self) -> Result<u64> {
        self.probes.iter().map(|probe| Ok(probe.memory()?.rss)).sum()
    }

    /// Memory of all of them.
    pub(crate) fn memory(&self) -> Result<Memory> {
        self.probes.iter().map(|probe| probe.memory()).sum()
    }

    /// CPU time so far.
    pub(crate) fn cpu(&self) -> Result<Cpu> {
        self.probes.iter().map(|probe| probe.cpu()).sum()
    }
}

/// What one part took.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Part {
    /// Its name.
    pub(crate) name: &'static str,
    /// Its CPU time, median of the rounds.
    pub(crate) cpu: Share,
    /// How busy it was, in percent of one core, median of the rounds.
    pub(crate) percent: f64,
}

/// Several meters, and what they have shown round by round.
#[derive(Debug)]
pub(crate) struct Meters {
    meters: Vec<Meter>,
    /// Round by round, meter by meter: CPU by delivery, and in percent of one core.
    rounds: Vec<Vec<(Share, f64)>>,
}

impl Meters {
    /// Nothing shown yet.
    pub(crate) fn new(meters: Vec<Meter>) -> Self {
        Self { meters, rounds: Vec::new() }
    }

    /// What they show now.
    pub(crate) fn read(&self) -> Result<Vec<Cpu>> {
        self.meters.iter().map(Meter::cpu).collect()
    }

    /// A round of so many seconds is over that began when they showed `before`.
    pub(crate) fn note(&mut self, before: &[Cpu], deliveries: u64, seconds: f64) -> Result<()> {
        let now = self.read()?;
        let shares = now.iter().zip(before).map(|(now, before)| {
            let cpu = *now - *before;
            (Share::new(cpu, deliveries), cpu.total().as_secs_f64() / seconds.max(f64::EPSILON) * 100.0)
        });
        self.rounds.push(shares.collect());
        Ok(())
    }

    /// All parts together, round by round; none where nothing is measured.
    pub(crate) fn totals(&self) -> Vec<Share> {
        let measured = self.rounds.iter().filter(|round| !round.is_empty());
        measured.map(|round| round.iter().map(|(share, _)| *share).sum()).collect()
    }

    /// Each part by itself.
    pub(crate) fn parts(&self) -> Vec<Part> {
        let part = |(place, meter): (usize, &Meter)| {
            let rounds: Vec<_> = self.rounds.iter().filter_map(|round| round.get(place).copied()).collect();
            let (shares, percents): (Vec<Share>, Vec<f64>) = rounds.into_iter().unzip();
            Some(Part { name: meter.part, cpu: Share::median(&shares)?, percent: median(percents)? })
        };
        self.meters.iter().enumerate().filter_map(part).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_kept_apart_and_summed() {
        let own = Probe::new(std::process::id()).unwrap();
        let mut meters = Meters::new(vec![Meter::new("a", [own]), Meter::new("b", [own, own])]);
        let before = meters.read().unwrap();
        assert_eq!(before.len(), 2);
        meters.note(&before, 10, 1.0).unwrap();
        assert_eq!(meters.totals().len(), 1);
        let names: Vec<_> = meters.parts().iter().map(|part| part.name).collect();
        assert_eq!(names, ["a", "b"]);
        assert!(Meters::new(Vec::new()).totals().is_empty());
    }
}
