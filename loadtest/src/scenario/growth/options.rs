use clap::{Args, ValueEnum};

use crate::{crew::Staff, findings::Output, fleet::Manners, venue::VenueOptions};

/// What grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum What {
    /// Idle sockets: what does one cost in memory, and at rest?
    Sockets,
    /// Rooms, at the same rate in all of them together
    Rooms,
    /// Members of a room, at the same deliveries a second in all rooms together
    Members,
    /// Nodes of a cluster, beside one alone
    Nodes,
    /// Masters of a Redis Cluster, beside a single Redis
    Shards,
}

impl What {
    /// Its name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Sockets => "sockets",
            Self::Rooms => "rooms",
            Self::Members => "members",
            Self::Nodes => "nodes",
            Self::Shards => "masters",
        }
    }
}

/// Options of `loadtest growth`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// What grows
    #[arg(long, value_enum)]
    pub(super) what: What,
    /// Its sizes, such as 100,1000,10000 [default: depends on what grows]
    #[arg(long, value_name = "N,...", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(super) points: Vec<u32>,
    #[command(flatten)]
    pub(super) venue: VenueOptions,
    /// Deliveries a second of all rooms together: each change is delivered to all members of its room
    #[arg(long, value_name = "N", default_value_t = 4_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(super) deliveries: u32,
    /// Rooms, where they do not grow
    #[arg(long, value_name = "N", default_value_t = 250, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    pub(super) rooms: u32,
    /// Members of each room, where they do not grow [default: 4, or 2 where the rooms grow]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=5_000))]
    pub(super) members: Option<u32>,
    /// Seconds of each round, or for which idle sockets are held
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(2..=600))]
    pub(super) seconds: u32,
    /// Rounds of each point
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(super) rounds: u32,
    #[command(flatten)]
    pub(super) staff: Staff,
    #[command(flatten)]
    pub(super) manners: Manners,
    #[command(flatten)]
    pub(super) output: Output,
}
