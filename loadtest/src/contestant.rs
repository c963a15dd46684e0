//! Who can be started, and the programs that are.

use std::{
    env::current_exe,
    path::{Path, PathBuf},
    thread::available_parallelism,
};

use anyhow::{Context, Result, bail};
use clap::Args;
use tempfile::TempDir;

use crate::{
    backing::Postgres,
    centrifugo,
    client::Peer,
    cluster::{Cluster, Ledger, Plan},
    meter::Meter,
    process::Server,
    rival::Rival,
    target::Target,
};

/// Who is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Contestant {
    /// Nodes that share their rooms.
    Cluster,
    /// One node by itself.
    Tandem,
    /// The least that could do the job.
    Relay,
    /// Socket.IO with its Redis adapter.
    SocketIo,
    /// Centrifugo with its Redis engine.
    Centrifugo,
}

impl Contestant {
    /// The name to show.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::Tandem => "tandem",
            Self::Relay => "relay",
            Self::SocketIo => "socket.io",
            Self::Centrifugo => "centrifugo",
        }
    }

    /// How its clients talk.
    pub(crate) fn peer(self) -> Peer {
        match self {
            Self::Cluster | Self::Tandem => Peer::Tandem,
            Self::Relay => Peer::Relay,
            Self::SocketIo => Peer::SocketIo,
            Self::Centrifugo => Peer::Centrifugo,
        }
    }
}

/// A contestant that runs.
#[derive(Debug)]
pub(crate) enum Running {
    /// One process.
    One(Box<Server>),
    /// Several.
    Many(Box<Cluster>),
    /// Several of somebody else's.
    Rival(Box<Rival>),
    /// Several of Centrifugo.
    Centrifugo(Box<centrifugo::Nodes>),
}

impl Running {
    /// Where it listens.
    pub(crate) fn targets(&self) -> Vec<Target> {
        match self {
            Self::One(server) => vec![server.target().clone()],
            Self::Many(cluster) => cluster.targets(),
            Self::Rival(rival) => rival.targets(),
            Self::Centrifugo(nodes) => nodes.targets(),
        }
    }

    /// Its CPU.
    pub(crate) fn meters(&self) -> Vec<Meter> {
        match self {
            Self::One(server) => vec![Meter::new("nodes", [server.probe()])],
            Self::Many(cluster) => cluster.meters(),
            Self::Rival(rival) => rival.meters(),
            Self::Centrifugo(nodes) => nodes.meters(),
        }
    }

    /// Its cluster, if it is one.
    pub(crate) fn cluster(&mut self) -> Option<&mut Cluster> {
        match self {
            Self::One(_) | Self::Rival(_) | Self::Centrifugo(_) => None,
            Self::Many(cluster) => Some(cluster),
        }
    }

    /// Ends it; the last warnings it logged.
    pub(crate) async fn stop(self) -> Result<Vec<String>> {
        match self {
            Self::One(server) => server.stop().await,
            Self::Many(cluster) => cluster.stop().await,
            Self::Rival(rival) => rival.stop().await,
            Self::Centrifugo(nodes) => nodes.stop().await.map(|()| Vec::new()),
        }
    }
}

/// A `KEY=VALUE` of the command line.
pub(crate) fn parse_setting(text: &str) -> Result<(String, String)> {
    let (key, value) = text.split_once('=').context("a setting looks like KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

/// What the started servers are to be.
#[derive(Debug, Clone, Args)]
pub(crate) struct ServerOptions {
    /// The server [default: `tandem` beside this program]
    #[arg(long, value_name = "PATH")]
    server: Option<PathBuf>,
    /// A setting for the server, beside those that are made here
    #[arg(long = "env", value_name = "KEY=VALUE", value_parser = parse_setting)]
    settings: Vec<(String, String)>,
    /// Threads of each server that is tandem or the relay [default: the CPUs but one, as tandem's own]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    threads: Option<u32>,
    /// Where a cluster's ledger goes
    #[arg(long, value_enum, default_value_t = Ledger::Streams)]
    ledger: Ledger,
    /// Masters of a cluster's Redis Cluster [default: none, a single Redis]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=16))]
    redis_masters: Option<u32>,
}

impl ServerOptions {
    /// With so many masters of a Redis Cluster, or a single Redis.
    pub(crate) fn with_masters(self, redis_masters: Option<u32>) -> Self {
        Self { redis_masters, ..self }
    }

    /// Whether nodes need Redis, however many there are.
    pub(crate) fn needs_redis(&self) -> bool {
        self.redis_masters.is_some() || self.ledger == Ledger::Postgres
    }

    /// One more setting, before those of the command line.
    pub(crate) fn set(&mut self, key: &str, value: String) {
        self.settings.insert(0, (key.to_owned(), value));
    }
}

impl ServerOptions {
    /// Threads of a server.
    pub(crate) fn threads(&self) -> u32 {
        let own = || available_parallelism().map_or(1, |all| u32::try_from(all.get().max(2) - 1).unwrap_or(u32::MAX));
        self.threads.unwrap_or_else(own)
    }
}

/// Starts contestants.
#[derive(Debug)]
pub(crate) struct Launcher<'a> {
    options: &'a ServerOptions,
    /// Of a cluster.
    nodes: u32,
    /// Over how long a server closes its sockets when it is to end.
    drain: u32,
    /// Where the program on Socket.IO is.
    rival: Option<&'a Path>,
    /// Where Centrifugo is.
    centrifugo: Option<&'a Path>,
    tandem: PathBuf,
    this: PathBuf,
    folder: TempDir,
}

impl<'a> Launcher<'a> {
    /// Finds the programs.
    pub(crate) fn new(options: &'a ServerOptions, nodes: u32, drain: u32) -> Result<Self> {
        let this = current_exe().context("where is this program?")?;
        let tandem = options.server.clone().unwrap_or_else(|| this.with_file_name("tandem"));
        let tandem = tandem
            .canonicalize()
            .with_context(|| format!("no server at {}: build it with `cargo build --release`", tandem.display()))?;
        let folder = tempfile::tempdir()?;
        // PostgreSQL runs as another user, and has its data in here.
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        Ok(Self { options, nodes, drain, rival: None, centrifugo: None, tandem, this, folder })
    }

    /// Knows where the program on Socket.IO is.
    pub(crate) fn with_rival(self, rival: Option<&'a Path>) -> Self {
        Self { rival, ..self }
    }

    /// Knows where Centrifugo is.
    pub(crate) fn with_centrifugo(self, centrifugo: Option<&'a Path>) -> Self {
        Self { centrifugo, ..self }
    }

    /// A fresh one; `purpose` names the folder for its data.
    pub(crate) async fn start(&self, contestant: Contestant, purpose: &str) -> Result<Running> {
        let name = contestant.name();
        let folder = self.folder.path().join(format!("{name}-{purpose}"));
        std::fs::create_dir_all(&folder)?;
        let threads = self.options.threads().to_string();
        let (program, arguments, settings): (&Path, &[&str], _) = match contestant {
            Contestant::Cluster => return self.start_cluster(&folder).await,
            Contestant::Tandem => (&self.tandem, &["serve"], self.settings(&folder)),
            Contestant::SocketIo => {
                let home = self.rival.context("nobody said where Socket.IO is")?;
                let rival = Rival::start(home, self.nodes, &folder).await?;
                return Ok(Running::Rival(Box::new(rival)));
            }
            Contestant::Centrifugo => {
                let program = self.centrifugo.context("nobody said where Centrifugo is")?;
                let nodes = centrifugo::Nodes::start(program, self.nodes, &folder).await?;
                return Ok(Running::Centrifugo(Box::new(nodes)));
            }
            Contestant::Relay => (&self.this, &["relay", "--leashed", "--threads", &threads], Vec::new()),
        };
        let server = Server::start(name, program, arguments, &settings, &folder).await?;
        Ok(Running::One(Box::new(server)))
    }

    async fn start_cluster(&self, folder: &Path) -> Result<Running> {
        let (nodes, ledger) = (self.nodes, self.options.ledger);
        if ledger == Ledger::Postgres && !Postgres::is_here() {
            bail!("--ledger postgres needs PostgreSQL on this machine (Debian: postgresql)");
        }
        let masters = self.options.redis_masters;
        let plan = Plan { program: &self.tandem, nodes, ledger, masters, settings: self.settings(folder), folder };
        Ok(Running::Many(Box::new(Cluster::start(plan).await?)))
    }

    fn settings(&self, folder: &Path) -> Vec<(String, String)> {
        let data = folder.join("data");
        let own = [
            ("HOST", "127.0.0.1".to_owned()),
            ("PORT", "0".to_owned()),
            ("LOG_FORMAT", "json".to_owned()),
            ("LOG_LEVEL", "info".to_owned()),
            ("DRAIN_SECONDS", self.drain.to_string()),
            ("WORKER_THREADS", self.options.threads().to_string()),
            ("TANDEM_DATA_DIR", data.to_string_lossy().into_owned()),
        ];
        let own = own.into_iter().map(|(key, value)| (key.to_owned(), value));
        own.chain(self.options.settings.iter().cloned()).collect()
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
