//! Changes of rooms, and signals between members: all servers run, but only one is under load at a time.

use anyhow::{Result, ensure};

use super::run::Bench;
use crate::{
    load::{CORRECT, LoadRun, MEMBERS, Message, Plan, Round, prefix},
    measure::{Spent, compare_rounds},
    progress::step,
    report::{Rule, Sheet},
    scenario::{close, zero},
    servers::{Deployment, Kind, Ledger},
    units::grouped,
    workers::Workers,
};

/// Bound for the CPU of a delivery of tandem, divided by that of the relay.
const MAX_BY_RELAY: f64 = 2.0;

/// The same, divided by that of bare sockets, which no server comes near that does anything.
const MAX_BY_FLOOR: f64 = 8.0;

/// The bound by the relay in a benchmark of a cluster, whose rounds may be short.
const MAX_BY_RELAY_LOOSE: f64 = 5.0;

/// Bound for the CPU of a delivery of a cluster with Redis, divided by that of a single node. It is generous, because it must hold on
/// machines that do other things meanwhile.
const MAX_BY_TANDEM: f64 = 10.0;

/// Bound for the CPU of a delivery of a cluster, divided by that of as many nodes of a peer.
const MAX_BY_PEER: f64 = 2.0;

/// What a change asks of Redis at most, by INFO: one script, and the commands that it calls.
const CHANGE: [(&str, f64); 2] = [("change_redis_scripts", 1.2), ("change_redis_commands", 7.5)];

/// What signals ask of Redis at most: one publication to another node, and nothing on the same node.
const SIGNAL: [(&str, f64); 2] = [("signal_redis_commands", 1.3), ("near_signal_redis_commands", 0.3)];

/// Seconds of signals between members on the same node.
const NEAR: u32 = 2;

struct Contestant {
    kind: Kind,
    deployment: Deployment,
    run: LoadRun,
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
    let mut sheet = Sheet::new(&format!("Changes in rooms of {MEMBERS}"));
    report(bench, &mut sheet, &contestants, "delivery")?;
    for contestant in contestants {
        let Contestant { kind, deployment, run } = contestant;
        step(&format!("{}: stopping", kind.name()));
        let done = [("PLAY_PAUSE", run.outcome().made())];
        drop(run);
        bench.rules.extend(zero(&format!("{}_", kind.name()), &CORRECT));
        bench.rules.extend(close(deployment, &done, (&mut sheet, kind.name()), &mut bench.report).await?);
    }
    // A worker asks Redis for something, too.
    if bench.options.cluster && bench.options.servers.ledger == Ledger::Streams {
        bench.rules.extend(round_trips(&CHANGE));
    }
    bench.report.sheets.push(sheet);
    Ok(())
}

/// Measures signals between members on different nodes, on the servers that have several.
pub(super) async fn measure_signals(bench: &mut Bench<'_>) -> Result<()> {
    let load = Load {
        message: Message::Candidate { bytes: bench.options.signal_bytes },
        rooms: bench.options.pairs,
        members: 2,
        senders: 2,
        per_second: bench.options.signals.into(),
    };
    let kinds = bench.options.clustered_kinds();
    let contestants = play(bench, &kinds, load, "signals").await?;
    let mut sheet = Sheet::new("Signals between nodes");
    report(bench, &mut sheet, &contestants, "signal")?;
    for Contestant { kind, deployment, run } in contestants {
        drop(run);
        // What a peer loses is shown, but breaks no rule.
        if kind.is_cluster() {
            bench.rules.extend(zero(&format!("{}_signal_", kind.name()), &CORRECT));
        }
        if kind == Kind::Cluster {
            step("cluster: signals on one node");
            let plan = load.plan(&deployment, 1, bench, kind);
            let mut run = LoadRun::start(Workers::start(plan, bench.options.workers).await?, &deployment, true).await?;
            run.round(Round::new(load.per_second, NEAR)).await?;
            run.report(&mut sheet, kind.name(), "near_signal");
        }
        step(&format!("{}: stopping", kind.name()));
        deployment.stop().await?;
    }
    bench.rules.extend(round_trips(&SIGNAL));
    bench.report.sheets.push(sheet);
    Ok(())
}

impl Load {
    /// Clients on the first so many nodes.
    fn plan(self, deployment: &Deployment, nodes: usize, bench: &Bench<'_>, kind: Kind) -> Plan {
        let targets: Vec<_> = deployment.targets().into_iter().take(nodes).collect();
        let plan = Plan::new(&targets, deployment.peer(), self.rooms, self.members, &bench.options.clients(kind));
        plan.sending(self.message, self.senders)
    }
}

/// Starts all servers, joins and warms up, and plays the rounds in turns; another server goes first in each round.
async fn play(bench: &mut Bench<'_>, kinds: &[Kind], load: Load, what: &str) -> Result<Vec<Contestant>> {
    let (seconds, rounds) = (bench.options.load.seconds, bench.options.load.rounds);
    let mut contestants = Vec::new();
    for kind in kinds {
        contestants.push(prepare(bench, *kind, load, what).await?);
    }
    let rate = grouped(load.per_second);
    for round in 1..=rounds {
        for Contestant { kind, run, .. } in &mut contestants {
            step(&format!("{}: {rate} {what}/s for {seconds} s, round {round} of {rounds}", kind.name()));
            run.round(Round::new(load.per_second, seconds)).await?;
        }
        contestants.rotate_left(1);
    }
    contestants.sort_by_key(|it| kinds.iter().position(|kind| *kind == it.kind));
    Ok(contestants)
}

async fn prepare(bench: &Bench<'_>, kind: Kind, load: Load, what: &str) -> Result<Contestant> {
    step(&format!("{}: starting for {what}", kind.name()));
    let mut deployment = bench.launcher.start(kind, what).await?;
    if !load.message.is_signal() {
        deployment.start_worker().await?;
    }
    let plan = load.plan(&deployment, usize::MAX, bench, kind);
    step(&format!("{}: joining {} sockets", kind.name(), grouped(plan.sockets().into())));
    let mut run = LoadRun::start(Workers::start(plan, bench.options.workers).await?, &deployment, true).await?;
    run.warm_up(load.per_second).await?;
    Ok(Contestant { kind, deployment, run })
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

/// The rules that a message asks no more of Redis than it has to.
fn round_trips(most: &[(&str, f64)]) -> Vec<Rule> {
    most.iter().map(|(figure, most)| Rule::at_most(&format!("{}_{figure}", Kind::Cluster.name()), *most)).collect()
}

/// The bound for the CPU of tandem, divided by that of another server.
fn bound(theirs: Kind, in_cluster_benchmark: bool) -> f64 {
    match theirs {
        Kind::Relay if in_cluster_benchmark => MAX_BY_RELAY_LOOSE,
        Kind::Relay => MAX_BY_RELAY,
        Kind::Floor => MAX_BY_FLOOR,
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
        (Kind::Tandem, Kind::Floor),
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
        let mut sheet = Sheet::new("");
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
