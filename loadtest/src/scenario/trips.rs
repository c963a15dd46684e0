//! What does one change, and one signal, ask of Redis? Counted, not timed: the answer is the same on any machine.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result};
use serde::Serialize;
use tokio::time::sleep;

use crate::{
    backing::{Overheard, Redis, Wiretap},
    client::{Client, Peer, Seat},
    fleet::MEMBERS,
    progress::Progress,
    target::Target,
    units::{float, per},
};

/// How long nodes are listened to that nobody talks to: longer than any of their own rounds (leases, probes, overdue rooms, the streams).
const QUIET: Duration = Duration::from_millis(5_200);

/// Operations of each kind.
const TIMES: u32 = 100;

/// Bytes of a session description as browsers make them for a call with one camera.
const SDP_BYTES: usize = 3_000;

/// What was counted.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Trips {
    /// Commands a second of all nodes while nobody does anything.
    pub(crate) quiet_per_second: f64,
    /// What changes of a room led to.
    pub(crate) change: Caused,
    /// What signals between members on one node led to.
    pub(crate) near_signal: Caused,
    /// What signals between members on two nodes led to.
    pub(crate) far_signal: Caused,
}

/// Commands that there would not have been without the operations: each is a round trip.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Caused {
    /// How many operations there were.
    pub(crate) operations: u64,
    /// The commands by their name.
    pub(crate) commands: BTreeMap<String, u64>,
}

impl Caused {
    fn new(operations: u32, heard: &Overheard, quiet: &Overheard) -> Self {
        let mut commands = BTreeMap::new();
        for (command, count) in heard.iter().filter(|(command, _)| !quiet.contains_key(*command)) {
            let name = command.split(' ').next().unwrap_or(command);
            *commands.entry(name.to_owned()).or_default() += count;
        }
        Self { operations: operations.into(), commands }
    }

    /// Whether each operation led to one command of that name and to nothing else; to nothing at all for `None`.
    pub(crate) fn is(&self, name: Option<&str>) -> bool {
        let expected = name.map(|name| (name.to_owned(), self.operations));
        self.commands == expected.into_iter().collect()
    }

    /// Commands by operation.
    pub(crate) fn each(&self) -> f64 {
        per(float(self.commands.values().sum()), self.operations)
    }
}

/// Counts on a cluster that does nothing else.
pub(crate) async fn count(targets: &[Target], redis: &Redis, progress: &Progress) -> Result<Trips> {
    let mut table = Table::lay(targets).await?;
    let mut tap = Wiretap::start(redis).await?;
    progress.step("cluster: what nodes ask of Redis when nobody does anything");
    tap.take().await?;
    sleep(QUIET).await;
    let quiet = tap.take().await?;

    progress.step(&format!("cluster: {TIMES} changes and signals, one after the other"));
    table.changes().await?;
    let change = Caused::new(TIMES, &tap.take().await?, &quiet);
    table.signals(2).await?;
    let near_signal = Caused::new(TIMES, &tap.take().await?, &quiet);
    table.signals(1).await?;
    let far_signal = Caused::new(TIMES, &tap.take().await?, &quiet);
    let quiet_per_second = float(quiet.values().sum()) / QUIET.as_secs_f64();
    Ok(Trips { quiet_per_second, change, near_signal, far_signal })
}

/// A room whose members sit on two nodes in turn.
struct Table {
    members: Vec<Client>,
}

impl Table {
    async fn lay(targets: &[Target]) -> Result<Self> {
        let mut members = Vec::new();
        let two: Vec<&Target> = targets.iter().take(2).collect();
        for (number, target) in (0..MEMBERS).zip(two.iter().cycle()) {
            let user = user(number);
            let seat = Seat { room: "trips", user: &user, features: Some(&[]), source: None };
            members.push(Client::join(target, Peer::Tandem, &seat).await?);
        }
        Ok(Self { members })
    }

    /// One after the other; each arrives everywhere before the next.
    async fn changes(&mut self) -> Result<()> {
        for number in 0..TIMES {
            let host = self.members.first_mut().context("nobody is here")?;
            host.send(format!(r#"{{"type":"PLAY_PAUSE","control":"play","currentTime":{number}}}"#)).await?;
            for member in &mut self.members {
                member.receive_type("PLAY_PAUSE").await?;
            }
        }
        Ok(())
    }

    /// From the first member to another one.
    async fn signals(&mut self, to: u32) -> Result<()> {
        let sdp = "a".repeat(SDP_BYTES);
        let name = user(to);
        let offer = format!(r#"{{"type":"OFFER","to":"{name}","offer":{{"type":"offer","sdp":"{sdp}"}}}}"#);
        for _ in 0..TIMES {
            self.members.first_mut().context("nobody is here")?.send(offer.clone()).await?;
            let target = self.members.get_mut(usize::try_from(to)?).context("the target is not here")?;
            target.receive_type("OFFER").await?;
        }
        Ok(())
    }
}

fn user(number: u32) -> String {
    format!("user-{number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(commands: &[(&str, u64)]) -> Overheard {
        commands.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    }

    #[test]
    fn what_is_there_anyway_was_not_caused() {
        let quiet = heard(&[("EVALSHA aaaa", 1), ("SPUBLISH probe", 3)]);
        let loud = heard(&[("EVALSHA aaaa", 2), ("SPUBLISH probe", 9), ("EVALSHA bbbb", 100)]);
        let caused = Caused::new(100, &loud, &quiet);
        assert!(caused.is(Some("EVALSHA")) && !caused.is(None) && !caused.is(Some("SPUBLISH")));
        assert!((caused.each() - 1.0).abs() < 1e-9);
        assert!(Caused::new(100, &quiet, &quiet).is(None));
        let more = heard(&[("EVALSHA bbbb", 100), ("HGETALL room", 1)]);
        assert!(!Caused::new(100, &more, &quiet).is(Some("EVALSHA")));
    }
}
