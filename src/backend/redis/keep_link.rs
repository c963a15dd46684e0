//! Keeping a link: connecting, listening to everything again, and finding out when it lies.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use redis::Script;

use super::{
    answer::translate,
    connector::Wire,
    link::{Link, Probe, Probed},
    node::RedisNode,
};
use crate::backend::{BackendError, Membership as _};

/// The first wait after a connection that could not be made; it doubles,
const FIRST_WAIT: Duration = Duration::from_millis(50);
/// up to this.
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// How often it is looked whether Redis still refuses, where nothing else is probed.
const AGAIN: Duration = Duration::from_secs(1);
/// Why a link is made anew that was not at fault.
const ENDED: &str = "the connection has ended";
/// Channels that are listened to with one command.
const BATCH: usize = 200;

static PROBE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("probe.lua")));

impl RedisNode {
    /// For ever: connects, and when the connection has ended or lies, connects anew.
    pub(super) async fn keep_link(self: &Arc<Self>, link: &Arc<Link>) {
        let mut wait = FIRST_WAIT;
        let mut trouble: Option<Instant> = None;
        loop {
            // What is wrong has been said.
            let Ok(found) = self.establish(link).await else {
                link.set(None);
                trouble.get_or_insert_with(Instant::now);
                // Spread, so that not all nodes come in the same instant.
                sleep(wait.mul_f64(0.5 + 0.5 * rand::random::<f64>())).await;
                wait = (wait * 2).min(LONGEST_WAIT);
                continue;
            };
            wait = FIRST_WAIT;
            self.links_up(link, true);
            self.report(link, &found, &mut trouble);
            let why = self.watch(link, &mut trouble).await;
            self.links_up(link, false);
            link.set(None);
            self.metrics.link_restarts.inc();
            tracing::warn!(link = link.number, why, "the connection to Redis is being replaced");
            trouble.get_or_insert_with(Instant::now);
        }
    }

    /// Says when Redis begins to refuse what nodes need, now and again while it does, and when it no longer does.
    fn report(&self, link: &Link, probed: &Probed, trouble: &mut Option<Instant>) {
        if let Some(error) = &probed.refused {
            trouble.get_or_insert_with(Instant::now);
            self.faults.note(error);
        } else if let Some(since) = trouble.take() {
            self.faults.over();
            tracing::info!(link = link.number, seconds = since.elapsed().as_secs_f64(), "Redis is back");
        }
        self.tell_links();
    }

    fn tell_links(&self) {
        let well = self.links.iter().all(|link| link.is_up() && !link.is_refused());
        self.metrics.link_up.set(i64::from(well));
    }

    fn links_up(&self, link: &Link, up: bool) {
        link.set_up(up);
        self.tell_links();
    }

    /// Connects and listens to everything that was listened to before. Whatever was said meanwhile was missed: the rooms are told.
    async fn establish(self: &Arc<Self>, link: &Arc<Link>) -> Result<Probed, BackendError> {
        let generation = link.next_generation();
        let (node, its) = (self.weak(), Arc::downgrade(link));
        let on_push = move |push| {
            if let (Some(node), Some(link)) = (node.upgrade(), its.upgrade()) {
                node.on_push(&link, generation, &push);
            }
        };
        let wire = self.connector.connect(on_push).await.map_err(|error| self.at(&error))?;
        self.listen_again(link, wire.clone()).await.map_err(|error| self.at(&error))?;
        // Nothing is decided in a room of which something may have been missed.
        link.set(Some(wire));
        self.mark_rooms_stale(link);
        self.announce_rooms().await?;
        for partition in (0..self.layout.partitions()).filter(|it| self.link_of(*it).number == link.number) {
            self.append_lost(partition).await?;
        }
        // Before it counts as up: one that refuses everything would be up for a moment, again and again.
        let probed = link.probe(&self.probes(link), self.timeout).await;
        probed.inspect_err(|error| self.faults.note(error))
    }

    /// Why there is no connection, and to where.
    fn at(&self, error: &redis::RedisError) -> BackendError {
        let error = match translate(error) {
            BackendError::Unreachable(why) => BackendError::Unreachable(format!("{}: {why}", self.connector.at())),
            other => other,
        };
        self.faults.note(&error);
        error
    }

    async fn listen_again(&self, link: &Link, mut wire: Wire) -> Result<(), redis::RedisError> {
        // One by one: on a Redis Cluster each may be on another shard.
        for probe in self.probes(link) {
            wire.listen(&[probe.channel]).await?;
        }
        if link.number == 0 {
            wire.listen(std::slice::from_ref(&self.channel)).await?;
        }
        let rooms: Vec<_> = link.rooms.iter().map(|room| room.clone()).collect();
        self.metrics.resubscribed.inc_by(rooms.len() as u64);
        let mut by_partition: Vec<Vec<String>> = vec![Vec::new(); usize::from(self.layout.partitions())];
        for room in &rooms {
            if let Some(channels) = by_partition.get_mut(usize::from(self.layout.partition(room))) {
                channels.push(self.layout.room(room));
            }
        }
        for batch in by_partition.iter().flat_map(|channels| channels.chunks(BATCH)) {
            wire.listen(batch).await?;
        }
        self.mark_rooms_stale(link);
        Ok(())
    }

    /// Each is read before anything is decided in it, and soon.
    fn mark_rooms_stale(&self, link: &Link) {
        let Some(events) = self.events() else { return };
        for room in link.rooms.iter() {
            events.stale(&room);
        }
    }

    /// What shows whether this link hears and is obeyed. One is enough for one server; each shard of a cluster has its own.
    fn probes(&self, link: &Link) -> Vec<Probe> {
        let partitions = (0..self.layout.partitions()).filter(|it| self.link_of(*it).number == link.number);
        let wanted = if self.cluster { usize::MAX } else { 1 };
        // Of this connection alone: an earlier one may still hear, but nobody listens to it.
        let which = format!("{}.{}", link.number, link.generation());
        let probe = |partition| {
            let channel = self.layout.probe(partition, &self.name, &which);
            let mut call = PROBE.prepare_invoke();
            for kind in ["hash", "list", "sorted", "stream", "string", "set"] {
                call.key(self.layout.probed(partition, &self.name, link.number, kind));
            }
            Probe { channel, call }
        };
        partitions.take(wanted).map(probe).collect()
    }

    /// Until the link has to be made anew; says why.
    async fn watch(&self, link: &Link, trouble: &mut Option<Instant>) -> String {
        let probes = self.probes(link);
        loop {
            // What is refused is asked for again whatever the settings say: nothing else would show that it no longer is.
            let pause = match self.probe {
                Duration::ZERO if link.is_refused() => AGAIN,
                pause => pause,
            };
            tokio::select! {
                () = link.broken() => return ENDED.to_owned(),
                () = link.doubted() => {}
                () = sleep(pause), if !pause.is_zero() => {}
            }
            let found = tokio::select! {
                () = link.broken() => return ENDED.to_owned(),
                found = link.probe(&probes, self.timeout) => found,
            };
            match found {
                Ok(found) => {
                    self.metrics.probe.record(link.number, found.took, !self.probe.is_zero());
                    self.report(link, &found, trouble);
                }
                Err(error) => {
                    self.faults.count(&error);
                    return error.to_string();
                }
            }
        }
    }
}
