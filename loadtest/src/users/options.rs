use clap::Args;

use super::Scenario;
use crate::{report::ReportOptions, servers::DeploymentOptions};

#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// Rooms [default: 50, or 250 for `storm` and 10 for `slow`]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=50_000))]
    rooms: Option<u32>,
    /// Members of each room
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(2..=100))]
    pub(super) members: u32,
    /// Seconds with all rooms open [default: 20, or 600 for `soak`]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    seconds: Option<u32>,
    /// Seconds over which the rooms open
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    pub(super) ramp: u32,
    /// Milliseconds over which the users come back in the second part of `storm`
    #[arg(long, value_name = "N", default_value_t = 3_000)]
    pub(super) jitter_ms: u64,
    /// Loopback addresses 127.0.0.1.. to connect from [default: as many as the ports need]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=250))]
    pub(super) sources: Option<u8>,
    #[command(flatten)]
    pub(super) deployment: DeploymentOptions,
    #[command(flatten)]
    pub(super) report: ReportOptions,
}

impl Options {
    pub(super) fn rooms(&self, scenario: Scenario) -> u32 {
        self.rooms.unwrap_or(scenario.rooms())
    }

    /// The seconds with all rooms open.
    pub(super) fn seconds(&self, scenario: Scenario) -> u32 {
        self.seconds.unwrap_or(scenario.seconds())
    }
}
