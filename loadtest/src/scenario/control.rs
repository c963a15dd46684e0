//! Hosts that play and pause: what does one delivered message cost, how long does it take, and does every one arrive?

use std::{iter::Sum, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use crate::{
    client::Peer,
    fleet::{Cast, Manners},
    latency::Summary,
    meter::{Meter, Part},
    probe::{Cpu, Probe},
    progress::Progress,
    report::{Column, Report},
    stage::Stage,
    tally::Faults,
    target::Target,
    units::{median, per},
};

/// The size of the load.
#[derive(Debug, Clone, Args)]
pub(crate) struct Load {
    /// Rooms of 4
    #[arg(long, value_name = "N", default_value_t = 250, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) rooms: u32,
    /// Messages a second in each room; each is delivered to 4
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=90))]
    pub(crate) rate: u32,
    /// Seconds of a round
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=600))]
    pub(crate) seconds: u32,
    /// Rounds that are counted; one more goes before them to warm up
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) rounds: u32,
}

/// Options of `loadtest control`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The running server; must be on this machine
    #[arg(long, default_value = "ws://127.0.0.1:4001/ws")]
    url: Target,
    /// What kind of server it is
    #[arg(long, value_enum, default_value_t = Peer::Tandem)]
    peer: Peer,
    /// Process id of the server, to measure its CPU
    #[arg(long)]
    pid: Option<u32>,
    /// Write the figures to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(flatten)]
    load: Load,
    #[command(flatten)]
    manners: Manners,
}

/// `loadtest control`.
pub(crate) async fn run(options: &Options, progress: &Progress) -> Result<ExitCode> {
    let probe = options.pid.map(Probe::new).transpose()?;
    let Load { rooms, rate, seconds, rounds } = options.load;
    progress.step(&format!("{rooms} rooms on {}", options.url));
    let meters = probe.map(|probe| Meter::new("server", [probe])).into_iter().collect();
    let cast = Cast {
        targets: std::slice::from_ref(&options.url),
        peer: options.peer,
        rooms,
        senders: 1,
        manners: &options.manners,
    };
    let mut stage = Stage::set(&cast, meters, progress).await?;
    progress.step("warming up");
    stage.warm_up(rate).await?;
    for round in 1..=rounds {
        progress.step(&format!("round {round} of {rounds}, {seconds} s"));
        stage.round(rate, seconds).await?;
    }
    let mut report = Report::new();
    report.columns.push(Column { name: options.peer.name(), idle: None, control: Some(stage.figures()) });
    report.finish(progress, options.json.as_deref(), false)
}

/// What was measured.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figures {
    /// Messages sent by the hosts, warm-up included.
    pub(crate) sent: u64,
    /// Deliveries there should be.
    pub(crate) expected: u64,
    /// Different deliveries there were.
    pub(crate) delivered: u64,
    /// Messages the generator could not even hand to a client.
    pub(crate) unsent: u64,
    /// What was wrong with the deliveries.
    pub(crate) faults: Faults,
    /// ERROR frames and closed sockets.
    pub(crate) complaints: u64,
    /// The first of them.
    pub(crate) first_complaint: Option<String>,
    /// From the time a message was due to the time it arrived.
    pub(crate) latency: Summary,
    /// How late the generator was by itself.
    pub(crate) generator_lag: Summary,
    /// The server's CPU time, median of the rounds; `None` when its process is not known.
    pub(crate) cpu: Option<Share>,
    /// The same, round by round.
    pub(crate) rounds: Vec<Share>,
    /// The same, by the parts that the server consists of.
    pub(crate) parts: Vec<Part>,
}

impl Figures {
    /// Whether every delivery arrived once and in order.
    pub(crate) fn correct(&self) -> bool {
        self.faults.none() && self.unsent == 0 && self.complaints == 0
    }
}

/// CPU time by delivery, in microseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Share {
    /// In the program.
    #[serde(rename = "user_us")]
    pub(crate) user: f64,
    /// In the kernel.
    #[serde(rename = "system_us")]
    pub(crate) system: f64,
    /// Both.
    #[serde(rename = "total_us")]
    pub(crate) total: f64,
}

impl Share {
    /// Shares the time out.
    pub(crate) fn new(cpu: Cpu, deliveries: u64) -> Self {
        let share = |span: Duration| per(span.as_secs_f64() * 1e6, deliveries);
        Self { user: share(cpu.user), system: share(cpu.system), total: share(cpu.total()) }
    }

    /// The median of each figure by itself.
    pub(crate) fn median(rounds: &[Self]) -> Option<Self> {
        Some(Self {
            user: median(rounds.iter().map(|round| round.user))?,
            system: median(rounds.iter().map(|round| round.system))?,
            total: median(rounds.iter().map(|round| round.total))?,
        })
    }
}

impl Sum for Share {
    fn sum<I: Iterator<Item = Self>>(each: I) -> Self {
        each.fold(Self { user: 0.0, system: 0.0, total: 0.0 }, |sum, share| Self {
            user: sum.user + share.user,
            system: sum.system + share.system,
            total: sum.total + share.total,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_taken_of_each_figure() {
        let share = |total: f64| Share { user: total / 4.0, system: total * 0.75, total };
        let middle = Share::median(&[share(4.0), share(100.0), share(8.0)]).unwrap();
        assert!((middle.total - 8.0).abs() < 1e-9);
        assert!((middle.user - 2.0).abs() < 1e-9);
        assert!(Share::median(&[]).is_none());
    }

    #[test]
    fn cpu_is_shared_out_among_the_deliveries() {
        let cpu = Cpu { user: Duration::from_millis(20), system: Duration::from_millis(60) };
        let share = Share::new(cpu, 8_000);
        assert!((share.user - 2.5).abs() < 1e-9);
        assert!((share.total - 10.0).abs() < 1e-9);
    }
}
