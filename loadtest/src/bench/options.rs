use std::path::PathBuf;

use clap::Args;

use crate::{contestant::ServerOptions, fleet::Manners, peers, scenario::control};

/// Idle sockets when nothing is said.
const SOCKETS: u32 = 8_000;

/// Options of `loadtest bench`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Also start a cluster: redis-server, and nodes that members of a room share
    #[arg(long)]
    pub(super) cluster: bool,
    /// Nodes of the cluster
    #[arg(long, value_name = "N", default_value_t = 2, requires = "cluster", value_parser = clap::value_parser!(u32).range(2..=16))]
    pub(super) nodes: u32,
    /// Beside the cluster, as many nodes of Socket.IO with its Redis adapter: the folder of its program, loadtest/socketio, where `npm ci` was run
    #[arg(long, value_name = "FOLDER", requires = "cluster")]
    pub(super) socketio: Option<PathBuf>,
    /// Pairs of messages a second in each room of the cluster that two members send at once, on two nodes; 0 leaves that part out
    #[arg(long, value_name = "N", default_value_t = 4, requires = "cluster", value_parser = clap::value_parser!(u32).range(0..=45))]
    pub(super) clash: u32,
    /// Idle sockets for the memory figure of a single node, in rooms of 4; 0 leaves that part out [default: 8000, or 0 with --cluster]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=200_000))]
    sockets: Option<u32>,
    /// Seconds the idle sockets settle before they are measured
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u32).range(2..=600))]
    pub(super) settle: u32,
    #[command(flatten)]
    pub(super) peers: peers::PeerOptions,
    #[command(flatten)]
    pub(super) load: control::Load,
    #[command(flatten)]
    pub(super) manners: Manners,
    #[command(flatten)]
    pub(super) servers: ServerOptions,
    /// Write the figures to this file
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
    /// Exit with 1 when a limit is missed, not only when a delivery is lost
    #[arg(long)]
    pub(super) check: bool,
}

impl Options {
    /// Idle sockets.
    pub(super) fn sockets(&self) -> u32 {
        self.sockets.unwrap_or(if self.cluster { 0 } else { SOCKETS })
    }
}
