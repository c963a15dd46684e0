//! What is asked of a cluster beside what is asked of everybody.

use anyhow::Result;
use redis::aio::MultiplexedConnection;
use serde::Serialize;

use super::Options;
use crate::{
    audit::{Audit, Done},
    backing::Counters,
    client::Peer,
    cluster::Cluster,
    crew::Crew,
    fleet::{Cast, MEMBERS},
    meter::Meters,
    progress::Progress,
    scenario::{
        control,
        trips::{self, Trips},
    },
    trial::Trial,
    units::{float, per},
};

/// Rooms in which two members send at once, at the most.
const CLASH_ROOMS: u32 = 50;

/// What was measured of a cluster alone.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figures {
    /// Round trips, counted one by one.
    pub(crate) trips: Trips,
    /// What Redis counted while the hosts sent.
    pub(crate) redis: RedisShare,
    /// What happens when two members send at once, on two nodes.
    pub(crate) clash: Option<Clash>,
    /// What of all this is in PostgreSQL, where it is written there.
    pub(crate) ledger: Option<Audit>,
}

/// Redis' counters by change, over all rounds.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct RedisShare {
    /// Changes that were made.
    pub(crate) changes: u64,
    /// Decisions that were made anew.
    pub(crate) conflicts: u64,
    /// Scripts that were called, those for leases too.
    pub(crate) scripts: f64,
    /// Commands, those inside scripts too.
    pub(crate) commands: f64,
    /// Bytes that the nodes sent.
    pub(crate) bytes_in: f64,
    /// Bytes that they were sent.
    pub(crate) bytes_out: f64,
}

/// Two that send at once.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Clash {
    /// As of any load.
    pub(crate) figures: control::Figures,
    /// Decisions that were made anew.
    pub(crate) conflicts: u64,
}

impl Figures {
    /// Whether every change was one round trip, and nothing was lost where two sent at once.
    pub(crate) fn correct(&self) -> bool {
        let Trips { change, near_signal, far_signal, .. } = &self.trips;
        change.is(Some("EVALSHA"))
            && near_signal.is(None)
            && far_signal.is(Some("SPUBLISH"))
            && self.clash.as_ref().is_none_or(|clash| clash.figures.outcome.correct())
            && self.ledger.as_ref().is_none_or(Audit::correct)
    }
}

/// Follows a cluster through a bench.
#[derive(Debug)]
pub(super) struct Follower {
    redis: MultiplexedConnection,
    trips: Trips,
    before: Option<(Counters, u64)>,
    counted: Vec<(Counters, u64)>,
}

impl Follower {
    /// Counts round trips, then lets the worker begin.
    pub(super) async fn new(cluster: &mut Cluster, progress: &Progress) -> Result<Self> {
        let redis = cluster.redis().connect().await?;
        let trips = trips::count(&cluster.targets(), cluster.redis(), progress).await?;
        cluster.start_worker().await?;
        Ok(Self { redis, trips, before: None, counted: Vec::new() })
    }

    /// A round begins.
    pub(super) async fn begin(&mut self, cluster: &Cluster) -> Result<()> {
        self.before = Some((Counters::read(&mut self.redis).await?, cluster.conflicts().await?));
        Ok(())
    }

    /// It is over.
    pub(super) async fn end(&mut self, cluster: &Cluster) -> Result<()> {
        if let Some((counters, conflicts)) = self.before.take() {
            let since = Counters::read(&mut self.redis).await? - counters;
            self.counted.push((since, cluster.conflicts().await? - conflicts));
        }
        Ok(())
    }

    /// The figures, and the last parts of them: two that send at once, and what is in the ledger of these and of the changes that were
    /// `made` before.
    pub(super) async fn finish(
        self,
        cluster: &Cluster,
        made: u64,
        options: &Options,
        progress: &Progress,
    ) -> Result<Figures> {
        let control::Load { rooms, rate, seconds, rounds } = options.load;
        let changes = u64::from(rooms) * u64::from(rate) * u64::from(seconds) * u64::from(rounds);
        let share = |pick: fn(&Counters) -> u64| per(float(self.counted.iter().map(|(it, _)| pick(it)).sum()), changes);
        let redis = RedisShare {
            changes,
            conflicts: self.counted.iter().map(|(_, conflicts)| conflicts).sum(),
            scripts: share(|it| it.calls("evalsha")),
            commands: share(|it| it.commands),
            bytes_in: share(|it| it.bytes_in),
            bytes_out: share(|it| it.bytes_out),
        };
        let clash = if options.clash > 0 { Some(clash(cluster, options, progress).await?) } else { None };
        let made = made + self.trips.change.operations + clash.as_ref().map_or(0, |it| it.figures.outcome.made());
        let ledger = cluster.audit(&[Done::times("PLAY_PAUSE", made)]).await?;
        Ok(Figures { trips: self.trips, redis, clash, ledger })
    }
}

async fn clash(cluster: &Cluster, options: &Options, progress: &Progress) -> Result<Clash> {
    let rooms = options.load.rooms.min(CLASH_ROOMS);
    let targets = cluster.targets();
    let cast = Cast::new(targets, Peer::Tandem, (rooms, MEMBERS), &options.manners).with_senders(2);
    let per_second = u64::from(rooms * 2 * options.clash);
    progress.step(&format!("cluster: {rooms} rooms in which two send at once"));
    let mut trial = Trial::begin(Crew::new(cast), Meters::new(Vec::new()), progress).await?;
    trial.warm_up(per_second, progress).await?;
    let before = cluster.conflicts().await?;
    trial.round(per_second, options.load.seconds, progress).await?;
    Ok(Clash { figures: trial.figures(), conflicts: cluster.conflicts().await? - before })
}
