use anyhow::Result;
use clap::Args;

use super::Crew;
use crate::fleet::Cast;

/// How many make the load.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Staff {
    /// Processes that make the load, each with its share of the rooms: a process may have only so many sockets
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=32))]
    processes: u32,
}

impl Staff {
    /// All generators for this cast. Nobody is in yet.
    pub(crate) async fn hire(self, cast: Cast) -> Result<Crew> {
        match self.processes.min(cast.rooms) {
            0 | 1 => Ok(Crew::new(cast)),
            several => Crew::of(cast.split(several)).await,
        }
    }
}
