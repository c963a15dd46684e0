//! Many members that join at once, each on a socket of its own.

use std::time::{Duration, Instant};

use anyhow::Result;
use futures_util::{StreamExt, stream};
use tokio::time::{sleep, timeout};

use super::{changes::compare, run::Bench};
use crate::{
    client::{Client, ClientOptions, Join},
    limits::check_open_files,
    load::MEMBERS,
    measure::{CpuMeter, Latency, Spent, report_cpu},
    report::{Shape, Sheet},
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
    let (options, progress) = (bench.options, bench.progress);
    let rooms = options.joins / MEMBERS;
    check_open_files(rooms * MEMBERS)?;
    let kinds = options.clustered_kinds();
    let mut storms = Vec::new();
    for kind in &kinds {
        progress.step(&format!("{}: starting for joins", kind.name()));
        let deployment = bench.launcher.start(*kind, "joins").await?;
        storms.push(Storm::new(*kind, deployment, options.clients(*kind))?);
    }
    let (count, rounds) = (grouped(u64::from(rooms * MEMBERS)), options.load.rounds);
    for round in 1..=rounds {
        for storm in &mut storms {
            progress.step(&format!("{}: {count} joins, round {round} of {rounds}", storm.kind.name()));
            storm.round(rooms, options.at_once).await?;
        }
        storms.rotate_left(1);
    }
    storms.sort_by_key(|storm| kinds.iter().position(|kind| *kind == storm.kind));
    let mut sheet = Sheet::new(&format!("Joins, {} rooms at once", options.at_once), Shape::Servers);
    for storm in &storms {
        storm.report(&mut sheet);
        let (name, error) = (storm.kind.name(), storm.first_error.as_ref());
        bench.report.errors.extend(error.map(|error| format!("{name}: {error}")));
        // What a peer loses is shown, but breaks no rule.
        if storm.kind.is_cluster() {
            let figures = ["join_unannounced", "join_announced_twice", "join_errors"];
            bench.rules.extend(zero(&format!("{name}_"), &figures));
        }
    }
    let spent = |kind| storms.iter().find(|it| it.kind == kind).map(|it| (it.kind, it.spent.as_slice()));
    compare(&mut sheet, "join", spent)?;
    bench.report.sheets.push(sheet);
    for storm in storms {
        progress.step(&format!("{}: stopping", storm.kind.name()));
        bench.report.warnings.extend(storm.deployment.stop().await?);
    }
    Ok(())
}

#[derive(Debug)]
struct Storm {
    kind: Kind,
    deployment: Deployment,
    clients: ClientOptions,
    rounds: u32,
    joined: u64,
    took: Duration,
    /// Members that another member never heard of, or heard of more than once.
    unannounced: u64,
    announced_twice: u64,
    errors: u64,
    first_error: Option<String>,
    latency: Latency,
    spent: Vec<Spent>,
}

#[derive(Default)]
struct Room {
    clients: Vec<Client>,
    /// When each began to connect, and when it had joined.
    joins: Vec<(Instant, Instant)>,
    error: Option<String>,
}

impl Storm {
    fn new(kind: Kind, deployment: Deployment, clients: ClientOptions) -> Result<Self> {
        Ok(Self {
            kind,
            deployment,
            clients,
            rounds: 0,
            joined: 0,
            took: Duration::ZERO,
            unannounced: 0,
            announced_twice: 0,
            errors: 0,
            first_error: None,
            latency: Latency::new()?,
            spent: Vec::new(),
        })
    }

    async fn round(&mut self, rooms: u32, at_once: u16) -> Result<()> {
        self.rounds += 1;
        let groups = self.deployment.groups();
        let meter = CpuMeter::start(&groups)?;
        let begun = Instant::now();
        let this = &*self;
        let joins = stream::iter(0..rooms).map(|room| this.join_room(room)).buffer_unordered(at_once.into());
        let rooms: Vec<Room> = joins.collect().await;
        let took = begun.elapsed();
        sleep(AFTERMATH).await;
        let joined = u64::try_from(rooms.iter().map(|room| room.joins.len()).sum::<usize>())?;
        // The CPU is read before the announcements are, because reading them costs the generator, not the servers.
        self.spent.push(meter.stop(joined, took.as_secs_f64())?);
        self.joined += joined;
        self.took += took;
        let mut readers = Vec::new();
        for room in rooms {
            for (begun, done) in &room.joins {
                self.latency.record(*begun, *done);
            }
            if let Some(error) = room.error {
                self.errors += 1;
                self.first_error.get_or_insert(error);
                continue;
            }
            // Each member hears of those who join after it.
            let names: Vec<String> = room.clients.iter().map(|client| client.name().to_owned()).collect();
            for (place, client) in room.clients.into_iter().enumerate() {
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

    /// Joins the members of a room, one after the other.
    async fn join_room(&self, number: u32) -> Room {
        let mut room = Room::default();
        let name = format!("joins-{}-{}-{number}", std::process::id(), self.rounds);
        let (features, targets) = (self.clients.features(), self.deployment.targets());
        for member in 0..MEMBERS {
            let user = format!("user-{number}-{member}");
            let join = Join { room: &name, user: &user, features: features.as_deref(), source: None };
            let turn = usize::try_from(number + member).unwrap_or(0) % targets.len().max(1);
            let Some(target) = targets.get(turn) else { break };
            let begun = Instant::now();
            match Client::join(target, self.kind.peer(), &join).await {
                Ok(client) => {
                    room.joins.push((begun, Instant::now()));
                    room.clients.push(client);
                }
                Err(error) => {
                    room.error = Some(format!("{error:#}"));
                    break;
                }
            }
        }
        room
    }

    fn report(&self, sheet: &mut Sheet) {
        let name = self.kind.name();
        sheet.set(name, "joins", float(self.joined));
        sheet.set(name, "joins_per_second", float(self.joined) / self.took.as_secs_f64().max(f64::EPSILON));
        sheet.set(name, "join_unannounced", float(self.unannounced));
        sheet.set(name, "join_announced_twice", float(self.announced_twice));
        sheet.set(name, "join_errors", float(self.errors));
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
