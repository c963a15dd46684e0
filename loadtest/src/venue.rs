use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Result, bail, ensure};
use clap::Args;

use crate::{
    audit::Done,
    contestant::{Contestant, Launcher, Running, ServerOptions},
    findings::Findings,
    meter::Meter,
    probe::Probe,
    target::Target,
};

/// Members that a room may have without a setting.
const USUAL_ROOM: u32 = 500;

/// Which servers are put under load.
#[derive(Debug, Clone, Args)]
pub(crate) struct VenueOptions {
    /// A running node on this machine; may be given several times [default: servers are started]
    #[arg(long = "url", value_name = "URL")]
    urls: Vec<Target>,
    /// Process id of a running server, to measure it; may be given several times
    #[arg(long = "pid", value_name = "N", requires = "urls")]
    pids: Vec<u32>,
    /// Nodes to start: 1 is one by itself, more are a cluster with Redis
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=16))]
    nodes: Option<u32>,
    /// Make a single node a cluster of one, with Redis
    #[arg(long)]
    shared: bool,
    #[command(flatten)]
    servers: ServerOptions,
}

impl VenueOptions {
    /// The same, whose servers let that many into a room.
    pub(crate) fn for_rooms_of(mut self, members: u32) -> Self {
        if members > USUAL_ROOM {
            self.servers.set("ROOM_MAX_MEMBERS", members.to_string());
        }
        self
    }

    /// The same, but so many nodes.
    pub(crate) fn of(self, nodes: u32) -> Self {
        Self { nodes: Some(nodes), ..self }
    }

    /// The same, but with Redis, be it a Redis Cluster of so many masters.
    pub(crate) fn sharing(self, masters: Option<u32>) -> Self {
        Self { shared: true, servers: self.servers.with_masters(masters), ..self }
    }
}

/// What holds where nothing else was said.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Defaults {
    /// Nodes that are started.
    pub(crate) nodes: u32,
    /// Seconds over which one that is to end closes its sockets.
    pub(crate) drain: u32,
}

impl Defaults {
    /// A single node, whose end is not measured.
    pub(crate) const NONE: Self = Self { nodes: 1, drain: 1 };
}

/// Meters that may change while somebody reads them.
pub(crate) type SharedMeters = Arc<Mutex<Vec<Meter>>>;

/// The servers.
pub(crate) struct Venue<'a> {
    running: Option<Running>,
    targets: Vec<Target>,
    meters: SharedMeters,
    // Its folder holds the servers' data.
    _launcher: Option<Launcher<'a>>,
    warnings: Vec<String>,
}

impl<'a> Venue<'a> {
    /// Starts them, unless they run already.
    pub(crate) async fn open(options: &'a VenueOptions, defaults: Defaults) -> Result<Self> {
        if !options.urls.is_empty() {
            let probes = options.pids.iter().map(|pid| Probe::new(*pid)).collect::<Result<Vec<_>>>()?;
            let meters = if probes.is_empty() { Vec::new() } else { vec![Meter::new("nodes", probes)] };
            return Ok(Self {
                running: None,
                targets: options.urls.clone(),
                meters: Arc::new(Mutex::new(meters)),
                _launcher: None,
                warnings: Vec::new(),
            });
        }
        let nodes = options.nodes.unwrap_or(defaults.nodes);
        let shared = nodes > 1 || options.shared || options.servers.needs_redis();
        let contestant = if shared { Contestant::Cluster } else { Contestant::Tandem };
        let launcher = Launcher::new(&options.servers, nodes, defaults.drain)?;
        let mut running = launcher.start(contestant, "crowd").await?;
        if let Some(cluster) = running.cluster() {
            cluster.start_worker().await?;
        }
        let (targets, meters) = (running.targets(), running.meters());
        Ok(Self {
            running: Some(running),
            targets,
            meters: Arc::new(Mutex::new(meters)),
            _launcher: Some(launcher),
            warnings: Vec::new(),
        })
    }

    /// Where the nodes listen.
    pub(crate) fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// What measures them.
    pub(crate) fn meters(&self) -> SharedMeters {
        Arc::clone(&self.meters)
    }

    /// The same, while none of them is being restarted.
    pub(crate) fn meters_now(&self) -> Vec<Meter> {
        self.meters.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Nodes that can be restarted.
    pub(crate) fn nodes(&mut self) -> usize {
        self.running.as_mut().and_then(Running::cluster).map_or(0, |cluster| cluster.len())
    }

    /// Restarts one node, politely.
    pub(crate) async fn restart(&mut self, number: usize) -> Result<()> {
        let Some(cluster) = self.running.as_mut().and_then(Running::cluster) else {
            bail!("only nodes of a cluster that was started here are restarted");
        };
        self.warnings.extend(cluster.restart(number).await?);
        ensure!(cluster.targets() == self.targets, "a node is somewhere else than before");
        *self.meters.lock().unwrap_or_else(PoisonError::into_inner) = cluster.meters();
        Ok(())
    }

    /// Looks into the ledger, where one was started, and ends what was started; the last warnings it logged.
    pub(crate) async fn close(mut self, done: &[Done], findings: &mut Findings) -> Result<()> {
        if let Some(mut running) = self.running.take() {
            if let Some(cluster) = running.cluster()
                && let Some(audit) = cluster.audit(done).await?
            {
                audit.report(findings);
            }
            self.warnings.extend(running.stop().await?);
        }
        findings.warnings.extend(self.warnings);
        Ok(())
    }
}
