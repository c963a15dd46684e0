use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use axum::http::StatusCode;
use tempfile::TempDir;
use tokio::{
    process::Command,
    time::{sleep, timeout},
};

use super::{
    Postgres, Redis,
    launcher::{tandem, targets},
    process::Server,
};
use crate::{
    client::{Peer, Target},
    http,
    measure::{Audit, Done, Process, ProcessGroup, audit},
};

/// A database that does not exist: nodes write ledger entries to the streams, and nobody takes them.
const NO_DATABASE: &str = "postgres://tandem@127.0.0.1:1/tandem";

const READY: Duration = Duration::from_secs(20);

/// Limit for the migration of the database.
const MIGRATE: Duration = Duration::from_mins(1);

const POLL: Duration = Duration::from_millis(20);

/// Process groups that others read while nodes are restarted.
pub(crate) type SharedGroups = Arc<Mutex<Vec<ProcessGroup>>>;

/// Servers that work together. Those that were started here end with this value.
#[derive(Debug)]
pub(crate) struct Deployment {
    // Fields are dropped in this order.
    nodes: Vec<Server>,
    worker: Option<Server>,
    redis: Option<Redis>,
    postgres: Option<Postgres>,
    targets: Vec<Target>,
    peer: Peer,
    groups: SharedGroups,
    /// How nodes of tandem are started, where they can be restarted.
    node: Option<NodeSpec>,
    warnings: Vec<String>,
    folder: Option<Arc<TempDir>>,
}

#[derive(Debug, Clone)]
struct NodeSpec {
    program: PathBuf,
    settings: Vec<(String, String)>,
    folder: PathBuf,
}

impl Deployment {
    pub(super) fn running(targets: Vec<Target>, pids: &[u32], peer: Peer) -> Result<Self> {
        let processes = pids.iter().map(|pid| Process::new(*pid)).collect::<Result<Vec<_>>>()?;
        let groups = if processes.is_empty() { Vec::new() } else { vec![ProcessGroup::new("nodes", processes)] };
        let mut running = Self::of(Vec::new(), "/ws", None)?;
        (running.targets, running.peer) = (targets, peer);
        running.groups = Arc::new(Mutex::new(groups));
        Ok(running)
    }

    /// Nodes that listen on `path`, and their Redis.
    pub(super) fn of(nodes: Vec<Server>, path: &str, redis: Option<Redis>) -> Result<Self> {
        let targets = targets(&nodes, path)?;
        let new = Self {
            nodes,
            worker: None,
            redis,
            postgres: None,
            targets,
            peer: Peer::Tandem,
            groups: SharedGroups::default(),
            node: None,
            warnings: Vec::new(),
            folder: None,
        };
        new.update_groups();
        Ok(new)
    }

    /// A cluster of tandem, ready for clients. Its worker is started later.
    pub(super) async fn cluster(
        program: &Path,
        nodes: u32,
        ledger: bool,
        masters: Option<u32>,
        mut settings: Vec<(String, String)>,
        folder: &Path,
    ) -> Result<Self> {
        let mut postgres = None;
        if ledger {
            let own = folder.join("postgres");
            std::fs::create_dir_all(&own)?;
            postgres = Some(Postgres::start(&own).await?);
        }
        let redis = Redis::start(folder, masters).await?;
        let shared = [
            ("REDIS_URL", redis.url()),
            ("REDIS_MODE", redis.mode().to_owned()),
            ("TANDEM_SECRET", "the secret of a cluster under load".to_owned()),
            ("DATABASE_URL", postgres.as_ref().map_or_else(|| NO_DATABASE.to_owned(), Postgres::url)),
            ("WORKER_PORT", "0".to_owned()),
        ];
        settings.extend(shared.map(|(key, value)| (key.to_owned(), value)));
        let spec = NodeSpec { program: program.to_owned(), settings, folder: folder.to_owned() };
        if postgres.is_some() {
            spec.migrate().await?;
        }
        let mut servers = Vec::new();
        for number in 0..nodes {
            servers.push(spec.start_node(usize::try_from(number)?, None).await?);
        }
        let mut cluster = Self::of(servers, "/ws", Some(redis))?;
        cluster.postgres = postgres;
        cluster.node = Some(spec);
        cluster.update_groups();
        for target in &cluster.targets {
            until_ready(target).await?;
        }
        Ok(cluster)
    }

    /// The same, which speaks this protocol and keeps the folder of its data until it ends.
    pub(super) fn keeping(self, peer: Peer, folder: Arc<TempDir>) -> Self {
        Self { peer, folder: Some(folder), ..self }
    }

    pub(crate) fn peer(&self) -> Peer {
        self.peer
    }

    /// Starts the worker, if there is a database for it.
    pub(crate) async fn start_worker(&mut self) -> Result<()> {
        if let (Some(spec), Some(_)) = (&self.node, &self.postgres) {
            let worker = tandem(&spec.program, "worker", spec.settings.clone(), &spec.folder).await?;
            self.worker = Some(worker);
            self.update_groups();
        }
        Ok(())
    }

    pub(crate) fn targets(&self) -> &[Target] {
        &self.targets
    }

    pub(crate) fn redis(&self) -> Option<&Redis> {
        self.redis.as_ref()
    }

    pub(crate) fn postgres(&self) -> Option<&Postgres> {
        self.postgres.as_ref()
    }

    /// The processes to measure, kept up to date when nodes are restarted.
    pub(crate) fn shared_groups(&self) -> SharedGroups {
        Arc::clone(&self.groups)
    }

    pub(crate) fn groups(&self) -> Vec<ProcessGroup> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn update_groups(&self) {
        let mut groups = vec![ProcessGroup::new("nodes", self.nodes.iter().map(Server::process))];
        groups.extend(self.redis.iter().map(|redis| ProcessGroup::new("redis", redis.processes())));
        groups.extend(self.worker.iter().map(|worker| ProcessGroup::new("worker", [worker.process()])));
        groups.extend(self.postgres.iter().map(|postgres| ProcessGroup::new("postgresql", [postgres.process()])));
        *self.groups.lock().unwrap_or_else(PoisonError::into_inner) = groups;
    }

    pub(crate) fn restartable_nodes(&self) -> usize {
        if self.node.is_some() { self.nodes.len() } else { 0 }
    }

    /// Stops a node gracefully, starts it again on the same port, and waits until it is ready.
    pub(crate) async fn restart(&mut self, number: usize) -> Result<()> {
        let Some(spec) = self.node.clone().filter(|_| number < self.nodes.len()) else {
            bail!("only nodes of a cluster that was started here can be restarted");
        };
        let old = self.nodes.remove(number);
        let port = old.address().port();
        self.warnings.extend(old.stop().await?);
        self.nodes.insert(number, spec.start_node(number, Some(port)).await?);
        ensure!(targets(&self.nodes, "/ws")? == self.targets, "node {number} listens on another port than before");
        until_ready(self.targets.get(number).context("no such node")?).await?;
        self.update_groups();
        Ok(())
    }

    /// Commits so far that were repeated because another node had changed the room.
    pub(crate) async fn conflicts(&self) -> Result<u64> {
        let mut conflicts = 0.0;
        for target in &self.targets {
            let (_, text) = http::get(target.address(), "/metrics").await?;
            let metric = "tandem_commit_conflicts_total";
            conflicts += http::metric(&text, metric).with_context(|| format!("{target} has no {metric}"))?;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a counter")]
        let conflicts = conflicts as u64;
        Ok(conflicts)
    }

    /// Compares the ledger with what was done; `None` if there is no database.
    pub(crate) async fn audit(&self, done: &[Done]) -> Result<Option<Audit>> {
        match (&self.redis, &self.postgres) {
            (Some(redis), Some(postgres)) => Ok(Some(audit(redis, postgres, done).await?)),
            _ => Ok(None),
        }
    }

    /// Stops everything that was started here; returns the last warnings of the logs.
    pub(crate) async fn stop(self) -> Result<Vec<String>> {
        let mut warnings = self.warnings;
        for server in self.nodes.into_iter().chain(self.worker) {
            warnings.extend(server.stop().await?);
        }
        if let Some(redis) = self.redis {
            redis.stop().await?;
        }
        if let Some(postgres) = self.postgres {
            postgres.stop().await?;
        }
        drop(self.folder);
        Ok(warnings)
    }
}

impl NodeSpec {
    async fn start_node(&self, number: usize, port: Option<u16>) -> Result<Server> {
        let mut settings = self.settings.clone();
        settings.push(("NODE_ID".to_owned(), format!("node-{number}")));
        settings.extend(port.map(|port| ("PORT".to_owned(), port.to_string())));
        tandem(&self.program, "serve", settings, &self.folder).await
    }

    async fn migrate(&self) -> Result<()> {
        let mut command = Command::new(&self.program);
        command.args(["migrate", "--wait-seconds", "30"]).env_clear().current_dir(&self.folder).kill_on_drop(true);
        command.envs(self.settings.iter().map(|(key, value)| (key, value)));
        let done = timeout(MIGRATE, command.output()).await.context("`tandem migrate` takes too long")??;
        ensure!(done.status.success(), "`tandem migrate` failed: {}", String::from_utf8_lossy(&done.stdout));
        Ok(())
    }
}

async fn until_ready(target: &Target) -> Result<()> {
    let begun = Instant::now();
    loop {
        let (status, why) = http::get(target.address(), "/ready").await?;
        if status == StatusCode::OK {
            return Ok(());
        }
        ensure!(begun.elapsed() < READY, "{target} is not ready after {READY:?}: {why}");
        sleep(POLL).await;
    }
}
