use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::{Args, ValueEnum};
use tokio::time::sleep;

use super::ServedOptions;
use crate::{client::Peer, progress::step, report::Sheet, servers::Deployment};

/// Load before the first node is restarted.
const CALM: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Outage {
    /// All connections break, in the middle of each round
    Break,
    /// All nodes are restarted, one after the other
    Restart,
    /// A node is killed, and started again
    Kill,
}

/// What goes wrong during a load.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct OutageOptions {
    /// What goes wrong; the members then come back by RESUME
    #[arg(long, value_enum, help_heading = "Outage")]
    outage: Option<Outage>,
    /// Milliseconds over which the members come back when all connections have broken
    #[arg(long, value_name = "N", default_value_t = 0, requires = "outage", help_heading = "Outage")]
    within_ms: u64,
}

impl OutageOptions {
    pub(super) fn is_some(self) -> bool {
        self.outage.is_some()
    }

    /// Whether processes end, so that their CPU cannot be measured.
    pub(super) fn ends_nodes(self) -> bool {
        matches!(self.outage, Some(Outage::Restart | Outage::Kill))
    }

    pub(super) fn break_within_ms(self) -> Option<u64> {
        (self.outage == Some(Outage::Break)).then_some(self.within_ms)
    }

    /// Clients that can come back, on servers that take their time as they do by default.
    pub(super) fn prepare(self, mut served: ServedOptions) -> ServedOptions {
        if self.is_some() {
            served.clients.features.push_str(",resume");
            served.deployment = served.deployment.with("DRAIN_SECONDS", "10");
        }
        served
    }

    /// Restarts or kills nodes.
    pub(super) async fn play(self, deployment: &mut Deployment, sheet: &mut Sheet) -> Result<()> {
        ensure!(self.outage.is_none() || deployment.peer() == Peer::Tandem, "--outage is for tandem only");
        if !self.ends_nodes() {
            return Ok(());
        }
        sleep(CALM).await;
        let kill = self.outage == Some(Outage::Kill);
        let nodes = if kill { 1 } else { deployment.targets().len() };
        let mut slowest = 0.0_f64;
        for node in 0..nodes {
            step(&format!("{} node {node}", if kill { "killing" } else { "restarting" }));
            let begun = Instant::now();
            deployment.restart(node, kill).await?;
            slowest = slowest.max(begun.elapsed().as_secs_f64());
        }
        ensure!(deployment.cut_short() == 0, "a node had to cut its stop short");
        sheet.set("", "slowest_restart_seconds", slowest);
        Ok(())
    }
}
