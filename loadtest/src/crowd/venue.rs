use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Result, bail, ensure};
use clap::Args;

use crate::{
    contestant::{Contestant, Launcher, Running, ServerOptions},
    meter::Meter,
    probe::Probe,
    target::Target,
};

/// Which servers the crowd goes to.
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
    #[command(flatten)]
    servers: ServerOptions,
}

/// Meters that may change while somebody reads them.
pub(super) type SharedMeters = Arc<Mutex<Vec<Meter>>>;

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
    /// Starts them, unless they run already. `nodes` is how many there are when nothing else was said,
    /// `drain` over how many seconds one that is to end closes its sockets.
    pub(crate) async fn open(options: &'a VenueOptions, (nodes, drain): (u32, u32)) -> Result<Self> {
        if !options.urls.is_empty() {
            let probes = options.pids.iter().map(|pid| Probe::new(*pid)).collect::<Result<Vec<_>>>()?;
            let meters = if probes.is_empty() { Vec::new() } else { vec![Meter::new("servers", probes)] };
            return Ok(Self {
                running: None,
                targets: options.urls.clone(),
                meters: Arc::new(Mutex::new(meters)),
                _launcher: None,
                warnings: Vec::new(),
            });
        }
        let nodes = options.nodes.unwrap_or(nodes);
        let contestant = if nodes > 1 { Contestant::Cluster } else { Contestant::Tandem };
        let launcher = Launcher::new(&options.servers, nodes, drain)?;
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
    pub(super) fn meters(&self) -> SharedMeters {
        Arc::clone(&self.meters)
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

    /// Ends what was started; the last warnings it logged.
    pub(crate) async fn close(mut self) -> Result<Vec<String>> {
        if let Some(running) = self.running.take() {
            self.warnings.extend(running.stop().await?);
        }
        Ok(self.warnings)
    }
}
