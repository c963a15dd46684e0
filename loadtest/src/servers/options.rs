use std::{path::PathBuf, thread::available_parallelism};

use anyhow::{Context, Result};
use clap::Args;

use super::Kind;

/// Members that tandem allows in a room by default.
const DEFAULT_ROOM_SIZE: u32 = 500;

const HEADING: &str = "Servers";

const PEERS: &str = "Peers of tandem";

/// Where the entries of a cluster's ledger go: nowhere, to the streams of Redis, where they stay, or from there to PostgreSQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Ledger {
    None,
    Streams,
    Postgres,
}

/// The Redis of a cluster: one server, or a master with a replica and three Sentinels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum RedisKind {
    Single,
    Sentinel,
}

fn parse_setting(text: &str) -> Result<(String, String)> {
    let (key, value) = text.split_once('=').context("a setting looks like KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

/// How servers are started.
#[derive(Debug, Clone, Args)]
pub(crate) struct ServerOptions {
    /// The program of tandem [default: `tandem` beside this program]
    #[arg(long, value_name = "PATH", help_heading = HEADING)]
    pub(super) server: Option<PathBuf>,
    /// One more setting for tandem; may be given several times
    #[arg(long = "env", value_name = "KEY=VALUE", value_parser = parse_setting, help_heading = HEADING)]
    pub(super) settings: Vec<(String, String)>,
    /// Keep the data and the logs of all servers, and say where
    #[arg(long, help_heading = HEADING)]
    pub(super) keep: bool,
    /// Threads of each node of tandem, and of the relay [default: CPUs minus one, at least one]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256), help_heading = HEADING)]
    threads: Option<u32>,
    /// The ledger of a cluster: there is none, entries stay in the streams of Redis, or a worker writes them to PostgreSQL
    #[arg(long, value_enum, default_value_t = Ledger::Streams, help_heading = HEADING)]
    pub(crate) ledger: Ledger,
    /// The Redis of a cluster of tandem: one server, or a master with a replica and three Sentinels
    #[arg(long, value_enum, default_value_t = RedisKind::Single, help_heading = HEADING)]
    pub(crate) redis: RedisKind,
}

impl ServerOptions {
    /// Threads of a server.
    pub(crate) fn threads(&self) -> u32 {
        let default = || available_parallelism().map_or(1, |all| u32::try_from(all.get().max(2) - 1).unwrap_or(1));
        self.threads.unwrap_or_else(default)
    }
}

/// Servers of others, to compare tandem with.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct PeerOptions {
    /// Socket.IO with its Redis adapter: the folder of the server, loadtest/socketio, after `npm ci` there
    #[arg(long, value_name = "FOLDER", help_heading = PEERS)]
    pub(crate) socketio: Option<PathBuf>,
    /// Centrifugo 6: its program. One node has the memory engine, several have the Redis engine
    #[arg(long, value_name = "PATH", help_heading = PEERS)]
    pub(crate) centrifugo: Option<PathBuf>,
    /// Centrifugo keeps history and recovers; in `bench`, members of tandem that ask for `resume` are measured beside it
    #[arg(long, help_heading = PEERS)]
    pub(crate) history: bool,
}

/// The servers that a scenario runs on: tandem, or a peer if one is given.
#[derive(Debug, Clone, Args)]
pub(crate) struct DeploymentOptions {
    /// Nodes; more than one are a cluster with Redis
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64), help_heading = HEADING)]
    pub(crate) nodes: u32,
    /// Make even a single node a cluster with Redis
    #[arg(long, help_heading = HEADING)]
    pub(super) shared: bool,
    #[command(flatten)]
    pub(super) servers: ServerOptions,
    #[command(flatten)]
    pub(super) peers: PeerOptions,
}

impl DeploymentOptions {
    /// The same with servers that allow rooms of this size.
    pub(crate) fn for_rooms_of(self, members: u32) -> Self {
        if members > DEFAULT_ROOM_SIZE { self.with("ROOM_MAX_MEMBERS", &members.to_string()) } else { self }
    }

    /// The same with a setting, unless the options have it too.
    pub(crate) fn with(mut self, key: &str, value: &str) -> Self {
        self.servers.settings.insert(0, (key.to_owned(), value.to_owned()));
        self
    }

    /// The same with a Redis that can fail over.
    pub(crate) fn with_sentinels(mut self) -> Self {
        self.servers.redis = RedisKind::Sentinel;
        self
    }

    /// The kind of servers to start.
    pub(super) fn kind(&self) -> Kind {
        if self.peers.socketio.is_some() {
            Kind::SocketIo
        } else if self.peers.centrifugo.is_some() {
            if self.peers.history { Kind::CentrifugoHistory } else { Kind::Centrifugo }
        } else if self.nodes > 1 || self.shared || self.servers.ledger == Ledger::Postgres {
            Kind::Cluster
        } else {
            Kind::Tandem
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_have_a_name_and_a_value() {
        assert_eq!(parse_setting("A=b=c").unwrap(), ("A".to_owned(), "b=c".to_owned()));
        assert!(parse_setting("A").is_err());
    }
}
