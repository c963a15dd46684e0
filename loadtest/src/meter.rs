//! The CPU of everything that takes part in the work, kept apart by part.

use anyhow::Result;
use serde::Serialize;

use crate::{
    probe::{Cpu, Probe},
    scenario::control::Share,
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
}

/// Several meters, and what they have shown round by round.
#[derive(Debug)]
pub(crate) struct Meters {
    meters: Vec<Meter>,
    /// Round by round, meter by meter.
    rounds: Vec<Vec<Share>>,
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

    /// A round is over that began when they showed `before`.
    pub(crate) fn note(&mut self, before: &[Cpu], deliveries: u64) -> Result<()> {
        let now = self.read()?;
        let shares = now.iter().zip(before).map(|(now, before)| Share::new(*now - *before, deliveries));
        self.rounds.push(shares.collect());
        Ok(())
    }

    /// Forgets the rounds.
    pub(crate) fn reset(&mut self) {
        self.rounds.clear();
    }

    /// All parts together, round by round; none where nothing is measured.
    pub(crate) fn totals(&self) -> Vec<Share> {
        let measured = self.rounds.iter().filter(|round| !round.is_empty());
        measured.map(|round| round.iter().copied().sum()).collect()
    }

    /// Each part by itself.
    pub(crate) fn parts(&self) -> Vec<Part> {
        let part = |(place, meter): (usize, &Meter)| {
            let rounds: Vec<Share> = self.rounds.iter().filter_map(|round| round.get(place).copied()).collect();
            Some(Part { name: meter.part, cpu: Share::median(&rounds)? })
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
        meters.note(&before, 10).unwrap();
        assert_eq!(meters.totals().len(), 1);
        let names: Vec<_> = meters.parts().iter().map(|part| part.name).collect();
        assert_eq!(names, ["a", "b"]);
        meters.reset();
        assert!(meters.totals().is_empty() && meters.parts().is_empty());
        assert!(Meters::new(Vec::new()).totals().is_empty());
    }
}
