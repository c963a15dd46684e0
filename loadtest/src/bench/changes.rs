//! Changes of rooms, and signals between members: all servers run, but only one is under load at a time.

use anyhow::{Result, ensure};

use super::{
    cluster::{self, Follower},
    run::Bench,
};
use crate::{
    load::{CORRECT, LoadRun, MEMBERS, Message, Plan, prefix},
    measure::{Spent, compare_rounds},
    report::{Rule, Shape, Sheet},
    scenario::zero,
    servers::{Deployment, Kind},
    units::grouped,
    workers::Workers,
};

/// Bound for the CPU of a delivery of tandem, divided by that of the relay.
const MAX_BY_RELAY: f64 = 2.0;

/// The same in a benchmark of a cluster, whose rounds may be short.
const MAX_BY_RELAY_LOOSE: f64 = 5.0;

/// Bound for the CPU of a delivery of a cluster with Redis, divided by that of a single node. It is generous, because it must hold on
/// machines that do other things meanwhile.
const MAX_BY_TANDEM: f64 = 10.0;

/// Bound for the CPU of a delivery of a cluster, divided by that of as many nodes of a peer.
const MAX_BY_PEER: f64 = 2.0;

struct Contestant {
    kind: Kind,
    deployment: Deployment,
    run: LoadRun,
    follower: Option<Follower>,
}

#[derive(Debug, Clone, Copy)]
struct Load {
    message: Message,
    rooms: u32,
    members: u32,
    senders: u32,
    per_second: u64,
}

pub(super) async fn measure(bench: &mut Bench<'_>) -> Result<()> {
    let (load, senders) = (&bench.options.load, bench.options.senders);
    let load = Load {
        message: senders.message(),
        rooms: load.rooms,
        members: MEMBERS,
        senders: senders.senders,
        per_second: load.per_second(),
    };
    let kinds = bench.options.kinds();
    let contestants = play(bench, &kinds, load, "changes").await?;
    let mut sheet = Sheet::new(&format!("Changes in rooms of {MEMBERS}"), Shape::Servers);
    report(bench, &mut sheet, &contestants, "delivery")?;
    for kind in kinds {
        bench.rules.extend(zero(&format!("{}_", kind.name()), &CORRECT));
    }
    bench.report.sheets.push(sheet);
    for contestant in contestants {
        let Contestant { kind, deployment, run, follower } = contestant;
        let made = run.outcome().made();
        drop(run);
        if let Some(follower) = follower {
            cluster::finish(bench, follower, &deployment, made).await?;
        }
        stop(bench, kind, deployment).await?;
    }
    Ok(())
}

/// Measures signals between members on different nodes, on the servers that have several.
pub(super) async fn measure_signals(bench: &mut Bench<'_>) -> Result<()> {
    let load = Load {
        message: bench.options.signal(),
        rooms: bench.options.pairs,
        members: 2,
        senders: 2,
        per_second: bench.options.signals.into(),
    };
    let kinds = bench.options.clustered_kinds();
    let contestants = play(bench, &kinds, load, "signals").await?;
    let mut sheet = Sheet::new("Signals between nodes", Shape::Servers);
    report(bench, &mut sheet, &contestants, "signal")?;
    // What a peer loses is shown, but breaks no rule.
    for kind in kinds.iter().filter(|kind| kind.is_cluster()) {
        bench.rules.extend(zero(&format!("{}_signal_", kind.name()), &CORRECT));
    }
    bench.report.sheets.push(sheet);
    for contestant in contestants {
        drop(contestant.run);
        stop(bench, contestant.kind, contestant.deployment).await?;
    }
    Ok(())
}

async fn stop(bench: &mut Bench<'_>, kind: Kind, deployment: Deployment) -> Result<()> {
    bench.progress.step(&format!("{}: stopping", kind.name()));
    bench.report.warnings.extend(deployment.stop().await?);
    Ok(())
}

/// Starts all servers, joins and warms up, and plays the rounds in turns; another server goes first in each round.
async fn play(bench: &mut Bench<'_>, kinds: &[Kind], load: Load, what: &str) -> Result<Vec<Contestant>> {
    let (progress, seconds, rounds) = (bench.progress, bench.options.load.seconds, bench.options.load.rounds);
    let mut contestants = Vec::new();
    for kind in kinds {
        contestants.push(prepare(bench, *kind, load, what).await?);
    }
    let rate = grouped(load.per_second);
    for round in 1..=rounds {
        for Contestant { kind, deployment, run, follower } in &mut contestants {
            progress.step(&format!("{}: {rate} {what}/s for {seconds} s, round {round} of {rounds}", kind.name()));
            if let Some(follower) = follower {
                follower.begin(deployment).await?;
            }
            run.round(load.per_second, seconds, progress).await?;
            if let Some(follower) = follower {
                follower.end(deployment).await?;
            }
        }
        contestants.rotate_left(1);
    }
    contestants.sort_by_key(|it| kinds.iter().position(|kind| *kind == it.kind));
    Ok(contestants)
}

async fn prepare(bench: &Bench<'_>, kind: Kind, load: Load, what: &str) -> Result<Contestant> {
    let (name, progress) = (kind.name(), bench.progress);
    let Load { message, rooms, members, senders, per_second } = load;
    progress.step(&format!("{name}: starting for {what}"));
    let mut deployment = bench.launcher.start(kind, what).await?;
    let mut follower = None;
    if kind.is_cluster() && !message.is_signal() {
        // The commands are counted before the worker adds its own.
        if kind == Kind::Cluster {
            follower = Some(Follower::start(&deployment, progress).await?);
        }
        deployment.start_worker().await?;
    }
    progress.step(&format!("{name}: joining {} sockets", grouped(u64::from(rooms * members))));
    let plan = Plan::new(deployment.targets(), deployment.peer(), rooms, members, &bench.options.clients(kind));
    let workers = Workers::local(plan.sending(message, senders));
    let mut run = LoadRun::start(workers, deployment.groups(), progress).await?;
    progress.detail(&format!("{name}: warming up"));
    run.warm_up(per_second, progress).await?;
    Ok(Contestant { kind, deployment, run, follower })
}

/// Reports all contestants, and compares those of tandem with the others.
fn report(bench: &mut Bench<'_>, sheet: &mut Sheet, contestants: &[Contestant], operation: &str) -> Result<()> {
    for Contestant { kind, run, .. } in contestants {
        run.report(sheet, kind.name(), operation);
        let error = run.outcome().first_error.as_ref();
        bench.report.errors.extend(error.map(|error| format!("{}: {error}", kind.name())));
    }
    let spent = |kind| contestants.iter().find(|it| it.kind == kind).map(|it| (it.kind, it.run.spent()));
    let bounds = compare(sheet, operation, spent)?;
    // The bounds are for deliveries; signals and joins are only shown.
    if prefix(operation).is_empty() {
        let cluster = bench.options.cluster;
        bench.bounds.extend(bounds.iter().map(|(_, theirs, figure)| Rule::at_most(figure, bound(*theirs, cluster))));
    }
    Ok(())
}

/// The bound for the CPU of tandem, divided by that of another server.
fn bound(theirs: Kind, in_cluster_benchmark: bool) -> f64 {
    match theirs {
        Kind::Relay if in_cluster_benchmark => MAX_BY_RELAY_LOOSE,
        Kind::Relay => MAX_BY_RELAY,
        Kind::Tandem => MAX_BY_TANDEM,
        _ => MAX_BY_PEER,
    }
}

/// The CPU of tandem divided by that of others, as the median of the rounds. Returns who is compared with whom, and the figure.
pub(super) fn compare<'a>(
    sheet: &mut Sheet,
    operation: &str,
    spent: impl Fn(Kind) -> Option<(Kind, &'a [Spent])>,
) -> Result<Vec<(Kind, Kind, String)>> {
    let pairs = [
        (Kind::Tandem, Kind::Relay),
        (Kind::Cluster, Kind::Tandem),
        (Kind::Cluster, Kind::SocketIo),
        (Kind::Cluster, Kind::Centrifugo),
        (Kind::ClusterResume, Kind::SocketIo),
        (Kind::ClusterResume, Kind::CentrifugoHistory),
    ];
    let mut compared = Vec::new();
    // A single node is compared with a single Centrifugo; beside a cluster, there are several of that.
    let alone = [(Kind::Tandem, Kind::Centrifugo), (Kind::Tandem, Kind::CentrifugoHistory)];
    let alone = alone.into_iter().filter(|_| spent(Kind::Cluster).is_none());
    for (ours, theirs) in pairs.into_iter().chain(alone) {
        let (Some((_, own)), Some((_, other))) = (spent(ours), spent(theirs)) else { continue };
        let rounds = compare_rounds(own, other);
        ensure!(
            !rounds.is_empty(),
            "the rounds are too short to measure the CPU of {}: use more --seconds",
            theirs.name()
        );
        let figure = format!("{operation}_by_{}_cpu_ratio", theirs.name());
        sheet.set_rounds(ours.name(), &figure, rounds);
        compared.push((ours, theirs, format!("{}_{figure}", ours.name())));
    }
    Ok(compared)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Report;

    /// The ratios when servers of these kinds spent so many microseconds for each delivery in each round.
    fn ratios(servers: &[(Kind, &[u64])]) -> (Sheet, Vec<(Kind, Kind, String)>) {
        let servers: Vec<(Kind, Vec<Spent>)> = servers
            .iter()
            .map(|(kind, rounds)| (*kind, rounds.iter().map(|micros| Spent::of_nodes(*micros)).collect()))
            .collect();
        let spent = |kind| servers.iter().find(|it| it.0 == kind).map(|(kind, spent)| (*kind, spent.as_slice()));
        let mut sheet = Sheet::new("", Shape::Servers);
        let compared = compare(&mut sheet, "delivery", spent).unwrap();
        (sheet, compared)
    }

    #[test]
    fn a_ratio_above_its_bound_fails_the_check() {
        for (relay, holds) in [(6, true), (4, false)] {
            let (sheet, compared) = ratios(&[(Kind::Tandem, &[10, 12, 11]), (Kind::Relay, &[relay, relay, relay])]);
            let rules: Vec<Rule> =
                compared.iter().map(|(_, theirs, figure)| Rule::at_most(figure, bound(*theirs, false))).collect();
            let mut report = Report::new("bench");
            report.sheets.push(sheet);
            assert_eq!(report.judge(&rules), [holds], "{rules:?}");
        }
    }

    #[test]
    fn a_cluster_is_compared_with_its_like() {
        let kinds = [
            Kind::Cluster,
            Kind::ClusterResume,
            Kind::Tandem,
            Kind::Relay,
            Kind::SocketIo,
            Kind::Centrifugo,
            Kind::CentrifugoHistory,
        ];
        let all: Vec<(Kind, &[u64])> = kinds.map(|kind| (kind, [10].as_slice())).to_vec();
        let (_, compared) = ratios(&all);
        let figures: Vec<&str> = compared.iter().map(|(_, _, figure)| figure.as_str()).collect();
        assert_eq!(
            figures[..3],
            [
                "tandem_delivery_by_relay_cpu_ratio",
                "cluster_delivery_by_tandem_cpu_ratio",
                "cluster_delivery_by_socket.io_cpu_ratio"
            ]
        );
        assert_eq!(compared.len(), 6);
        // Without a cluster, Centrifugo is a single node too.
        let (_, alone) = ratios(&[all[2], all[3], all[5]]);
        assert_eq!(alone[1].2, "tandem_delivery_by_centrifugo_cpu_ratio");
    }
}
