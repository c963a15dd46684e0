use anyhow::Result;
use serde::Serialize;

use crate::{
    meter::Meter,
    probe::Cpu,
    units::{float, micros, per},
};

/// What one round cost, by what was done in it, in microseconds of CPU.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Cost {
    /// Part by part: nodes, Redis.
    pub(super) parts: Vec<(&'static str, f64)>,
}

impl Cost {
    /// All parts.
    pub(super) fn total(&self) -> f64 {
        self.parts.iter().map(|(_, cost)| cost).sum()
    }

    /// That of one part.
    pub(super) fn of(&self, part: &str) -> Option<f64> {
        self.parts.iter().find(|(name, _)| *name == part).map(|(_, cost)| *cost)
    }
}

/// Reads meters before and after.
#[derive(Debug)]
pub(super) struct Till<'a> {
    meters: &'a [Meter],
    before: Vec<Cpu>,
}

impl<'a> Till<'a> {
    /// From now on.
    pub(super) fn open(meters: &'a [Meter]) -> Result<Self> {
        Ok(Self { meters, before: meters.iter().map(Meter::cpu).collect::<Result<_>>()? })
    }

    /// Until now, in which so much was done.
    pub(super) fn close(self, done: u64) -> Result<Cost> {
        let part = |(meter, before): (&Meter, &Cpu)| {
            let spent = float(micros((meter.cpu()? - *before).total()));
            Ok((meter.part(), per(spent, done)))
        };
        Ok(Cost { parts: self.meters.iter().zip(&self.before).map(part).collect::<Result<_>>()? })
    }
}
