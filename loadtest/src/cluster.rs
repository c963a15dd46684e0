//! A whole cluster on this machine: Redis, nodes, and where it is wanted PostgreSQL and a worker.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use axum::http::StatusCode;
use tokio::{process::Command, time::timeout};

use crate::{
    audit::{Audit, Done, audit},
    backing::{Postgres, Redis},
    http,
    meter::Meter,
    process::Server,
    target::Target,
};

/// Names a server that is not there: entries are made and appended, and nobody takes them.
const NO_DATABASE: &str = "postgres://tandem@127.0.0.1:1/tandem";

/// How long nodes may take until they let clients in.
const READY: Duration = Duration::from_secs(20);

/// How long the schema may take.
const MIGRATE: Duration = Duration::from_mins(1);

/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// Where the ledger's entries go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Ledger {
    /// Into the streams of Redis, where they stay
    Streams,
    /// On from there into PostgreSQL, by a worker
    Postgres,
}

/// How a cluster is to be.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    /// The program of its nodes.
    pub(crate) program: &'a Path,
    /// How many there are.
    pub(crate) nodes: u32,
    /// Where the ledger's entries go.
    pub(crate) ledger: Ledger,
    /// Masters of its Redis Cluster; `None` for a single Redis.
    pub(crate) masters: Option<u32>,
    /// Settings of each node.
    pub(crate) settings: Vec<(String, String)>,
    /// A folder that is there, for all that the servers write.
    pub(crate) folder: &'a Path,
}

/// A cluster that lives as long as this value.
#[derive(Debug)]
pub(crate) struct Cluster {
    // In the order in which they are to end.
    nodes: Vec<Server>,
    worker: Option<Server>,
    redis: Redis,
    postgres: Option<Postgres>,
    program: PathBuf,
    folder: PathBuf,
    settings: Vec<(String, String)>,
}

impl Cluster {
    /// Starts everything but the worker, and waits until clients are let in.
    pub(crate) async fn start(plan: Plan<'_>) -> Result<Self> {
        let Plan { program, nodes, ledger, masters, mut settings, folder } = plan;
        let postgres = match ledger {
            Ledger::Streams => None,
            Ledger::Postgres => {
                let own = folder.join("postgres");
                std::fs::create_dir_all(&own)?;
                Some(Postgres::start(&own).await?)
            }
        };
        let redis = match masters {
            Some(count) => Redis::start_sharded(folder, count).await?,
            None => Redis::start(folder).await?,
        };
        let database = postgres.as_ref().map_or_else(|| NO_DATABASE.to_owned(), Postgres::url);
        let shared = [
            ("REDIS_URL", redis.url()),
            ("REDIS_MODE", redis.mode().to_owned()),
            ("TANDEM_SECRET", "the secret of a cluster under load".to_owned()),
            ("DATABASE_URL", database),
            ("WORKER_PORT", "0".to_owned()),
        ];
        settings.extend(shared.map(|(key, value)| (key.to_owned(), value)));
        let mut cluster = Self {
            nodes: Vec::new(),
            worker: None,
            redis,
            postgres,
            program: program.to_owned(),
            folder: folder.to_owned(),
            settings,
        };
        if cluster.postgres.is_some() {
            cluster.migrate().await?;
        }
        for number in 0..nodes {
            let mut own = cluster.settings.clone();
            own.push(("NODE_ID".to_owned(), format!("node-{number}")));
            cluster.nodes.push(Server::start("node", program, &["serve"], &own, folder).await?);
        }
        for node in &cluster.nodes {
            until_ready(node.target()).await?;
        }
        Ok(cluster)
    }

    async fn migrate(&self) -> Result<()> {
        let mut command = Command::new(&self.program);
        command.args(["migrate", "--wait-seconds", "30"]).env_clear().current_dir(&self.folder);
        command.envs(self.settings.iter().map(|(key, value)| (key, value))).stdin(Stdio::null()).kill_on_drop(true);
        let done = timeout(MIGRATE, command.output()).await.context("the schema takes too long")??;
        ensure!(done.status.success(), "tandem migrate: {}", String::from_utf8_lossy(&done.stdout));
        Ok(())
    }

    /// Starts the worker, if there is somewhere to write to.
    pub(crate) async fn start_worker(&mut self) -> Result<()> {
        if self.postgres.is_some() {
            let worker = Server::start("worker", &self.program, &["worker"], &self.settings, &self.folder).await?;
            self.worker = Some(worker);
        }
        Ok(())
    }

    /// Where the nodes listen.
    pub(crate) fn targets(&self) -> Vec<Target> {
        self.nodes.iter().map(|node| node.target().clone()).collect()
    }

    /// Stops one node, politely, and starts it again at the same place. Returns when it lets clients in.
    pub(crate) async fn restart(&mut self, number: usize) -> Result<Vec<String>> {
        ensure!(number < self.nodes.len(), "there is no such node");
        let old = self.nodes.remove(number);
        let port = old.target().address().port();
        let warnings = old.stop().await?;
        let mut own = self.settings.clone();
        own.push(("NODE_ID".to_owned(), format!("node-{number}")));
        own.push(("PORT".to_owned(), port.to_string()));
        let node = Server::start("node", &self.program, &["serve"], &own, &self.folder).await?;
        until_ready(node.target()).await?;
        self.nodes.insert(number, node);
        Ok(warnings)
    }

    /// How many nodes there are.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Where all of them keep the rooms.
    pub(crate) fn redis(&self) -> &Redis {
        &self.redis
    }

    /// The CPU of each part.
    pub(crate) fn meters(&self) -> Vec<Meter> {
        let mut meters =
            vec![Meter::new("nodes", self.nodes.iter().map(Server::probe)), Meter::new("Redis", self.redis.probes())];
        meters.extend(self.worker.iter().map(|worker| Meter::new("worker", [worker.probe()])));
        meters.extend(self.postgres.iter().map(|postgres| Meter::new("PostgreSQL", [postgres.probe()])));
        meters
    }

    /// How often a decision was made anew because another node was first, so far.
    pub(crate) async fn conflicts(&self) -> Result<u64> {
        let mut conflicts = 0.0;
        for node in &self.nodes {
            let (_, text) = http::get(node.target().address(), "/metrics").await?;
            conflicts += http::metric(&text, "tandem_commit_conflicts_total").context("nodes count no conflicts")?;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a counter")]
        let conflicts = conflicts as u64;
        Ok(conflicts)
    }

    /// Looks into the ledger, if there is one: is what was done in it?
    pub(crate) async fn audit(&self, done: &[Done]) -> Result<Option<Audit>> {
        match &self.postgres {
            Some(postgres) => Ok(Some(audit(&self.redis, postgres, done).await?)),
            None => Ok(None),
        }
    }

    /// Ends everything; the last warnings that were logged.
    pub(crate) async fn stop(self) -> Result<Vec<String>> {
        let mut warnings = Vec::new();
        for server in self.nodes.into_iter().chain(self.worker) {
            warnings.extend(server.stop().await?);
        }
        self.redis.stop().await?;
        if let Some(postgres) = self.postgres {
            postgres.stop().await?;
        }
        Ok(warnings)
    }
}

async fn until_ready(target: &Target) -> Result<()> {
    let begun = Instant::now();
    loop {
        let (status, why) = http::get(target.address(), "/ready").await?;
        if status == StatusCode::OK {
            return Ok(());
        }
        if begun.elapsed() > READY {
            bail!("{target} lets nobody in: {why}");
        }
        tokio::time::sleep(LOOK).await;
    }
}
