//! Maintains a link: connects, subscribes, probes, and reconnects.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use tokio::time::{Instant, sleep, sleep_until};

use redis::Script;

use super::{
    answer::translate,
    connection::RedisConnection,
    link::Link,
    node::RedisNode,
    probe::{Probe, ProbeResult, is_tolerated},
};
use crate::{
    backend::{BackendError, Membership as _},
    clock::millis,
};

/// Wait after the first failed connection; it doubles with each further one.
const FIRST_WAIT: Duration = Duration::from_millis(50);
/// Maximum wait after a failed connection.
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// How long nodes compare their rooms with a new server. The slowest of them connects after [`LONGEST_WAIT`].
const COMPARES: Duration = Duration::from_secs(3);
/// Interval of probes while Redis refuses commands, if regular probes are off.
const REFUSED_POLL: Duration = Duration::from_secs(1);
/// The reason in the log when the connection was closed.
const ENDED: &str = "the connection has ended";
/// The reason in the log when Redis no longer refuses what it refused when it was connected.
const ACCEPTS: &str = "Redis accepts commands again that it refused";
/// Maximum number of channels in one command.
const BATCH: usize = 200;

static PROBE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("probe.lua")));

/// The servers that a connection leads to.
struct Servers {
    /// The server of each partition that was asked for.
    found: Vec<(u16, String)>,
    /// Whether one of them is not, or may not be, the server of before.
    another: bool,
    /// How long nothing may be decided on the connection, because nodes compare their rooms with another server.
    compares: Duration,
}

impl RedisNode {
    /// Connects, and reconnects whenever the connection ends or a probe fails. Does not return.
    pub(super) async fn maintain_link(self: &Arc<Self>, link: &Arc<Link>) {
        let mut wait = FIRST_WAIT;
        let mut outage: Option<Instant> = None;
        loop {
            // The error was logged by `establish`.
            let Ok(found) = self.establish(link).await else {
                link.set(None);
                outage.get_or_insert_with(Instant::now);
                // Random, so that not all nodes connect at the same instant.
                sleep(wait.mul_f64(0.5 + 0.5 * rand::random::<f64>())).await;
                wait = (wait * 2).min(LONGEST_WAIT);
                continue;
            };
            wait = FIRST_WAIT;
            self.set_link_up(link, true);
            self.report(link, &found, &mut outage);
            let why = self.watch(link, found.refused.is_some(), &mut outage).await;
            self.set_link_up(link, false);
            link.set(None);
            self.metrics.link_restarts.inc();
            tracing::warn!(link = link.number, why, "the connection to Redis is being replaced");
            outage.get_or_insert_with(Instant::now);
        }
    }

    /// Logs when Redis begins to refuse commands, regularly while it does, and when it stops.
    fn report(&self, link: &Link, result: &ProbeResult, outage: &mut Option<Instant>) {
        if let Some(error) = &result.refused {
            outage.get_or_insert_with(Instant::now);
            self.faults.note(error);
        } else if let Some(since) = outage.take() {
            self.faults.over();
            tracing::info!(link = link.number, seconds = since.elapsed().as_secs_f64(), "Redis is back");
        }
        self.update_link_metric();
    }

    fn update_link_metric(&self) {
        let well = self.links.iter().all(|link| link.is_up() && !link.is_refused());
        self.metrics.link_up.set(i64::from(well));
    }

    fn set_link_up(&self, link: &Link, up: bool) {
        link.set_up(up);
        self.update_link_metric();
    }

    /// Connects, and subscribes to all rooms again. Updates were missed meanwhile, so the rooms are marked as stale.
    async fn establish(self: &Arc<Self>, link: &Arc<Link>) -> Result<ProbeResult, BackendError> {
        let generation = link.next_generation();
        let (node, its) = (self.weak(), Arc::downgrade(link));
        let on_push = move |push| {
            if let (Some(node), Some(link)) = (node.upgrade(), its.upgrade()) {
                node.on_push(&link, generation, &push);
            }
        };
        let connection = self.connector.connect(on_push).await.map_err(|error| self.at(&error))?;
        self.resubscribe(link, connection.clone()).await.map_err(|error| self.at(&error))?;
        let Servers { found, another, compares } =
            self.servers_of(link, connection.clone()).await.map_err(|error| self.at(&error))?;
        link.set_comparing(!compares.is_zero());
        let until = Instant::now() + compares;
        // Before commands are possible again: a stale room must be loaded before anything is decided in it.
        link.set(Some(connection));
        self.mark_rooms_stale(link);
        let refused = match self.bring_back(link, another).await {
            Ok(()) => None,
            Err(error) if is_tolerated(&error) => Some(error),
            Err(error) => return Err(error),
        };
        // Before the link counts as up: otherwise a link that refuses everything would be up for a moment, again and again.
        let result = link.probe(&self.probes(link), self.timeout).await;
        let result = result.inspect_err(|error| self.faults.note(error))?;
        match (refused, &result.refused) {
            (None, None) => {}
            // It was refused until a moment ago.
            (Some(error), None) => return Err(error),
            // Reads and signals may still work. Once Redis refuses nothing any more, all this is done again; if it is another server, nothing is
            // decided before.
            (_, Some(_)) => return Ok(result),
        }
        if !compares.is_zero() {
            tracing::info!(
                link = link.number,
                seconds = compares.as_secs_f64(),
                "Redis is another server; before anything is decided, nodes restore what it lacks"
            );
            tokio::select! {
                () = sleep_until(until) => link.set_comparing(false),
                () = link.reconnect_requested() => return Err(BackendError::Unreachable(ENDED.to_owned())),
            }
        }
        for (partition, server) in found {
            link.set_server(partition, server);
        }
        Ok(result)
    }

    /// Registers the rooms of this node again, and appends the entries that another server may lack.
    async fn bring_back(&self, link: &Link, another: bool) -> Result<(), BackendError> {
        self.announce_rooms().await?;
        for partition in (0..self.layout.partitions()).filter(|it| another && self.link_of(*it).number == link.number) {
            self.append_lost(partition).await?;
        }
        Ok(())
    }

    /// Asks which servers this connection leads to. Another one than before may have lost changes.
    async fn servers_of(&self, link: &Link, mut connection: RedisConnection) -> Result<Servers, redis::RedisError> {
        let mut servers = Servers { found: Vec::new(), another: false, compares: Duration::ZERO };
        for partition in self.probed_partitions(link) {
            let before = link.server(partition).unwrap_or_default();
            let mut call = self.scripts.server.prepare_invoke();
            call.key(self.layout.comparing(partition)).arg(&before).arg(millis(COMPARES));
            let (server, left): (String, u64) = call.invoke_async(&mut connection).await?;
            // One that may not be asked counts as another.
            servers.another |= server.is_empty() || server != before;
            servers.compares = servers.compares.max(Duration::from_millis(left));
            servers.found.push((partition, server));
        }
        Ok(servers)
    }

    /// Adds the address to the error, and logs it.
    fn at(&self, error: &redis::RedisError) -> BackendError {
        let error = match translate(error) {
            BackendError::Unreachable(why) => BackendError::Unreachable(format!("{}: {why}", self.connector.at())),
            other => other,
        };
        self.faults.note(&error);
        error
    }

    async fn resubscribe(&self, link: &Link, mut connection: RedisConnection) -> Result<(), redis::RedisError> {
        // One by one, because in a Redis Cluster each may be on another shard.
        for probe in self.probes(link) {
            connection.subscribe(&[probe.channel]).await?;
        }
        if link.number == 0 {
            connection.subscribe(std::slice::from_ref(&self.channel)).await?;
        }
        let rooms: Vec<_> = link.rooms.iter().map(|room| room.clone()).collect();
        self.metrics.resubscribed.inc_by(rooms.len() as u64);
        let mut by_partition: Vec<Vec<String>> = vec![Vec::new(); usize::from(self.layout.partitions())];
        for room in &rooms {
            if let Some(channels) = by_partition.get_mut(usize::from(self.layout.partition(room))) {
                channels.push(self.layout.channel(room));
            }
        }
        for batch in by_partition.iter().flat_map(|channels| channels.chunks(BATCH)) {
            connection.subscribe(batch).await?;
        }
        self.mark_rooms_stale(link);
        Ok(())
    }

    /// Stale rooms are loaded soon, and before anything is decided in them.
    fn mark_rooms_stale(&self, link: &Link) {
        let Some(events) = self.events() else { return };
        for room in link.rooms.iter() {
            events.stale(&room);
        }
    }

    /// The partitions that are probed on this link: one of a single server, all of a cluster.
    fn probed_partitions(&self, link: &Link) -> impl Iterator<Item = u16> {
        let partitions = (0..self.layout.partitions()).filter(|it| self.link_of(*it).number == link.number);
        partitions.take(if self.cluster { usize::MAX } else { 1 })
    }

    fn probes(&self, link: &Link) -> Vec<Probe> {
        // The channel is specific to this connection, because an earlier one may still be subscribed.
        let which = format!("{}.{}", link.number, link.generation());
        let probe = |partition| {
            let channel = self.layout.probe(partition, &self.name, &which);
            let mut call = PROBE.prepare_invoke();
            for kind in ["hash", "list", "sorted", "stream", "string", "set"] {
                call.key(self.layout.probed(partition, &self.name, link.number, kind));
            }
            Probe { channel, call }
        };
        self.probed_partitions(link).map(probe).collect()
    }

    /// Probes the link until it has to be replaced, and returns the reason. `unfinished`: Redis refused commands when it was connected.
    async fn watch(&self, link: &Link, unfinished: bool, outage: &mut Option<Instant>) -> String {
        let probes = self.probes(link);
        loop {
            // While Redis refuses commands it is probed even if regular probes are off, to notice when that ends.
            let pause = match self.probe {
                Duration::ZERO if link.is_refused() => REFUSED_POLL,
                pause => pause,
            };
            tokio::select! {
                () = link.reconnect_requested() => return ENDED.to_owned(),
                () = link.probe_requested() => {}
                () = sleep(pause), if !pause.is_zero() => {}
            }
            let found = tokio::select! {
                () = link.reconnect_requested() => return ENDED.to_owned(),
                found = link.probe(&probes, self.timeout) => found,
            };
            match found {
                Ok(found) => {
                    self.metrics.probe.record(link.number, found.took, !self.probe.is_zero());
                    if unfinished && found.refused.is_none() {
                        return ACCEPTS.to_owned();
                    }
                    self.report(link, &found, outage);
                }
                Err(error) => {
                    self.faults.count(&error);
                    return error.to_string();
                }
            }
        }
    }
}
