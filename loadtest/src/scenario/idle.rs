//! Sockets that are joined and do nothing: what does one cost in memory?

use std::{
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use tokio::{task::JoinSet, time::sleep};

use crate::{
    client::{Client, Peer},
    fleet::{Cast, Fleet, MEMBERS, Manners},
    probe::{Memory, Probe},
    progress::Progress,
    report::{Column, Report},
    target::Target,
    units::{float, per},
};

/// Options of `loadtest idle`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The running server; must be on this machine
    #[arg(long, default_value = "ws://127.0.0.1:4001/ws")]
    url: Target,
    /// What kind of server it is
    #[arg(long, value_enum, default_value_t = Peer::Tandem)]
    peer: Peer,
    /// Sockets, in rooms of 4
    #[arg(long, value_name = "N", default_value_t = 8_000, value_parser = clap::value_parser!(u32).range(4..=200_000))]
    sockets: u32,
    /// Seconds to hold them
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    seconds: u32,
    /// Process id of the server, to measure its memory and CPU
    #[arg(long)]
    pid: Option<u32>,
    /// Write the figures to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(flatten)]
    manners: Manners,
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
    /// The server's side, when its process is known.
    pub(crate) server: Option<ServerFigures>,
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
    let probe = options.pid.map(Probe::new).transpose()?;
    progress.step(&format!("{} idle sockets on {}", options.sockets, options.url));
    let load = Load {
        rooms: options.sockets / MEMBERS,
        hold: Duration::from_secs(options.seconds.into()),
        manners: &options.manners,
    };
    let figures = measure(&options.url, options.peer, probe, &load, progress).await?;
    let mut report = Report::new();
    report.columns.push(Column { name: options.peer.name(), idle: Some(figures), control: None });
    report.finish(progress, options.json.as_deref(), false)
}

/// How many sockets, and for how long.
#[derive(Debug)]
pub(crate) struct Load<'a> {
    /// Rooms of [`MEMBERS`].
    pub(crate) rooms: u32,
    /// How long they are held before the measurement.
    pub(crate) hold: Duration,
    /// How they join.
    pub(crate) manners: &'a Manners,
}

/// Brings the sockets in, lets them settle, and measures.
pub(crate) async fn measure(
    target: &Target,
    peer: Peer,
    probe: Option<Probe>,
    load: &Load<'_>,
    progress: &Progress,
) -> Result<Figures> {
    let before = probe.map(Probe::memory).transpose()?;
    let cast =
        Cast { targets: std::slice::from_ref(target), peer, rooms: load.rooms, senders: 0, manners: load.manners };
    let fleet = Fleet::gather(&cast, progress).await?;
    let sockets = fleet.sockets();
    let joins_per_second = fleet.joins_per_second();

    let closes = Arc::<Mutex<Vec<String>>>::default();
    let mut tasks = JoinSet::new();
    for client in fleet.rooms.into_iter().flatten() {
        tasks.spawn(stay(client, Arc::clone(&closes)));
    }
    progress.detail(&format!("{}: all joined, settling", peer.name()));
    let half = load.hold / 2;
    sleep(half).await;
    let (rest, cpu_before) = (Instant::now(), probe.map(Probe::cpu).transpose()?);
    sleep(half).await;
    let mut server = None;
    if let (Some(probe), Some(before), Some(cpu_before)) = (probe, before, cpu_before) {
        let after = probe.memory()?;
        let cpu = (probe.cpu()? - cpu_before).total();
        server = Some(ServerFigures {
            before,
            after,
            per_socket: PerSocket::new(before, after, sockets),
            cpu_percent: cpu.as_secs_f64() / rest.elapsed().as_secs_f64() * 100.0,
        });
    }
    let closes = closes.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok(Figures {
        sockets,
        closed: u64::try_from(closes.len())?,
        first_close: closes.into_iter().next(),
        joins_per_second,
        server,
    })
}

/// Reads, and answers pings, until the socket is closed.
async fn stay(mut client: Client, closes: Arc<Mutex<Vec<String>>>) {
    loop {
        if let Err(error) = client.receive().await {
            closes.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{error:#}"));
            return;
        }
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
