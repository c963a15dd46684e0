use std::{process::ExitCode, time::Duration};

use anyhow::{Context, Result, ensure};

use super::{Options, cluster::Follower};
use crate::{
    contestant::{Contestant, Launcher, Running},
    fleet::{Cast, MEMBERS},
    progress::Progress,
    report::{Check, Column, Ratio, Report, Subject},
    scenario::{control, idle},
    stage::Stage,
    units::{grouped, median},
};

/// RSS of an idle socket: hoped for, and allowed.
const RSS_AIM: f64 = 6.0 * 1024.0;
const RSS_LIMIT: f64 = 9.0 * 1024.0;

/// CPU of a delivery, by that of the relay.
const CPU_RATIO_LIMIT: f64 = 2.0;

/// The same beside a cluster, where short rounds are to do.
const LOOSE_RATIO_LIMIT: f64 = 5.0;

/// CPU of a delivery in a cluster, Redis and all, by that of a single node. Generous: it is to find what is out of all proportion, on
/// machines that do other things meanwhile.
const CLUSTER_RATIO_LIMIT: f64 = 10.0;

/// CPU of a delivery in a cluster, by that of as many nodes of Socket.IO that keep no state.
const RIVAL_RATIO_LIMIT: f64 = 2.0;

/// Seconds that a server has for its last sockets: nothing is measured any more by then.
const DRAIN: u32 = 1;

/// `loadtest bench`.
pub(crate) async fn run(options: &Options, progress: &Progress) -> Result<ExitCode> {
    let mut contestants = vec![Contestant::Tandem, Contestant::Relay];
    if options.cluster {
        contestants.insert(0, Contestant::Cluster);
    }
    let rival = options.socketio.as_deref();
    contestants.extend(rival.map(|_| Contestant::SocketIo));
    let launcher = Launcher::new(&options.servers, options.nodes, DRAIN)?.with_rival(rival);
    let bench = Bench { options, progress, launcher, contestants };
    let mut report = Report::new();
    for contestant in &bench.contestants {
        report.columns.push(Column { name: contestant.name(), idle: None, control: None });
    }
    if options.sockets() > 0 {
        bench.idle(&mut report).await?;
    }
    bench.control(&mut report).await?;
    report.finish(progress, options.json.as_deref(), options.check)
}

struct Bench<'a> {
    options: &'a Options,
    progress: &'a Progress,
    launcher: Launcher<'a>,
    contestants: Vec<Contestant>,
}

/// A contestant with its clients.
struct Act {
    contestant: Contestant,
    running: Running,
    stage: Stage,
    follower: Option<Follower>,
}

impl Bench<'_> {
    /// One server after the other, each alone on the machine. A cluster's sockets are no others.
    async fn idle(&self, report: &mut Report) -> Result<()> {
        let load = idle::Load {
            rooms: (self.options.sockets() / MEMBERS).max(1),
            hold: Duration::from_secs(self.options.settle.into()),
            manners: &self.options.manners,
        };
        for (column, contestant) in report.columns.iter_mut().zip(&self.contestants) {
            let (name, peer) = (contestant.name(), contestant.peer());
            if matches!(contestant, Contestant::Cluster | Contestant::SocketIo) {
                continue;
            }
            self.progress.step(&format!("{name}: {} idle sockets", grouped(u64::from(load.rooms * MEMBERS))));
            let Running::One(server) = self.launcher.start(*contestant, "idle").await? else { continue };
            let probe = Some(server.probe());
            column.idle = Some(idle::measure(server.target(), peer, probe, &load, self.progress).await?);
            self.progress.detail(&format!("{name}: stopping"));
            report.warnings.extend(server.stop().await?);
        }
        let tandem = report.columns.iter().find(|column| column.name == Contestant::Tandem.name());
        let rss = tandem.and_then(|column| column.idle.as_ref()?.server.as_ref());
        if let Some(value) = rss.map(|server| server.per_socket.rss) {
            let subject = Subject::RssPerSocket;
            report.checks.push(Check { subject, value, aim: RSS_AIM, limit: RSS_LIMIT });
        }
        Ok(())
    }

    /// All up, but only one under load at a time; who goes first changes with every round.
    async fn control(&self, report: &mut Report) -> Result<()> {
        let control::Load { rooms, rate, seconds, rounds } = self.options.load;
        let mut acts = Vec::new();
        for contestant in &self.contestants {
            acts.push(self.prepare(*contestant).await?);
        }
        for round in 1..=rounds {
            for act in &mut acts {
                let load = grouped(u64::from(rooms) * u64::from(rate));
                let name = act.contestant.name();
                self.progress
                    .step(&format!("round {round} of {rounds}, {name}: {load} messages a second for {seconds} s"));
                act.round(rate, seconds).await?;
            }
            acts.rotate_left(1);
        }
        for act in acts {
            let Act { contestant, mut running, stage, follower } = act;
            if let Some(column) = report.columns.iter_mut().find(|column| column.name == contestant.name()) {
                column.control = Some(stage.figures());
            }
            drop(stage);
            if let (Some(follower), Some(cluster)) = (follower, running.cluster()) {
                report.cluster = Some(follower.finish(cluster, self.options, self.progress).await?);
            }
            self.progress.step(&format!("{}: stopping", contestant.name()));
            report.warnings.extend(running.stop().await?);
        }
        let limit = if self.options.cluster { LOOSE_RATIO_LIMIT } else { CPU_RATIO_LIMIT };
        compare(report, Contestant::Tandem, Contestant::Relay, Subject::CpuRatio, limit)?;
        if self.options.cluster {
            compare(report, Contestant::Cluster, Contestant::Tandem, Subject::ClusterRatio, CLUSTER_RATIO_LIMIT)?;
        }
        if self.options.socketio.is_some() {
            compare(report, Contestant::Cluster, Contestant::SocketIo, Subject::RivalRatio, RIVAL_RATIO_LIMIT)?;
        }
        Ok(())
    }

    async fn prepare(&self, contestant: Contestant) -> Result<Act> {
        let control::Load { rooms, rate, .. } = self.options.load;
        let name = contestant.name();
        self.progress.step(&format!("{name}: starting"));
        let mut running = self.launcher.start(contestant, "control").await?;
        let mut follower = None;
        if let Some(cluster) = running.cluster() {
            follower = Some(Follower::new(cluster, self.progress).await?);
        }
        self.progress.step(&format!("{name}: {rooms} rooms"));
        let targets = running.targets();
        let manners = &self.options.manners;
        let cast = Cast { targets: &targets, peer: contestant.peer(), rooms, senders: 1, manners };
        let mut stage = Stage::set(&cast, running.meters(), self.progress).await?;
        self.progress.detail(&format!("{name}: warming up"));
        stage.warm_up(rate).await?;
        Ok(Act { contestant, running, stage, follower })
    }
}

impl Act {
    async fn round(&mut self, rate: u32, seconds: u32) -> Result<()> {
        let watched = self.follower.as_mut().zip(self.running.cluster());
        let Some((follower, cluster)) = watched else { return self.stage.round(rate, seconds).await };
        follower.begin(cluster).await?;
        self.stage.round(rate, seconds).await?;
        follower.end(cluster).await
    }
}

/// CPU of one by that of another, round by round, so that slow changes of the machine cancel out.
fn compare(report: &mut Report, of: Contestant, by: Contestant, subject: Subject, limit: f64) -> Result<()> {
    let totals = |contestant: Contestant| {
        let column = report.columns.iter().find(|column| column.name == contestant.name());
        let figures = column.and_then(|column| column.control.as_ref()).context("it was not measured")?;
        anyhow::Ok(figures.rounds.iter().map(|round| round.total).collect::<Vec<_>>())
    };
    let (ours, theirs) = (totals(of)?, totals(by)?);
    ensure!(theirs.iter().all(|total| *total > 0.0), "rounds too short to measure the CPU of {}", by.name());
    let rounds: Vec<f64> = ours.iter().zip(&theirs).map(|(ours, theirs)| ours / theirs).collect();
    let median = median(rounds.iter().copied()).context("no rounds")?;
    report.checks.push(Check { subject, value: median, aim: limit, limit });
    report.cpu_ratios.push(Ratio { of: of.name(), by: by.name(), median, rounds });
    Ok(())
}
