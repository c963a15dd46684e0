//! Sockets that are joined and do nothing: what does one cost, and is it given back?

use std::{
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use clap::Args;
use serde::Serialize;
use tokio::time::sleep;

use crate::{
    audit::Done,
    client::Peer,
    crew::{Crew, Staff},
    crowd::{Record, Sampler},
    findings::{Findings, Output},
    fleet::{Cast, MEMBERS, Manners},
    http,
    meter::Meter,
    probe::Memory,
    progress::Progress,
    target::Target,
    units::{float, grouped, per},
    venue::{Defaults, Venue, VenueOptions},
};

/// How long servers may take to find out that all sockets are gone.
const GONE: Duration = Duration::from_mins(1);

/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// Bytes of a megabyte, as everywhere in the figures.
const MEGABYTE: f64 = 1_048_576.0;

/// Options of `loadtest idle`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    venue: VenueOptions,
    /// Sockets, in rooms of --members
    #[arg(long, value_name = "N", default_value_t = 8_000, value_parser = clap::value_parser!(u32).range(2..=200_000))]
    sockets: u32,
    /// Members of each room
    #[arg(long, value_name = "N", default_value_t = MEMBERS, value_parser = clap::value_parser!(u32).range(2..=5_000))]
    members: u32,
    /// Seconds to hold them; they settle in the first half, and the second is measured
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(2..=3_600))]
    seconds: u32,
    /// Seconds between the break of all sockets and the next look at the memory
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    rest: u32,
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

/// What was measured.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figures {
    /// Sockets that joined.
    pub(crate) sockets: u64,
    /// Sockets that were gone at the end.
    pub(crate) closed: u64,
    /// Why the first of them went.
    pub(crate) first_close: Option<String>,
    /// How fast they came.
    pub(crate) joins_per_second: f64,
    /// The server's side, when its process is known: that of all nodes together.
    pub(crate) server: Option<ServerFigures>,
    /// The same of Redis, where there is one.
    pub(crate) redis: Option<ServerFigures>,
}

/// What the sockets cost the server.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ServerFigures {
    /// Before the first socket.
    pub(crate) before: Memory,
    /// With all sockets, at rest.
    pub(crate) after: Memory,
    /// Growth of each figure by socket, in bytes.
    pub(crate) per_socket: PerSocket,
    /// CPU at rest, in percent of one core.
    pub(crate) cpu_percent: f64,
}

/// Bytes by socket.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct PerSocket {
    /// Resident.
    #[serde(rename = "rss_bytes")]
    pub(crate) rss: f64,
    /// Resident, shared pages by their share.
    #[serde(rename = "pss_bytes")]
    pub(crate) pss: f64,
    /// Resident and nobody else's.
    #[serde(rename = "private_bytes")]
    pub(crate) private: f64,
}

impl PerSocket {
    fn new(before: Memory, after: Memory, sockets: u64) -> Self {
        let share = |before: u64, after: u64| per(float(after) - float(before), sockets);
        Self {
            rss: share(before.rss, after.rss),
            pss: share(before.pss, after.pss),
            private: share(before.private, after.private),
        }
    }
}

/// `loadtest idle`.
pub(crate) async fn run(options: &Options, progress: &Progress) -> Result<ExitCode> {
    let shape = ((options.sockets / options.members).max(1), options.members);
    progress.step("idle: starting");
    let servers = options.venue.clone().for_rooms_of(options.members);
    let venue = Venue::open(&servers, Defaults::NONE).await?;
    let record = Arc::new(Record::new());
    let sampler = Sampler::start(Arc::clone(&record), venue.meters());
    let meters = venue.meters_now();
    let cast = Cast::new(venue.targets().to_vec(), options.peer, shape, &options.manners);
    let mut crew = options.staff.hire(cast).await?;
    let hold = Duration::from_secs(options.seconds.into());

    progress.step(&format!("idle: {} sockets", grouped(crew.sockets().into())));
    let figures = measure(&mut crew, &meters, hold, progress).await?;
    let mut findings = Findings::new("idle");
    findings.figure("members", f64::from(options.members));
    report(&figures, &mut findings);

    progress.step("idle: all sockets break");
    let begun = Instant::now();
    crew.scatter(progress).await?;
    if options.peer == Peer::Tandem && !meters.is_empty() {
        let left = until_gone(venue.targets()).await?;
        findings.figure("break_noticed_ms", begun.elapsed().as_secs_f64() * 1e3);
        findings.figure("ghosts", left);
    }
    sleep(Duration::from_secs(options.rest.into())).await;
    let left = nodes(&meters).map(Meter::memory).transpose()?;

    progress.step("idle: all connect again");
    let joins_per_second = crew.gather(progress).await?;
    sleep(hold / 2).await;
    let again = nodes(&meters).map(Meter::memory).transpose()?;
    let (closed, first) = crew.complaints(progress).await?;
    findings.figure("again_joins_per_second", joins_per_second);
    findings.add("complaints", float(closed));
    findings.complaints.extend(first);
    if let (Some(server), Some(left), Some(again)) = (&figures.server, left, again) {
        aftermath(server, [left, again], figures.sockets, &mut findings);
    }

    findings.gauges(&record);
    drop((sampler, crew));
    progress.step("idle: stopping");
    venue.close(&[Done::times("USER_JOINED", 2 * figures.sockets)], &mut findings).await?;
    findings.conclude(&[], &options.output, progress)
}

/// Memory after the break, and when all are back.
fn aftermath(server: &ServerFigures, [left, again]: [Memory; 2], sockets: u64, findings: &mut Findings) {
    let kept = float(left.rss) - float(server.before.rss);
    let grown = float(server.after.rss) - float(server.before.rss);
    findings.figure("rss_left_mb", float(left.rss) / MEGABYTE);
    findings.figure("rss_again_mb", float(again.rss) / MEGABYTE);
    findings.figure("rss_given_back_percent", (1.0 - kept / grown.max(1.0)) * 100.0);
    findings.figure("rss_again_growth_percent", (float(again.rss) / float(server.after.rss).max(1.0) - 1.0) * 100.0);
    findings.figure("again_socket_rss_bytes", PerSocket::new(server.before, again, sockets).rss);
}

/// Says it in figures.
pub(crate) fn report(figures: &Figures, findings: &mut Findings) {
    findings.figure("sockets", float(figures.sockets));
    findings.figure("joins_per_second", figures.joins_per_second);
    findings.add("complaints", float(figures.closed));
    findings.complaints.extend(figures.first_close.clone());
    if let Some(server) = &figures.server {
        findings.figure("socket_rss_bytes", server.per_socket.rss);
        findings.figure("socket_pss_bytes", server.per_socket.pss);
        findings.figure("socket_private_bytes", server.per_socket.private);
        findings.figure("idle_cpu_percent", server.cpu_percent);
        findings.figure("rss_before_mb", float(server.before.rss) / MEGABYTE);
        findings.figure("rss_with_mb", float(server.after.rss) / MEGABYTE);
    }
    if let Some(redis) = &figures.redis {
        findings.figure("socket_redis_rss_bytes", redis.per_socket.rss);
        findings.figure("idle_redis_cpu_percent", redis.cpu_percent);
    }
}

/// The servers that hold the sockets come first.
fn nodes(meters: &[Meter]) -> Option<&Meter> {
    meters.first()
}

fn redis(meters: &[Meter]) -> Option<&Meter> {
    meters.iter().find(|meter| meter.part() == "Redis")
}

/// Brings the sockets in, lets them settle for half the time, and measures the other half.
pub(crate) async fn measure(crew: &mut Crew, meters: &[Meter], hold: Duration, progress: &Progress) -> Result<Figures> {
    let watched = [nodes(meters), redis(meters)];
    let before = watched.map(|meter| meter.map(Meter::memory));
    let joins_per_second = crew.gather(progress).await?;
    progress.detail("all joined, settling");
    let half = hold / 2;
    sleep(half).await;
    let (rest, at_rest) = (Instant::now(), watched.map(|meter| meter.map(Meter::cpu)));
    sleep(half).await;
    let seconds = rest.elapsed().as_secs_f64();
    let sockets = u64::from(crew.sockets());
    let mut servers = Vec::new();
    for ((meter, before), cpu) in watched.into_iter().zip(before).zip(at_rest) {
        let (Some(meter), Some(before), Some(cpu)) = (meter, before.transpose()?, cpu.transpose()?) else {
            servers.push(None);
            continue;
        };
        let (after, cpu) = (meter.memory()?, (meter.cpu()? - cpu).total());
        servers.push(Some(ServerFigures {
            before,
            after,
            per_socket: PerSocket::new(before, after, sockets),
            cpu_percent: cpu.as_secs_f64() / seconds * 100.0,
        }));
    }
    let (closed, first_close) = crew.complaints(progress).await?;
    let mut servers = servers.into_iter();
    let (server, redis) = (servers.next().flatten(), servers.next().flatten());
    Ok(Figures { sockets, closed, first_close, joins_per_second, server, redis })
}

/// Waits until the nodes know that all sockets are gone; how many they still take for open.
async fn until_gone(targets: &[Target]) -> Result<f64> {
    let begun = Instant::now();
    loop {
        let mut open = 0.0;
        for target in targets {
            let (_, text) = http::get(target.address(), "/metrics").await?;
            open += http::metric(&text, "tandem_connections").context("nodes count no connections")?;
        }
        if open < 1.0 || begun.elapsed() > GONE {
            return Ok(open);
        }
        sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_shared_out_among_the_sockets() {
        let before = Memory { rss: 1_000, pss: 900, private: 800 };
        let after = Memory { rss: 9_000, pss: 8_900, private: 400 };
        let share = PerSocket::new(before, after, 4);
        assert!((share.rss - 2_000.0).abs() < 1e-9);
        assert!((share.pss - 2_000.0).abs() < 1e-9);
        assert!((share.private + 100.0).abs() < 1e-9);
    }
}
