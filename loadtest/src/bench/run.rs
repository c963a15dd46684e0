use std::{process::ExitCode, time::Duration};

use anyhow::{Context, Result, ensure};

use super::{Options, cluster::Follower};
use crate::{
    contestant::{Contestant, Launcher, Running},
    crew::Crew,
    fleet::{Cast, MEMBERS},
    meter::Meters,
    peers::Ground,
    progress::Progress,
    report::{Check, Column, Ratio, Report, Subject},
    scenario::{control, idle},
    trial::Trial,
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
    let centrifugo = options.peers.centrifugo.as_deref();
    contestants.extend(centrifugo.map(|_| Contestant::Centrifugo));
    for path in [rival, centrifugo].into_iter().flatten() {
        // Before the others have run, not after.
        ensure!(path.exists(), "there is no {}", path.display());
    }
    let launcher = Launcher::new(&options.servers, options.nodes, DRAIN)?.with_rival(rival).with_centrifugo(centrifugo);
    let bench = Bench { options, progress, launcher, contestants };
    let mut report = Report::new();
    report.threads = Some(options.servers.threads());
    for contestant in &bench.contestants {
        report.columns.push(Column { name: contestant.name(), idle: None, control: None });
    }
    if options.sockets() > 0 {
        bench.idle(&mut report).await?;
    }
    bench.control(&mut report).await?;
    if options.cluster {
        let many = |it: &Contestant| !matches!(it, Contestant::Tandem | Contestant::Relay);
        let ground = Ground {
            options: &options.peers,
            launcher: &bench.launcher,
            contestants: bench.contestants.iter().copied().filter(many).collect(),
            rounds: (options.load.rounds, options.load.seconds),
            manners: &options.manners,
        };
        ground.measure(&mut report, progress).await?;
    }
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
    trial: Trial,
    follower: Option<Follower>,
}

impl Bench<'_> {
    /// One server after the other, each alone on the machine. A cluster's sockets are no others.
    async fn idle(&self, report: &mut Report) -> Result<()> {
        let rooms = (self.options.sockets() / MEMBERS).max(1);
        let hold = Duration::from_secs(self.options.settle.into());
        for (column, contestant) in report.columns.iter_mut().zip(&self.contestants) {
            let (name, peer) = (contestant.name(), contestant.peer());
            if !matches!(contestant, Contestant::Tandem | Contestant::Relay) {
                continue;
            }
            self.progress.step(&format!("{name}: {} idle sockets", grouped(u64::from(rooms * MEMBERS))));
            let running = self.launcher.start(*contestant, "idle").await?;
            let mut crew = Crew::new(Cast::new(running.targets(), peer, (rooms, MEMBERS), &self.options.manners));
            column.idle = Some(idle::measure(&mut crew, &running.meters(), hold, self.progress).await?);
            drop(crew);
            self.progress.detail(&format!("{name}: stopping"));
            report.warnings.extend(running.stop().await?);
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
        let control::Load { seconds, rounds, .. } = self.options.load;
        let per_second = self.options.load.per_second();
        let mut acts = Vec::new();
        for contestant in &self.contestants {
            acts.push(self.prepare(*contestant).await?);
        }
        for round in 1..=rounds {
            for act in &mut acts {
                let load = grouped(per_second);
                let name = act.contestant.name();
                self.progress
                    .step(&format!("round {round} of {rounds}, {name}: {load} messages a second for {seconds} s"));
                act.round(per_second, seconds, self.progress).await?;
            }
            acts.rotate_left(1);
        }
        for act in acts {
            let Act { contestant, mut running, trial, follower } = act;
            let (figures, made) = (trial.figures(), trial.haul().outcome.made());
            if let Some(column) = report.columns.iter_mut().find(|column| column.name == contestant.name()) {
                column.control = Some(figures);
            }
            drop(trial);
            if let (Some(follower), Some(cluster)) = (follower, running.cluster()) {
                report.cluster = Some(follower.finish(cluster, made, self.options, self.progress).await?);
            }
            self.progress.step(&format!("{}: stopping", contestant.name()));
            report.warnings.extend(running.stop().await?);
        }
        let limit = if self.options.cluster { LOOSE_RATIO_LIMIT } else { CPU_RATIO_LIMIT };
        compare(report, Contestant::Tandem, Contestant::Relay, Subject::CpuRatio, limit)?;
        if self.options.cluster {
            compare(report, Contestant::Cluster, Contestant::Tandem, Subject::ClusterRatio, CLUSTER_RATIO_LIMIT)?;
        }
        for (rival, subject) in
            [(Contestant::SocketIo, Subject::RivalRatio), (Contestant::Centrifugo, Subject::CentrifugoRatio)]
        {
            if self.contestants.contains(&rival) {
                compare(report, Contestant::Cluster, rival, subject, RIVAL_RATIO_LIMIT)?;
            }
        }
        Ok(())
    }

    async fn prepare(&self, contestant: Contestant) -> Result<Act> {
        let rooms = self.options.load.rooms;
        let name = contestant.name();
        self.progress.step(&format!("{name}: starting"));
        let mut running = self.launcher.start(contestant, "control").await?;
        let mut follower = None;
        if let Some(cluster) = running.cluster() {
            follower = Some(Follower::new(cluster, self.progress).await?);
        }
        self.progress.step(&format!("{name}: {rooms} rooms"));
        let cast = Cast::new(running.targets(), contestant.peer(), (rooms, MEMBERS), &self.options.manners);
        let crew = Crew::new(cast.with_senders(1));
        let mut trial = Trial::begin(crew, Meters::new(running.meters()), self.progress).await?;
        self.progress.detail(&format!("{name}: warming up"));
        trial.warm_up(self.options.load.per_second(), self.progress).await?;
        Ok(Act { contestant, running, trial, follower })
    }
}

impl Act {
    async fn round(&mut self, per_second: u64, seconds: u32, progress: &Progress) -> Result<()> {
        let watched = self.follower.as_mut().zip(self.running.cluster());
        let Some((follower, cluster)) = watched else {
            return self.trial.round(per_second, seconds, progress).await;
        };
        follower.begin(cluster).await?;
        self.trial.round(per_second, seconds, progress).await?;
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
