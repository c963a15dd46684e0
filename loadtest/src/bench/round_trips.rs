//! What a change and a signal ask of Redis. Commands are counted, not timed, so the answer is the same on any machine.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result};
use tokio::time::sleep;

use crate::{
    client::{Client, Join, Peer, Target},
    load::MEMBERS,
    measure::{Commands, RedisMonitor},
    progress::Progress,
    report::{Rule, Sheet},
    servers::Redis,
    units::{float, per},
};

/// How long idle nodes are watched: longer than the interval of anything that they do by themselves (leases, probes, due rooms, streams).
const QUIET: Duration = Duration::from_millis(5_200);

pub(super) const TIMES: u32 = 100;

/// Bytes of a session description as browsers make them for a call with one camera.
const SDP_BYTES: usize = 3_000;

#[derive(Debug)]
pub(super) struct RoundTrips {
    /// Commands a second of all nodes at rest.
    idle_per_second: f64,
    kinds: [Caused; 3],
}

/// The commands that operations of one kind caused: each is a round trip.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Caused {
    operation: &'static str,
    /// The one command that each operation should cause, if any.
    expected: Option<&'static str>,
    /// Counts by name.
    commands: BTreeMap<String, u64>,
}

impl Caused {
    /// The commands that are not among those of idle nodes.
    fn new(operation: &'static str, expected: Option<&'static str>, seen: &Commands, idle: &Commands) -> Self {
        let mut commands = BTreeMap::new();
        for (command, count) in seen.iter().filter(|(command, _)| !idle.contains_key(*command)) {
            let name = command.split(' ').next().unwrap_or(command);
            *commands.entry(name.to_owned()).or_default() += count;
        }
        Self { operation, expected, commands }
    }

    fn unexpected(&self) -> u64 {
        self.commands.iter().filter(|(name, _)| Some(name.as_str()) != self.expected).map(|(_, count)| count).sum()
    }

    fn each(&self) -> f64 {
        per(float(self.commands.values().sum()), TIMES.into())
    }
}

impl RoundTrips {
    pub(super) fn report(&self, sheet: &mut Sheet) -> Vec<Rule> {
        let mut rules = Vec::new();
        for caused in &self.kinds {
            let figure = format!("cluster_{}_round_trips", caused.operation);
            let other = format!("cluster_{}_other_commands", caused.operation);
            sheet.set("", &figure, caused.each());
            sheet.set("", &other, float(caused.unexpected()));
            rules.push(Rule::equal(&figure, if caused.expected.is_some() { 1.0 } else { 0.0 }));
            rules.push(Rule::equal(&other, 0.0));
        }
        sheet.set("", "cluster_idle_commands_per_second", self.idle_per_second);
        rules
    }

    /// A line for each kind of operation with unexpected commands.
    pub(super) fn errors(&self) -> Vec<String> {
        let wrong = self.kinds.iter().filter(|caused| caused.unexpected() > 0);
        wrong.map(|caused| format!("{TIMES} times {} caused {:?}", caused.operation, caused.commands)).collect()
    }
}

/// Counts on a cluster that does nothing else.
pub(super) async fn count(targets: &[Target], redis: &Redis, progress: &Progress) -> Result<RoundTrips> {
    let mut room = Room::join(targets).await?;
    let mut monitor = RedisMonitor::start(redis).await?;
    progress.step("cluster: counting the Redis commands of idle nodes");
    monitor.take().await?;
    sleep(QUIET).await;
    let idle = monitor.take().await?;

    progress.step(&format!("cluster: counting the Redis commands of {TIMES} changes and signals"));
    room.change().await?;
    let change = Caused::new("change", Some("EVALSHA"), &monitor.take().await?, &idle);
    room.signal(2).await?;
    let near = Caused::new("near_signal", None, &monitor.take().await?, &idle);
    room.signal(1).await?;
    let far = Caused::new("far_signal", Some("SPUBLISH"), &monitor.take().await?, &idle);
    let idle_per_second = float(idle.values().sum()) / QUIET.as_secs_f64();
    Ok(RoundTrips { idle_per_second, kinds: [change, near, far] })
}

/// A room whose members are on two nodes in turn.
struct Room {
    members: Vec<Client>,
}

impl Room {
    async fn join(targets: &[Target]) -> Result<Self> {
        let mut members = Vec::new();
        let two: Vec<&Target> = targets.iter().take(2).collect();
        for (number, target) in (0..MEMBERS).zip(two.iter().cycle()) {
            let join = Join { room: "round-trips", user: &user(number), features: Some(&[]), source: None };
            members.push(Client::join(target, Peer::Tandem, &join).await?);
        }
        Ok(Self { members })
    }

    /// Makes changes; each arrives everywhere before the next.
    async fn change(&mut self) -> Result<()> {
        for number in 0..TIMES {
            let host = self.members.first_mut().context("the room is empty")?;
            host.send(format!(r#"{{"type":"PLAY_PAUSE","control":"play","currentTime":{number}}}"#)).await?;
            for member in &mut self.members {
                member.receive_type("PLAY_PAUSE").await?;
            }
        }
        Ok(())
    }

    /// Sends signals from the first member to another one.
    async fn signal(&mut self, to: u32) -> Result<()> {
        let sdp = "a".repeat(SDP_BYTES);
        let name = user(to);
        let offer = format!(r#"{{"type":"OFFER","to":"{name}","offer":{{"type":"offer","sdp":"{sdp}"}}}}"#);
        for _ in 0..TIMES {
            self.members.first_mut().context("the room is empty")?.send(offer.clone()).await?;
            let receiver = self.members.get_mut(usize::try_from(to)?).context("there is no such member")?;
            receiver.receive_type("OFFER").await?;
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

    fn commands(commands: &[(&str, u64)]) -> Commands {
        commands.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    }

    #[test]
    fn commands_of_idle_nodes_were_not_caused() {
        let idle = commands(&[("EVALSHA aaaa", 1), ("SPUBLISH probe", 3)]);
        let busy = commands(&[("EVALSHA aaaa", 2), ("SPUBLISH probe", 9), ("EVALSHA bbbb", 100)]);
        let caused = Caused::new("change", Some("EVALSHA"), &busy, &idle);
        assert!((caused.each() - 1.0).abs() < 1e-9 && caused.unexpected() == 0);
        assert_eq!(Caused::new("change", Some("SPUBLISH"), &busy, &idle).unexpected(), 100);
        assert_eq!(Caused::new("near_signal", None, &busy, &idle).unexpected(), 100);
    }
}
