//! Many members that join at once, each on a socket of its own.

use std::time::{Duration, Instant};

use anyhow::Result;
use futures_util::{StreamExt, stream};
use tokio::time::{sleep, timeout};

use super::{changes::compare, run::Bench};
use crate::{
    client::{Client, ClientOptions},
    load::{MEMBERS, Plan},
    measure::{CpuMeter, Latency, Spent, report_cpu},
    progress::step,
    report::Sheet,
    scenario::zero,
    servers::{Deployment, Kind},
    units::{float, grouped},
};

/// Limit for the last announcement of another member.
const PATIENCE: Duration = Duration::from_secs(5);

/// When nothing has come for so long, nothing more is expected.
const SILENCE: Duration = Duration::from_millis(100);

/// Clients whose announcements are read at the same time.
const READERS: usize = 2_000;

/// Time after the last join in which the work of a server still counts.
const AFTERMATH: Duration = Duration::from_millis(250);

/// Pause for a server to clean up after a round.
const REST: Duration = Duration::from_secs(2);

/// Measures joins on the servers that have several nodes.
pub(super) async fn measure(bench: &mut Bench<'_>) -> Result<()> {
    let options = bench.options;
    let rooms = options.joins / MEMBERS;
    let kinds = options.clustered_kinds();
    let mut storms = Vec::new();
    for kind in &kinds {
        step(&format!("{}: starting for joins", kind.name()));
        let deployment = bench.launcher.start(*kind, "joins").await?;
        storms.push(Storm::new(*kind, deployment, options.clients(*kind))?);
    }
    let (count, rounds) = (grouped(u64::from(rooms * MEMBERS)), options.load.rounds);
    for round in 1..=rounds {
        for storm in &mut storms {
            step(&format!("{}: {count} joins, round {round} of {rounds}", storm.kind.name()));
            storm.round(rooms, options.at_once).await?;
        }
        storms.rotate_left(1);
    }
    storms.sort_by_key(|storm| kinds.iter().position(|kind| *kind == storm.kind));
    let mut sheet = Sheet::new(&format!("Joins, {} rooms at once", options.at_once));
    for storm in &storms {
        storm.report(&mut sheet);
        // What a peer loses is shown, but breaks no rule.
        if storm.kind.is_cluster() {
            let figures = ["join_unannounced", "join_announced_twice"];
            bench.rules.extend(zero(&format!("{}_", storm.kind.name()), &figures));
        }
    }
    let spent = |kind| storms.iter().find(|it| it.kind == kind).map(|it| (it.kind, it.spent.as_slice()));
    compare(&mut sheet, "join", spent)?;
    bench.report.sheets.push(sheet);
    for storm in storms {
        step(&format!("{}: stopping", storm.kind.name()));
        storm.deployment.stop().await?;
    }
    Ok(())
}

#[derive(Debug)]
struct Storm {
    kind: Kind,
    deployment: Deployment,
    clients: ClientOptions,
    joined: u64,
    took: Duration,
    /// Members that another member never heard of, or heard of more than once.
    unannounced: u64,
    announced_twice: u64,
    latency: Latency,
    spent: Vec<Spent>,
}

impl Storm {
    fn new(kind: Kind, deployment: Deployment, clients: ClientOptions) -> Result<Self> {
        let (took, latency, spent) = (Duration::ZERO, Latency::new()?, Vec::new());
        Ok(Self { kind, deployment, clients, joined: 0, took, unannounced: 0, announced_twice: 0, latency, spent })
    }

    async fn round(&mut self, rooms: u32, at_once: u16) -> Result<()> {
        let plan = Plan::new(&self.deployment.targets(), self.kind.peer(), rooms, MEMBERS, &self.clients);
        let plan = Plan { at_once, ..plan };
        let groups = self.deployment.groups();
        let meter = CpuMeter::start(&groups)?;
        let begun = Instant::now();
        let mut rooms = Vec::new();
        plan.join(|_, clients| rooms.push(clients)).await?;
        let took = begun.elapsed();
        sleep(AFTERMATH).await;
        // The CPU is read before the announcements are, because reading them costs the generator, not the servers.
        let joined = plan.sockets().into();
        self.spent.push(meter.stop(joined, took.as_secs_f64())?);
        self.joined += joined;
        self.took += took;
        let mut readers = Vec::new();
        for room in rooms {
            // Each member hears of those who join after it.
            let names: Vec<String> = room.iter().map(|(client, _)| client.name().to_owned()).collect();
            for (place, (client, _)) in room.into_iter().enumerate() {
                self.latency.record_span(client.joined_in);
                readers.push((client, names.iter().skip(place + 1).cloned().collect()));
            }
        }
        let read = stream::iter(readers).map(|(client, later)| announced(client, later)).buffer_unordered(READERS);
        for counts in read.collect::<Vec<_>>().await {
            let (missing, again) = counts?;
            self.unannounced += missing;
            self.announced_twice += again;
        }
        sleep(REST).await;
        Ok(())
    }

    fn report(&self, sheet: &mut Sheet) {
        let name = self.kind.name();
        sheet.set(name, "joins", float(self.joined));
        sheet.set(name, "joins_per_second", float(self.joined) / self.took.as_secs_f64().max(f64::EPSILON));
        sheet.set(name, "join_unannounced", float(self.unannounced));
        sheet.set(name, "join_announced_twice", float(self.announced_twice));
        self.latency.report(sheet, name, "join");
        report_cpu(sheet, name, "join", &self.spent);
    }
}

/// How many of those who joined later a client never hears of, and how many it hears of again. It may also hear of members who joined
/// before it: that is no fault, because their announcement was still under way.
async fn announced(mut client: Client, later: Vec<String>) -> Result<(u64, u64)> {
    let mut known: Vec<String> = Vec::new();
    let mut again = 0;
    loop {
        let missing = later.iter().filter(|name| !known.contains(name)).count();
        let wait = if missing > 0 { PATIENCE } else { SILENCE };
        let Ok(frame) = timeout(wait, client.receive()).await else { return Ok((u64::try_from(missing)?, again)) };
        let frame = frame?;
        if let Some(name) = client.newcomer(&frame) {
            if known.iter().any(|it| it == name) {
                again += 1;
            } else {
                known.push(name.to_owned());
            }
        }
    }
}
