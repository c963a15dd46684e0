use std::{process::ExitCode, time::Duration};

use anyhow::{Result, ensure};

use super::{Options, changes, joins};
use crate::{
    load::{MEMBERS, Plan},
    progress::step,
    report::{Report, Rule, Sheet},
    scenario::{idle, zero},
    servers::{Kind, Launcher},
    units::grouped,
    workers::Workers,
};

/// Bytes of memory of an idle socket at most.
const MAX_SOCKET_BYTES: f64 = 9.0 * 1024.0;

/// A benchmark and its results so far.
pub(super) struct Bench<'a> {
    pub(super) options: &'a Options,
    pub(super) launcher: Launcher<'a>,
    pub(super) report: Report,
    /// Rules that must always hold.
    pub(super) rules: Vec<Rule>,
    /// Bounds of costs, which must hold with `--check`.
    pub(super) bounds: Vec<Rule>,
}

pub(crate) async fn run(options: &Options) -> Result<ExitCode> {
    ensure!(options.cluster || options.peers.socketio.is_none(), "--socketio runs beside a cluster: add --cluster");
    options.senders.check(options.load.rooms, MEMBERS, options.load.per_second())?;
    let nodes = if options.cluster { options.nodes } else { 1 };
    let launcher = Launcher::new(&options.servers, &options.peers, nodes)?;
    let report = Report::new("bench");
    let mut bench = Bench { options, launcher, report, rules: Vec::new(), bounds: Vec::new() };
    let threads = options.servers.threads();
    bench.report.notes.push(format!("threads of each node of tandem, and of the relay: {threads}"));
    if options.sockets() > 0 {
        bench.idle().await?;
    }
    changes::measure(&mut bench).await?;
    if options.cluster && options.signals > 0 {
        changes::measure_signals(&mut bench).await?;
    }
    if options.joins >= MEMBERS {
        joins::measure(&mut bench).await?;
    }
    if options.check {
        bench.rules.append(&mut bench.bounds);
    } else {
        bench.report.notes.push("the bounds of costs are only checked with --check".to_owned());
    }
    bench.report.finish(&bench.rules, &options.report)
}

impl Bench<'_> {
    /// Measures idle sockets of tandem and of the relay, one after the other. The sockets of a cluster are the same as those of tandem.
    async fn idle(&mut self) -> Result<()> {
        let rooms = (self.options.sockets() / MEMBERS).max(1);
        let hold = Duration::from_secs(self.options.settle.into());
        let mut sheet = Sheet::new("Idle sockets");
        for kind in [Kind::Tandem, Kind::Relay] {
            let name = kind.name();
            step(&format!("{name}: {} idle sockets", grouped(u64::from(rooms * MEMBERS))));
            let deployment = self.launcher.start(kind, "idle").await?;
            let clients = self.options.clients(kind);
            let plan = Plan::new(&deployment.targets(), deployment.peer(), rooms, MEMBERS, &clients);
            let mut workers = Workers::start(plan, self.options.workers).await?;
            let idle = idle::measure(&mut workers, &deployment.groups(), hold).await?;
            idle.report(&mut sheet, name);
            self.report.errors.extend(idle.first_error.map(|error| format!("{name}: {error}")));
            self.rules.extend(zero(&format!("{name}_"), &["idle_errors"]));
            drop(workers);
            deployment.stop().await?;
        }
        self.bounds.push(Rule::at_most("tandem_socket_rss_bytes", MAX_SOCKET_BYTES));
        self.report.sheets.push(sheet);
        Ok(())
    }
}
