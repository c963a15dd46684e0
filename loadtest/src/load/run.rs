use anyhow::{Result, bail};

use super::Outcome;
use crate::{
    measure::{CpuMeter, ProcessGroup, Spent, report_cpu},
    progress::Progress,
    report::Sheet,
    units::float,
    workers::Workers,
};

/// Seconds of the warm-up.
const WARM_UP: u32 = 2;

/// Rounds of load on servers whose CPU is measured.
#[derive(Debug)]
pub(crate) struct LoadRun {
    workers: Workers,
    groups: Vec<ProcessGroup>,
    outcome: Outcome,
    spent: Vec<Spent>,
}

impl LoadRun {
    pub(crate) async fn start(mut workers: Workers, groups: Vec<ProcessGroup>, progress: &Progress) -> Result<Self> {
        workers.join(progress).await?;
        Ok(Self { workers, groups, outcome: Outcome::new()?, spent: Vec::new() })
    }

    /// A short round that is checked but not measured.
    pub(crate) async fn warm_up(&mut self, per_second: u64, progress: &Progress) -> Result<()> {
        let outcome = delivered(self.workers.round(per_second, WARM_UP, progress).await?)?;
        self.outcome.add(outcome.without_latency()?)
    }

    pub(crate) async fn round(&mut self, per_second: u64, seconds: u32, progress: &Progress) -> Result<()> {
        let meter = CpuMeter::start(&self.groups)?;
        let outcome = delivered(self.workers.round(per_second, seconds, progress).await?)?;
        self.spent.push(meter.stop(outcome.delivered, float(outcome.sent) / float(per_second))?);
        self.outcome.add(outcome)
    }

    pub(crate) fn sockets(&self) -> u32 {
        self.workers.sockets()
    }

    /// The outcome of all rounds, including the warm-up.
    pub(crate) fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    pub(crate) fn spent(&self) -> &[Spent] {
        &self.spent
    }

    /// Reports all figures of an operation, `delivery` or `signal`.
    pub(crate) fn report(&self, sheet: &mut Sheet, column: &str, operation: &str) {
        self.outcome.report(sheet, column, operation);
        report_cpu(sheet, column, operation, &self.spent);
    }
}

/// If nothing at all arrives, it makes no sense to go on.
fn delivered(outcome: Outcome) -> Result<Outcome> {
    if outcome.delivered == 0 {
        let error = outcome.first_error.as_deref().unwrap_or("the clients saw no error");
        bail!("nothing was delivered: {error}");
    }
    Ok(outcome)
}
