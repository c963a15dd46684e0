//! What is only measured on a cluster: commands of Redis for each change, two members that send at once, and the ledger.

use anyhow::{Context, Result};
use redis::aio::MultiplexedConnection;

use super::{
    round_trips::{self, RoundTrips},
    run::Bench,
};
use crate::{
    load::{CORRECT, LoadRun, MEMBERS, Message, Plan},
    measure::{Audit, Done, RedisInfo},
    progress::Progress,
    report::{Shape, Sheet},
    scenario::zero,
    servers::{Deployment, Kind},
    units::{float, per},
    workers::Workers,
};

/// Rooms in which two members send at once, at most.
const CLASH_ROOMS: u32 = 50;

/// Counts what a cluster does during a benchmark.
#[derive(Debug)]
pub(super) struct Follower {
    redis: MultiplexedConnection,
    trips: RoundTrips,
    before: Option<(RedisInfo, u64)>,
    /// Counters and conflicts of each round.
    rounds: Vec<(RedisInfo, u64)>,
}

impl Follower {
    /// Counts round trips of a cluster that does nothing else.
    pub(super) async fn start(cluster: &Deployment, progress: &Progress) -> Result<Self> {
        let redis = cluster.redis().context("a cluster has a Redis")?;
        let trips = round_trips::count(cluster.targets(), redis, progress).await?;
        Ok(Self { redis: redis.connect().await?, trips, before: None, rounds: Vec::new() })
    }

    pub(super) async fn begin(&mut self, cluster: &Deployment) -> Result<()> {
        self.before = Some((RedisInfo::read(&mut self.redis).await?, cluster.conflicts().await?));
        Ok(())
    }

    pub(super) async fn end(&mut self, cluster: &Deployment) -> Result<()> {
        if let Some((info, conflicts)) = self.before.take() {
            let since = RedisInfo::read(&mut self.redis).await? - info;
            self.rounds.push((since, cluster.conflicts().await? - conflicts));
        }
        Ok(())
    }

    /// Reports the commands and bytes of Redis for each change.
    fn report(&self, sheet: &mut Sheet, changes: u64) {
        let each =
            |pick: fn(&RedisInfo) -> u64| per(float(self.rounds.iter().map(|(info, _)| pick(info)).sum()), changes);
        let conflicts: u64 = self.rounds.iter().map(|(_, conflicts)| conflicts).sum();
        sheet.set("", "cluster_conflicts", float(conflicts));
        sheet.set("", "cluster_change_redis_scripts", each(|it| it.calls("evalsha")));
        sheet.set("", "cluster_change_redis_commands", each(|it| it.commands));
        sheet.set("", "cluster_change_redis_in_bytes", each(|it| it.bytes_in));
        sheet.set("", "cluster_change_redis_out_bytes", each(|it| it.bytes_out));
    }
}

/// Reports what was counted, lets two members send at once, and compares the ledger with all that and with the `made` changes.
pub(super) async fn finish(bench: &mut Bench<'_>, follower: Follower, cluster: &Deployment, made: u64) -> Result<()> {
    let load = &bench.options.load;
    let changes = load.per_second() * u64::from(load.seconds) * u64::from(load.rounds);
    let mut sheet = Sheet::new("Cluster", Shape::Single);
    bench.rules.extend(follower.trips.report(&mut sheet));
    bench.report.errors.extend(follower.trips.errors());
    follower.report(&mut sheet, changes);
    let mut made = made + u64::from(round_trips::TIMES);
    if bench.options.clash > 0 {
        made += clash(bench, cluster, &mut sheet).await?;
    }
    if let Some(audit) = cluster.audit(&[Done::times("PLAY_PAUSE", made)]).await? {
        bench.report.errors.extend(audit.report(&mut sheet, ""));
        bench.rules.extend(Audit::RULES.iter().map(|rule| rule.parse()).collect::<Result<Vec<_>>>()?);
    }
    if let Some(postgres) = cluster.postgres() {
        bench.report.notes.push(format!("PostgreSQL: {}", postgres.durability().await?));
    }
    bench.report.sheets.push(sheet);
    Ok(())
}

/// Lets two members on two nodes send at the same moment; returns the changes that were made.
async fn clash(bench: &mut Bench<'_>, cluster: &Deployment, sheet: &mut Sheet) -> Result<u64> {
    let rooms = bench.options.load.rooms.min(CLASH_ROOMS);
    let clients = bench.options.clients(Kind::Cluster);
    let plan = Plan::new(cluster.targets(), cluster.peer(), rooms, MEMBERS, &clients);
    let plan = Plan { together: true, ..plan.sending(Message::Change { bytes: 0 }, 2) };
    let per_second = u64::from(rooms * 2 * bench.options.clash);
    bench.progress.step(&format!("cluster: {rooms} rooms in which two members send at once"));
    let mut run = LoadRun::start(Workers::local(plan), Vec::new(), bench.progress).await?;
    run.warm_up(per_second, bench.progress).await?;
    let before = cluster.conflicts().await?;
    run.round(per_second, bench.options.load.seconds, bench.progress).await?;
    let conflicts = cluster.conflicts().await? - before;
    run.report(sheet, "", "clash");
    let changes = run.outcome().latency.count() / u64::from(MEMBERS);
    sheet.set("", "clash_conflicts", float(conflicts));
    sheet.set("", "clash_change_conflicts", per(float(conflicts), changes));
    bench.rules.extend(zero("clash_", &CORRECT));
    bench.report.errors.extend(run.outcome().first_error.as_ref().map(|error| format!("two at once: {error}")));
    Ok(run.outcome().made())
}
