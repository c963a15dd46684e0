use std::time::{Duration, Instant};

use anyhow::Result;
use futures_util::{StreamExt, stream};
use tokio::time::{sleep, timeout};

use super::{
    cost::{Cost, Till},
    figures::Figures,
};
use crate::{
    client::{Client, Peer, Seat},
    fleet::{MEMBERS, Manners},
    latency::Latency,
    limits::check_open_files,
    meter::Meter,
    target::Target,
    units::float,
};

/// How long the last news of others may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long nothing may come before nothing more is expected.
const SILENCE: Duration = Duration::from_millis(100);

/// Clients that are listened to at the same time.
const LISTENERS: usize = 2_000;

/// How long a server may work on and still be charged for it.
const AFTERMATH: Duration = Duration::from_millis(250);

/// What a server has to put away those of the round before.
const REST: Duration = Duration::from_secs(2);

/// Many who come at once, each on a socket of its own.
#[derive(Debug)]
pub(super) struct Storm<'a> {
    name: &'static str,
    peer: Peer,
    targets: Vec<Target>,
    meters: Vec<Meter>,
    manners: &'a Manners,
    /// Rooms of [`MEMBERS`], and how many of them are joined at the same time.
    rooms: (u32, u16),
    rounds: u32,
    joined: u64,
    took: Duration,
    lost: u64,
    doubled: u64,
    failed: u64,
    first_failure: Option<String>,
    latency: Latency,
    costs: Vec<Cost>,
}

/// Those who came into one room, and what it took them.
struct Party {
    clients: Vec<Client>,
    spans: Vec<(Instant, Instant)>,
    failure: Option<String>,
}

impl<'a> Storm<'a> {
    /// Nobody has come yet.
    pub(super) fn new(
        (name, peer): (&'static str, Peer),
        targets: Vec<Target>,
        meters: Vec<Meter>,
        rooms: (u32, u16),
        manners: &'a Manners,
    ) -> Result<Self> {
        check_open_files(rooms.0 * MEMBERS)?;
        Ok(Self {
            name,
            peer,
            targets,
            meters,
            manners,
            rooms,
            rounds: 0,
            joined: 0,
            took: Duration::ZERO,
            lost: 0,
            doubled: 0,
            failed: 0,
            first_failure: None,
            latency: Latency::new()?,
            costs: Vec::new(),
        })
    }

    /// All come, and go again.
    pub(super) async fn round(&mut self) -> Result<()> {
        self.rounds += 1;
        let (rooms, at_once) = self.rooms;
        let this = &*self;
        let till = Till::open(&this.meters)?;
        let begun = Instant::now();
        let parties: Vec<Party> =
            stream::iter(0..rooms).map(|room| this.party(room)).buffer_unordered(at_once.into()).collect().await;
        let took = begun.elapsed();
        sleep(AFTERMATH).await;
        let joined = parties.iter().map(|party| party.spans.len()).sum::<usize>();
        let joined = u64::try_from(joined)?;
        // Before the news are read: that costs the generator, not the servers.
        let cost = till.close(joined)?;
        self.costs.push(cost);
        self.joined += joined;
        self.took += took;
        let mut here = Vec::new();
        for mut party in parties {
            for (begun, done) in &party.spans {
                self.latency.record(*begun, *done);
            }
            if let Some(failure) = party.failure.take() {
                self.failed += 1;
                self.first_failure.get_or_insert(failure);
                continue;
            }
            // Everybody is told of everybody who comes later.
            let names: Vec<String> = party.clients.iter().map(|client| client.name().to_owned()).collect();
            for (place, client) in party.clients.into_iter().enumerate() {
                here.push((client, names.iter().skip(place + 1).cloned().collect()));
            }
        }
        let told = stream::iter(here).map(|(client, later)| newcomers(client, later)).buffer_unordered(LISTENERS);
        for told in told.collect::<Vec<_>>().await {
            let (missing, again) = told?;
            self.lost += missing;
            self.doubled += again;
        }
        sleep(REST).await;
        Ok(())
    }

    /// A room's members, one after the other: each is told to those who are there.
    async fn party(&self, room: u32) -> Party {
        let mut party = Party { clients: Vec::new(), spans: Vec::new(), failure: None };
        let name = format!("storm-{}-{}-{room}", std::process::id(), self.rounds);
        let features = self.manners.features();
        for member in 0..MEMBERS {
            let user = format!("user-{room}-{member}");
            let seat = Seat { room: &name, user: &user, features: features.as_deref(), source: None };
            let turn = usize::try_from(room + member).unwrap_or(0) % self.targets.len().max(1);
            let Some(target) = self.targets.get(turn) else { break };
            let begun = Instant::now();
            match Client::join(target, self.peer, &seat).await {
                Ok(client) => {
                    party.spans.push((begun, Instant::now()));
                    party.clients.push(client);
                }
                Err(error) => {
                    party.failure = Some(format!("{error:#}"));
                    break;
                }
            }
        }
        party
    }

    /// The figures of all rounds.
    pub(super) fn figures(&self) -> Figures {
        Figures {
            name: self.name,
            done: self.joined,
            lost: self.lost,
            doubled: self.doubled,
            failed: self.failed,
            first_failure: self.first_failure.clone(),
            per_second: Some(float(self.joined) / self.took.as_secs_f64().max(f64::EPSILON)),
            latency: self.latency.summary(),
            generator_lag: None,
            costs: self.costs.clone(),
        }
    }
}

/// How many of those who came later a client is never told of, and of how many again. That it may be told of some who came before it is no
/// fault: others were still telling while it came.
async fn newcomers(mut client: Client, later: Vec<String>) -> Result<(u64, u64)> {
    let mut heard: Vec<String> = Vec::new();
    let mut again = 0;
    loop {
        let missing = later.iter().filter(|name| !heard.contains(name)).count();
        let wait = if missing > 0 { PATIENCE } else { SILENCE };
        let Ok(frame) = timeout(wait, client.receive()).await else { return Ok((u64::try_from(missing)?, again)) };
        let frame = frame?;
        if let Some(name) = client.newcomer(&frame) {
            if heard.iter().any(|known| known == name) {
                again += 1;
            } else {
                heard.push(name.to_owned());
            }
        }
    }
}
