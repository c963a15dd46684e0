use std::{
    env::current_exe,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use super::Options;
use crate::{
    client::Peer,
    cluster::{Cluster, Plan},
    meter::Meter,
    process::Server,
    target::Target,
};

/// Who is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Contestant {
    /// Nodes that share their rooms.
    Cluster,
    /// One node by itself.
    Tandem,
    /// The least that could do the job.
    Relay,
}

impl Contestant {
    /// The name to show.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::Tandem => "tandem",
            Self::Relay => "relay",
        }
    }

    /// How its clients talk.
    pub(super) fn peer(self) -> Peer {
        match self {
            Self::Cluster | Self::Tandem => Peer::Tandem,
            Self::Relay => Peer::Relay,
        }
    }
}

/// A contestant that runs.
#[derive(Debug)]
pub(super) enum Running {
    /// One process.
    One(Box<Server>),
    /// Several.
    Many(Box<Cluster>),
}

impl Running {
    /// Where it listens.
    pub(super) fn targets(&self) -> Vec<Target> {
        match self {
            Self::One(server) => vec![server.target().clone()],
            Self::Many(cluster) => cluster.targets(),
        }
    }

    /// Its CPU.
    pub(super) fn meters(&self) -> Vec<Meter> {
        match self {
            Self::One(server) => vec![Meter::new("server", [server.probe()])],
            Self::Many(cluster) => cluster.meters(),
        }
    }

    /// Its cluster, if it is one.
    pub(super) fn cluster(&mut self) -> Option<&mut Cluster> {
        match self {
            Self::One(_) => None,
            Self::Many(cluster) => Some(cluster),
        }
    }

    /// Ends it; the last warnings it logged.
    pub(super) async fn stop(self) -> Result<Vec<String>> {
        match self {
            Self::One(server) => server.stop().await,
            Self::Many(cluster) => cluster.stop().await,
        }
    }
}

/// Starts contestants.
#[derive(Debug)]
pub(super) struct Launcher<'a> {
    options: &'a Options,
    tandem: PathBuf,
    this: PathBuf,
    folder: TempDir,
}

impl<'a> Launcher<'a> {
    /// Finds the programs.
    pub(super) fn new(options: &'a Options) -> Result<Self> {
        let this = current_exe().context("where is this program?")?;
        let tandem = options.server.clone().unwrap_or_else(|| this.with_file_name("tandem"));
        let tandem = tandem
            .canonicalize()
            .with_context(|| format!("no server at {}: build it with `cargo build --release`", tandem.display()))?;
        let folder = tempfile::tempdir()?;
        // PostgreSQL runs as another user, and has its data in here.
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        Ok(Self { options, tandem, this, folder })
    }

    /// A fresh one; `purpose` names the folder for its data.
    pub(super) async fn start(&self, contestant: Contestant, purpose: &str) -> Result<Running> {
        let name = contestant.name();
        let folder = self.folder.path().join(format!("{name}-{purpose}"));
        std::fs::create_dir_all(&folder)?;
        let (program, arguments, settings): (&Path, &[&str], _) = match contestant {
            Contestant::Cluster => return self.start_cluster(&folder).await,
            Contestant::Tandem => (&self.tandem, &["serve"], self.settings(&folder)),
            Contestant::Relay => (&self.this, &["relay", "--leashed"], Vec::new()),
        };
        let server = Server::start(name, program, arguments, &settings, &folder).await?;
        Ok(Running::One(Box::new(server)))
    }

    async fn start_cluster(&self, folder: &Path) -> Result<Running> {
        let Options { nodes, ledger, .. } = *self.options;
        if ledger == crate::cluster::Ledger::Postgres && !crate::backing::Postgres::is_here() {
            bail!("--ledger postgres needs PostgreSQL on this machine (Debian: postgresql)");
        }
        let plan = Plan { program: &self.tandem, nodes, ledger, settings: self.settings(folder), folder };
        Ok(Running::Many(Box::new(Cluster::start(plan).await?)))
    }

    fn settings(&self, folder: &Path) -> Vec<(String, String)> {
        let data = folder.join("data");
        let own = [
            ("HOST", "127.0.0.1".to_owned()),
            ("PORT", "0".to_owned()),
            ("LOG_FORMAT", "json".to_owned()),
            ("LOG_LEVEL", "info".to_owned()),
            // Nothing is measured any more when it stops.
            ("DRAIN_SECONDS", "1".to_owned()),
            ("TANDEM_DATA_DIR", data.to_string_lossy().into_owned()),
        ];
        let own = own.into_iter().map(|(key, value)| (key.to_owned(), value));
        own.chain(self.options.settings.iter().cloned()).collect()
    }
}
