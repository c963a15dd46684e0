//! The comparison: tandem and the bare relay on the same machine, under the same load, in turns.

use std::{
    env::current_exe,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use clap::Args;
use tempfile::TempDir;

use crate::{
    client::Peer,
    fleet::{MEMBERS, Manners},
    process::Server,
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

/// Options of `loadtest bench`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Idle sockets for the memory figure, in rooms of 4; 0 leaves that part out
    #[arg(long, value_name = "N", default_value_t = 8_000, value_parser = clap::value_parser!(u32).range(0..=200_000))]
    sockets: u32,
    /// Seconds the idle sockets settle before they are measured
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u32).range(2..=600))]
    settle: u32,
    #[command(flatten)]
    load: control::Load,
    #[command(flatten)]
    manners: Manners,
    /// The server [default: `tandem` beside this program]
    #[arg(long, value_name = "PATH")]
    server: Option<PathBuf>,
    /// A setting for the server, beside those the bench makes
    #[arg(long = "env", value_name = "KEY=VALUE", value_parser = parse_setting)]
    settings: Vec<(String, String)>,
    /// Write the figures to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Exit with 1 when a limit is missed, not only when a delivery is lost
    #[arg(long)]
    check: bool,
}

fn parse_setting(text: &str) -> Result<(String, String)> {
    let (key, value) = text.split_once('=').context("a setting looks like KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

/// `loadtest bench`.
pub(crate) async fn run(options: &Options, progress: &Progress) -> Result<ExitCode> {
    let bench = Bench::new(options, progress)?;
    let mut report = Report::new();
    for peer in [Peer::Tandem, Peer::Relay] {
        report.columns.push(Column { name: peer.name(), idle: None, control: None });
    }
    if options.sockets > 0 {
        bench.idle(&mut report).await?;
    }
    bench.control(&mut report).await?;
    report.finish(progress, options.json.as_deref(), options.check)
}

struct Bench<'a> {
    options: &'a Options,
    progress: &'a Progress,
    tandem: PathBuf,
    this: PathBuf,
    folder: TempDir,
}

impl<'a> Bench<'a> {
    fn new(options: &'a Options, progress: &'a Progress) -> Result<Self> {
        let this = current_exe().context("where is this program?")?;
        let tandem = options.server.clone().unwrap_or_else(|| this.with_file_name("tandem"));
        let tandem = tandem
            .canonicalize()
            .with_context(|| format!("no server at {}: build it with `cargo build --release`", tandem.display()))?;
        Ok(Self { options, progress, tandem, this, folder: tempfile::tempdir()? })
    }

    /// A fresh server; `purpose` names the folder for its data.
    async fn start(&self, peer: Peer, purpose: &str) -> Result<Server> {
        let folder = self.folder.path().join(format!("{}-{purpose}", peer.name()));
        std::fs::create_dir_all(&folder)?;
        let (program, arguments, settings): (&Path, &[&str], _) = match peer {
            Peer::Tandem => (&self.tandem, &["serve"], self.settings(&folder)),
            Peer::Relay => (&self.this, &["relay", "--leashed"], Vec::new()),
        };
        Server::start(peer.name(), program, arguments, &settings, &folder).await
    }

    fn settings(&self, folder: &Path) -> Vec<(String, String)> {
        let data = folder.join("data");
        let own = [
            ("HOST", "127.0.0.1".to_owned()),
            ("PORT", "0".to_owned()),
            ("LOG_FORMAT", "json".to_owned()),
            ("LOG_LEVEL", "info".to_owned()),
            // Nothing is measured any more when it stops.
            ("DRAIN_SECONDS", "1".to_owned()),
            ("TANDEM_DATA_DIR", data.to_string_lossy().into_owned()),
        ];
        let own = own.into_iter().map(|(key, value)| (key.to_owned(), value));
        own.chain(self.options.settings.iter().cloned()).collect()
    }

    /// One server after the other, each alone on the machine.
    async fn idle(&self, report: &mut Report) -> Result<()> {
        let load = idle::Load {
            rooms: (self.options.sockets / MEMBERS).max(1),
            hold: Duration::from_secs(self.options.settle.into()),
            manners: &self.options.manners,
        };
        for (column, peer) in report.columns.iter_mut().zip([Peer::Tandem, Peer::Relay]) {
            let sockets = grouped(u64::from(load.rooms * MEMBERS));
            self.progress.step(&format!("{}: {sockets} idle sockets", peer.name()));
            let server = self.start(peer, "idle").await?;
            let probe = Some(server.probe());
            column.idle = Some(idle::measure(server.target(), peer, probe, &load, self.progress).await?);
            self.progress.detail(&format!("{}: stopping", peer.name()));
            report.warnings.extend(server.stop().await?);
        }
        let rss = report.columns.first().and_then(|column| column.idle.as_ref()?.server.as_ref());
        if let Some(value) = rss.map(|server| server.per_socket.rss) {
            let subject = Subject::RssPerSocket;
            report.checks.push(Check { subject, value, aim: RSS_AIM, limit: RSS_LIMIT });
        }
        Ok(())
    }

    /// Both servers up, but only one under load at a time; who goes first changes with every round.
    async fn control(&self, report: &mut Report) -> Result<()> {
        let control::Load { rooms, rate, seconds, rounds } = self.options.load;
        let mut servers = Vec::new();
        let mut stages = Vec::new();
        for peer in [Peer::Tandem, Peer::Relay] {
            self.progress.step(&format!("{}: {rooms} rooms", peer.name()));
            let server = self.start(peer, "control").await?;
            let probe = Some(server.probe());
            let manners = &self.options.manners;
            let mut stage = Stage::set(server.target(), peer, probe, rooms, manners, self.progress).await?;
            self.progress.detail(&format!("{}: warming up", peer.name()));
            stage.warm_up(rate).await?;
            servers.push(server);
            stages.push((peer, stage));
        }
        for round in 1..=rounds {
            for (peer, stage) in &mut stages {
                let load = grouped(u64::from(rooms) * u64::from(rate));
                self.progress.step(&format!(
                    "round {round} of {rounds}, {}: {load} messages a second for {seconds} s",
                    peer.name(),
                ));
                stage.round(rate, seconds).await?;
            }
            stages.reverse();
        }
        stages.sort_by_key(|(peer, _)| *peer == Peer::Relay);
        for (column, (_, stage)) in report.columns.iter_mut().zip(&stages) {
            column.control = Some(stage.figures());
        }
        drop(stages);
        self.progress.step("stopping the servers");
        for server in servers {
            report.warnings.extend(server.stop().await?);
        }
        let ratio = ratio(&report.columns)?;
        let subject = Subject::CpuRatio;
        let (aim, limit) = (CPU_RATIO_LIMIT, CPU_RATIO_LIMIT);
        report.checks.push(Check { subject, value: ratio.median, aim, limit });
        report.cpu_ratio = Some(ratio);
        Ok(())
    }
}

/// CPU of the first column by that of the second, round by round, so that slow changes of the machine cancel out.
fn ratio(columns: &[Column]) -> Result<Ratio> {
    let totals: Vec<Vec<f64>> = columns
        .iter()
        .filter_map(|column| column.control.as_ref())
        .map(|figures| figures.rounds.iter().map(|round| round.total).collect())
        .collect();
    let [ours, theirs] = totals.as_slice() else { anyhow::bail!("two servers are compared") };
    ensure!(theirs.iter().all(|total| *total > 0.0), "rounds too short to measure the relay's CPU");
    let rounds: Vec<f64> = ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect();
    let median = median(rounds.iter().copied()).context("no rounds")?;
    Ok(Ratio { median, rounds })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_have_a_name_and_a_value() {
        assert_eq!(parse_setting("A=b=c").unwrap(), ("A".to_owned(), "b=c".to_owned()));
        assert!(parse_setting("A").is_err());
    }
}
