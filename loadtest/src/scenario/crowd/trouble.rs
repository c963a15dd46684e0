use std::time::{Duration, Instant};

use anyhow::Result;
use clap::ValueEnum;
use tokio::time::sleep;

use super::Options;
use crate::{progress::step, servers::Deployment};

/// Load before something goes wrong.
const CALM: Duration = Duration::from_secs(2);

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Trouble {
    /// Nothing: some rooms play for --seconds, and no connection may be lost
    None,
    /// One node is killed, and started again when everybody is back on the others
    Kill,
    /// The master of Redis is killed, and its replica takes over
    Failover,
    /// All nodes are restarted, one after the other
    Rolling,
    /// All nodes are stopped at the same time, and started again
    Restart,
}

impl Trouble {
    /// The column of its figures.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Kill => "kill",
            Self::Failover => "failover",
            Self::Rolling => "rolling",
            Self::Restart => "restart",
        }
    }

    /// How long there is load: as long as it lasts, about.
    pub(super) fn seconds(self, nodes: usize, options: &Options) -> u32 {
        match self {
            Self::None => options.seconds,
            Self::Kill | Self::Failover => 20,
            // A drain takes 10 s.
            Self::Rolling => (12 + options.min_ready_seconds) * u32::try_from(nodes).unwrap_or(1),
            Self::Restart => 30,
        }
    }

    /// Makes it happen; returns the seconds that it took, without the calm before.
    pub(super) async fn happen(self, deployment: &mut Deployment, min_ready: u32) -> Result<f64> {
        sleep(CALM).await;
        let begun = Instant::now();
        match self {
            Self::None => {}
            Self::Kill => deployment.end(0, true).await?,
            Self::Failover => deployment.fail_over().await?,
            Self::Rolling => {
                for node in 0..deployment.targets().len() {
                    if node > 0 {
                        sleep(Duration::from_secs(min_ready.into())).await;
                    }
                    step(&format!("  restarting node {node}"));
                    deployment.restart(node, false).await?;
                }
            }
            Self::Restart => {
                deployment.end_all().await?;
                deployment.start_all().await?;
            }
        }
        Ok(begun.elapsed().as_secs_f64())
    }

    /// Puts in order what is still missing after everybody is back.
    pub(super) async fn mend(self, deployment: &mut Deployment) -> Result<()> {
        if self == Self::Kill { deployment.start(0).await } else { Ok(()) }
    }
}
