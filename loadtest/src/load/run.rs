use anyhow::{Result, bail};

use super::{Outcome, Round};
use crate::{
    measure::{CpuMeter, ProcessGroup, RedisMeter, Spent, report_cpu},
    report::Sheet,
    servers::Deployment,
    units::float,
    workers::Workers,
};

/// Seconds of the warm-up.
const WARM_UP: u32 = 2;

/// Rounds of load on servers whose work is measured.
pub(crate) struct LoadRun {
    workers: Workers,
    groups: Vec<ProcessGroup>,
    redis: Option<RedisMeter>,
    outcome: Outcome,
    spent: Vec<Spent>,
}

impl LoadRun {
    /// Joins the clients. If `processes` are not measured, they may be restarted meanwhile.
    pub(crate) async fn start(mut workers: Workers, deployment: &Deployment, processes: bool) -> Result<Self> {
        workers.join().await?;
        let groups = if processes { deployment.groups() } else { Vec::new() };
        let redis = match deployment.redis() {
            Some(redis) => Some(RedisMeter::start(redis).await?),
            None => None,
        };
        Ok(Self { workers, groups, redis, outcome: Outcome::new()?, spent: Vec::new() })
    }

    /// A short round that is checked but not measured.
    pub(crate) async fn warm_up(&mut self, per_second: u64) -> Result<()> {
        let outcome = delivered(self.workers.round(Round::new(per_second, WARM_UP)).await?)?;
        self.outcome.add(outcome.without_latency()?)
    }

    pub(crate) async fn round(&mut self, round: Round) -> Result<()> {
        if let Some(redis) = &mut self.redis {
            redis.begin().await?;
        }
        let meter = CpuMeter::start(&self.groups)?;
        let outcome = delivered(self.workers.round(round).await?)?;
        self.spent.push(meter.stop(outcome.delivered, float(outcome.sent) / float(round.per_second))?);
        if let Some(redis) = &mut self.redis {
            redis.end(outcome.sent).await?;
        }
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

    /// Reports all figures of an operation: `delivery`, or a kind of signal.
    pub(crate) fn report(&self, sheet: &mut Sheet, column: &str, operation: &str) {
        self.outcome.report(sheet, column, operation);
        report_cpu(sheet, column, operation, &self.spent);
        if let Some(redis) = &self.redis {
            redis.report(sheet, column, if operation == "delivery" { "change" } else { operation });
        }
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
