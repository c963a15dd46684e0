//! Hosts that play and pause: what does one delivered message cost, how long does it take, and does every one arrive?

use std::{iter::Sum, process::ExitCode, sync::Arc, time::Duration};

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use crate::{
    audit::Done,
    client::Peer,
    crew::{Crew, Staff},
    crowd::{Record, Sampler},
    findings::{Findings, Output},
    fleet::{BUSIEST, Cast, MEMBERS, Manners},
    haul::Outcome,
    latency::Summary,
    meter::{Meters, Part},
    probe::Cpu,
    progress::Progress,
    trial::Trial,
    units::{float, grouped, median, per},
    venue::{Defaults, Venue, VenueOptions},
};

/// The size of the load.
#[derive(Debug, Clone, Args)]
pub(crate) struct Load {
    /// Rooms
    #[arg(long, value_name = "N", default_value_t = 250, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    pub(crate) rooms: u32,
    /// Messages a second in each room; each is delivered to all of its members
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=i64::from(BUSIEST)))]
    pub(crate) rate: u32,
    /// Seconds of a round
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=600))]
    pub(crate) seconds: u32,
    /// Rounds that are counted; one more goes before them to warm up
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) rounds: u32,
}

impl Load {
    /// Messages a second in all rooms together.
    pub(crate) fn per_second(&self) -> u64 {
        u64::from(self.rooms) * u64::from(self.rate)
    }
}

/// Options of `loadtest control`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    venue: VenueOptions,
    #[command(flatten)]
    load: Load,
    /// Members of each room; one of them sends
    #[arg(long, value_name = "N", default_value_t = MEMBERS, value_parser = clap::value_parser!(u32).range(2..=5_000))]
    members: u32,
    /// Messages a second in all rooms together, instead of --rate
    #[arg(long, value_name = "N", conflicts_with = "rate", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    total_rate: Option<u64>,
    /// What kind of server it is that runs at --url
    #[arg(long, value_enum, default_value_t = Peer::Tandem)]
    peer: Peer,
    #[command(flatten)]
    staff: Staff,
    #[command(flatten)]
    manners: Manners,
    #[command(flatten)]
    output: Output,
}

/// `loadtest control`.
pub(crate) async fn run(options: &Options, progress: &Progress) -> Result<ExitCode> {
    let (load, members) = (&options.load, options.members);
    let per_second = options.total_rate.unwrap_or(load.per_second());
    progress.step("control: starting");
    let servers = options.venue.clone().for_rooms_of(members);
    let venue = Venue::open(&servers, Defaults::NONE).await?;
    let record = Arc::new(Record::new());
    let sampler = Sampler::start(Arc::clone(&record), venue.meters());
    let cast = Cast::new(venue.targets().to_vec(), options.peer, (load.rooms, members), &options.manners);
    let rounds = Rounds { per_second, seconds: load.seconds, count: load.rounds };
    let trial = play(&venue, options.staff.hire(cast.with_senders(1)).await?, rounds, progress).await?;

    let mut findings = Findings::new("control");
    report(&trial, &mut findings);
    findings.figure("rooms", f64::from(load.rooms));
    findings.figure("members", f64::from(members));
    findings.figure("changes_per_second", float(per_second));
    findings.gauges(&record);
    let done = done(&trial);
    drop((sampler, trial));
    progress.step("control: stopping");
    venue.close(&done, &mut findings).await?;
    findings.conclude(&["unsent=0", "differing=0"], &options.output, progress)
}

/// What is sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rounds {
    /// Messages a second in all rooms together.
    pub(crate) per_second: u64,
    /// Seconds of a round.
    pub(crate) seconds: u32,
    /// How many there are.
    pub(crate) count: u32,
}

/// Brings the clients in and lets the hosts send.
pub(crate) async fn play(venue: &Venue<'_>, crew: Crew, rounds: Rounds, progress: &Progress) -> Result<Trial> {
    let Rounds { per_second, seconds, count } = rounds;
    progress.step(&format!("control: {} sockets", grouped(crew.sockets().into())));
    let mut trial = Trial::begin(crew, Meters::new(venue.meters_now()), progress).await?;
    progress.step(&format!("control: {} messages a second: warming up", grouped(per_second)));
    trial.warm_up(per_second, progress).await?;
    for round in 1..=count {
        progress.step(&format!("control: round {round} of {count}, {seconds} s"));
        trial.round(per_second, seconds, progress).await?;
    }
    Ok(trial)
}

/// What is to be in the ledger.
pub(crate) fn done(trial: &Trial) -> [Done; 2] {
    [Done::times("PLAY_PAUSE", trial.haul().outcome.made()), Done::times("USER_JOINED", trial.sockets().into())]
}

/// Says it in figures.
pub(crate) fn report(trial: &Trial, findings: &mut Findings) {
    let (haul, figures) = (trial.haul(), trial.figures());
    findings.figure("sockets", f64::from(trial.sockets()));
    for (name, value) in [
        ("sent", haul.outcome.sent),
        ("expected", haul.outcome.expected),
        ("delivered", haul.outcome.delivered),
        ("unsent", haul.outcome.unsent),
        ("lost", haul.outcome.faults.lost),
        ("doubled", haul.outcome.faults.doubled),
        ("out_of_order", haul.outcome.faults.out_of_order),
        ("differing", haul.outcome.faults.differing),
        ("complaints", haul.outcome.complaints),
    ] {
        findings.figure(name, float(value));
    }
    findings.distribution("latency", &haul.latency);
    findings.distribution("generator_lag", &haul.lag);
    if let Some(cpu) = figures.cpu {
        findings.figure("delivery_cpu_us", cpu.total);
        findings.figure("delivery_user_cpu_us", cpu.user);
        findings.figure("delivery_kernel_cpu_us", cpu.system);
    }
    for part in &figures.parts {
        let name = part.name.to_lowercase();
        findings.figure(&format!("delivery_{name}_cpu_us"), part.cpu.total);
        findings.figure(&format!("{name}_cpu_percent"), part.percent);
    }
    findings.complaints.extend(haul.outcome.first_complaint.clone());
}

/// What was measured.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figures {
    /// What was sent and what arrived.
    #[serde(flatten)]
    pub(crate) outcome: Outcome,
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
