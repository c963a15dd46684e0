use std::path::PathBuf;

use clap::Args;

/// What else is measured, and of whom.
#[derive(Debug, Args)]
pub(crate) struct PeerOptions {
    /// Beside the cluster, as many nodes of Centrifugo 6 with its Redis engine: its program. Never tried with the real one
    #[arg(long, value_name = "PATH", requires = "cluster")]
    pub(crate) centrifugo: Option<PathBuf>,
    /// Signals a second between members on two nodes, of the kinds and sizes of calls; 0 leaves that part out
    #[arg(long, value_name = "N", default_value_t = 2_000, requires = "cluster", value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub(super) signals: u32,
    /// Pairs that send them to each other
    #[arg(long, value_name = "N", default_value_t = 100, requires = "cluster", value_parser = clap::value_parser!(u32).range(1..=5_000))]
    pub(super) pairs: u32,
    /// So many who join rooms of 4, each on a new socket, as fast as they are let in [default: none; 10000 without a number]
    #[arg(long, value_name = "N", default_value_t = 0, num_args = 0..=1, default_missing_value = "10000", requires = "cluster", value_parser = clap::value_parser!(u32).range(0..=200_000))]
    pub(super) joins: u32,
    /// Rooms that are joined at the same time, a member after the other
    #[arg(long, value_name = "N", default_value_t = 64, requires = "joins", value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub(super) at_once: u16,
}
