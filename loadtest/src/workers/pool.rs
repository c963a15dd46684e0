use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use clap::Args;
use futures_util::future::try_join_all;

use super::child::{Child, Request};
use crate::{
    load::{Outcome, Plan, Round},
    measure::ProcessGroup,
    units::{float, micros},
};

/// How far ahead a round begins, so that its first message is not late.
const LEAD: Duration = Duration::from_millis(50);

#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct WorkerOptions {
    /// Worker processes that make the load, each with a share of the rooms: a process may open only so many sockets
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=32), help_heading = "Clients")]
    pub(crate) processes: u32,
}

/// The processes that make a load. They end with this value.
#[derive(Debug)]
pub(crate) struct Workers {
    children: Vec<Child>,
    /// Rooms of each worker.
    rooms: Vec<u32>,
    sockets: u32,
    generation: u32,
    /// Attempts to join that failed.
    pub(crate) refused: u64,
}

impl Workers {
    /// The workers for a plan. No client has joined yet.
    pub(crate) async fn start(plan: Plan, options: WorkerOptions) -> Result<Self> {
        let plans = plan.split(options.processes);
        let rooms = plans.iter().map(|plan| plan.rooms).collect();
        let children = try_join_all(plans.iter().map(Child::start)).await?;
        Ok(Self { children, rooms, sockets: plan.sockets(), generation: 0, refused: 0 })
    }

    pub(crate) fn sockets(&self) -> u32 {
        self.sockets
    }

    /// Sends each worker its request, and adds up what came of it; all work at the same time.
    async fn ask(&mut self, requests: Vec<Request>) -> Result<Outcome> {
        let answers = self.children.iter_mut().zip(requests).map(|(child, request)| child.answer(request));
        let mut all = Outcome::new()?;
        for outcome in try_join_all(answers).await? {
            all.add(outcome)?;
        }
        Ok(all)
    }

    async fn ask_all(&mut self, request: Request) -> Result<Outcome> {
        self.ask(vec![request; self.rooms.len()]).await
    }

    /// Joins all clients; returns how many joined in a second.
    pub(crate) async fn join(&mut self) -> Result<f64> {
        let begun = Instant::now();
        let joined = self.ask_all(Request::Join { generation: self.generation }).await?;
        self.refused = joined.returns.refused();
        Ok(float(self.sockets.into()) / begun.elapsed().as_secs_f64().max(f64::EPSILON))
    }

    /// Sends a round, shared out among the workers.
    pub(crate) async fn round(&mut self, round: Round) -> Result<Outcome> {
        let at = micros(SystemTime::now().duration_since(UNIX_EPOCH)? + LEAD);
        let mut requests = Vec::new();
        for (number, share) in (0_u64..).zip(shares(round.per_second, &self.rooms)) {
            // The workers take turns, as the rooms of each do.
            let at_micros = at + number * 1_000_000 / round.per_second.max(1);
            requests.push(Request::Round { at_micros, round: Round { per_second: share, ..round } });
        }
        self.ask(requests).await
    }

    /// Lets one member of each room call, within so many seconds; in the outcome, a delivery is a member that has heard it once.
    pub(crate) async fn call_roll(&mut self, number: u64, seconds: u32) -> Result<Outcome> {
        self.ask_all(Request::CallRoll { number, seconds }).await
    }

    /// The processes, to measure.
    pub(crate) fn group(&self) -> Result<ProcessGroup> {
        let processes = self.children.iter().map(Child::measured).collect::<Result<Vec<_>>>()?;
        Ok(ProcessGroup::new("clients", processes))
    }

    /// From the next join on, the clients join rooms that nobody has used.
    pub(crate) fn use_new_rooms(&mut self) {
        self.generation += 1;
    }

    pub(crate) async fn disconnect(&mut self) -> Result<()> {
        self.ask_all(Request::Disconnect).await.map(|_| ())
    }

    /// The number of errors since the last round, and the first of them.
    pub(crate) async fn errors(&mut self) -> Result<(u64, Option<String>)> {
        self.ask_all(Request::Errors).await.map(|outcome| (outcome.errors, outcome.first_error))
    }
}

/// Shares a rate out by the rooms of each worker, without losing anything by rounding.
fn shares(per_second: u64, rooms: &[u32]) -> Vec<u64> {
    let all: u64 = rooms.iter().copied().map(u64::from).sum();
    let (mut before, mut given) = (0, 0);
    let share = |own: &u32| {
        before += u64::from(*own);
        let until = per_second * before / all.max(1);
        let share = until - given;
        given = until;
        share
    };
    rooms.iter().map(share).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_shared_out_by_rooms() {
        assert_eq!(shares(1_000, &[50, 50]), [500, 500]);
        assert_eq!(shares(1_000, &[1, 2]), [333, 667]);
        assert_eq!(shares(10, &[3, 3, 3]).iter().sum::<u64>(), 10);
        assert_eq!(shares(7, &[9]), [7]);
    }
}
