use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use axum::http::StatusCode;
use futures_util::future::try_join_all;
use rustix::process::Signal;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use super::{
    Ledger, Postgres, Redis, RedisKind,
    process::{Server, command, free_port},
};
use crate::{
    client::Peer,
    http,
    measure::{Audit, Done, ProcessGroup, audit},
};

/// A database that does not exist: nodes write ledger entries to the streams, and nobody takes them.
const NO_DATABASE: &str = "postgres://tandem@127.0.0.1:1/tandem";

const READY: Duration = Duration::from_mins(1);

/// Limit for the migration of the database.
const MIGRATE: Duration = Duration::from_mins(1);

const POLL: Duration = Duration::from_millis(20);

/// Servers that work together. They end with this value.
#[derive(Debug)]
pub(crate) struct Deployment {
    // Fields are dropped in this order.
    nodes: Vec<Server>,
    worker: Option<Server>,
    redis: Option<Redis>,
    postgres: Option<Postgres>,
    peer: Peer,
    /// The nodes that had to cut their stop short.
    cut_short: u32,
    /// How processes of tandem are started.
    tandem: Option<Tandem>,
    _folder: Arc<TempDir>,
}

#[derive(Debug, Clone)]
pub(super) struct Tandem {
    pub(super) program: PathBuf,
    pub(super) settings: Vec<(String, String)>,
    pub(super) folder: PathBuf,
}

impl Deployment {
    pub(super) fn new(peer: Peer, nodes: Vec<Server>, redis: Option<Redis>, folder: Arc<TempDir>) -> Self {
        let (worker, postgres, tandem) = (None, None, None);
        Self { nodes, worker, redis, postgres, peer, cut_short: 0, tandem, _folder: folder }
    }

    /// One node of tandem.
    pub(super) async fn single(tandem: Tandem, folder: Arc<TempDir>) -> Result<Self> {
        let node = tandem.node(0, free_port()?).await?;
        let single = Self::new(Peer::Tandem, vec![node], None, folder);
        Ok(Self { tandem: Some(tandem), ..single })
    }

    /// A cluster of tandem, ready for clients. Its worker is started later.
    pub(super) async fn cluster(
        mut tandem: Tandem,
        nodes: u32,
        (ledger, kind): (Ledger, RedisKind),
        folder: Arc<TempDir>,
    ) -> Result<Self> {
        let postgres = if ledger == Ledger::Postgres {
            Some(Postgres::start(&tandem.folder.join("postgres")).await?)
        } else {
            None
        };
        let mut redis = Redis::start(&tandem.folder).await?;
        if kind == RedisKind::Sentinel {
            redis.stand_by(&tandem.folder).await?;
        }
        let mut shared = redis.settings();
        shared.push(("TANDEM_SECRET", "the secret of a cluster under load".to_owned()));
        if ledger != Ledger::None {
            shared.push(("DATABASE_URL", postgres.as_ref().map_or_else(|| NO_DATABASE.to_owned(), Postgres::url)));
        }
        tandem.settings.extend(shared.into_iter().map(|(key, value)| (key.to_owned(), value)));
        if postgres.is_some() {
            tandem.migrate().await?;
        }
        let mut cluster = Self::new(Peer::Tandem, Vec::new(), Some(redis), folder);
        for number in 0..nodes {
            cluster.nodes.push(tandem.node(usize::try_from(number)?, free_port()?).await?);
        }
        for target in cluster.targets() {
            until_ready(target).await?;
        }
        Ok(Self { postgres, tandem: Some(tandem), ..cluster })
    }

    pub(crate) fn peer(&self) -> Peer {
        self.peer
    }

    /// Starts the worker, if there is a database for it.
    pub(crate) async fn start_worker(&mut self) -> Result<()> {
        if let (Some(tandem), Some(_)) = (&self.tandem, &self.postgres) {
            let port = free_port()?;
            self.worker = Some(tandem.start("worker", port, [("WORKER_PORT", port.to_string())].into()).await?);
        }
        Ok(())
    }

    /// Where the nodes listen.
    pub(crate) fn targets(&self) -> Vec<SocketAddr> {
        self.nodes.iter().map(Server::address).collect()
    }

    pub(crate) fn redis(&self) -> Option<&Redis> {
        self.redis.as_ref()
    }

    pub(crate) fn postgres(&self) -> Option<&Postgres> {
        self.postgres.as_ref()
    }

    /// The processes to measure.
    pub(crate) fn groups(&self) -> Vec<ProcessGroup> {
        let mut groups = vec![ProcessGroup::new("nodes", self.nodes.iter().map(Server::process))];
        groups.extend(self.redis.iter().flat_map(Redis::groups));
        groups.extend(self.worker.iter().map(|worker| ProcessGroup::new("worker", [worker.process()])));
        groups.extend(self.postgres.iter().map(|postgres| ProcessGroup::new("postgresql", [postgres.process()])));
        groups
    }

    /// Stops or kills a node of tandem, starts it again on the same port, and waits until it is ready.
    pub(crate) async fn restart(&mut self, number: usize, kill: bool) -> Result<()> {
        self.end(number, kill).await?;
        self.start(number).await
    }

    /// Stops or kills a node of tandem. It is missing until it is started.
    pub(crate) async fn end(&mut self, number: usize, kill: bool) -> Result<()> {
        let node = self.nodes.get_mut(number).with_context(|| format!("there is no node {number}"))?;
        if kill {
            return node.kill().await;
        }
        self.cut_short += u32::from(node.stop_or_cut_short().await?);
        Ok(())
    }

    /// Stops all nodes at the same time.
    pub(crate) async fn end_all(&mut self) -> Result<()> {
        let cut = try_join_all(self.nodes.iter_mut().map(Server::stop_or_cut_short)).await?;
        self.cut_short += u32::try_from(cut.into_iter().filter(|cut| *cut).count())?;
        Ok(())
    }

    /// How many nodes had to cut their stop short so far, because it took too long.
    pub(crate) fn cut_short(&self) -> u32 {
        self.cut_short
    }

    /// Starts a node that has ended, on its port, and waits until it is ready.
    pub(crate) async fn start(&mut self, number: usize) -> Result<()> {
        let tandem = self.tandem.as_ref().context("only nodes of tandem can be restarted")?;
        let node = self.nodes.get_mut(number).with_context(|| format!("there is no node {number}"))?;
        *node = tandem.node(number, node.address().port()).await?;
        until_ready(node.address()).await
    }

    /// Starts all nodes, which have ended.
    pub(crate) async fn start_all(&mut self) -> Result<()> {
        let tandem = self.tandem.as_ref().context("only nodes of tandem can be restarted")?;
        let start = async |(number, node): (usize, &mut Server)| {
            *node = tandem.node(number, node.address().port()).await?;
            until_ready(node.address()).await
        };
        try_join_all(self.nodes.iter_mut().enumerate().map(start)).await.map(|_| ())
    }

    /// Kills the master of Redis; returns when its replica has become the master.
    pub(crate) async fn fail_over(&mut self) -> Result<()> {
        self.redis.as_mut().context("there is no Redis")?.fail_over().await
    }

    /// The sum of a metric over all nodes.
    pub(crate) async fn metric(&self, name: &str) -> Result<f64> {
        let mut sum = 0.0;
        for target in self.targets() {
            let (_, text) = http::get(target, "/metrics").await?;
            sum += http::metric(&text, name).with_context(|| format!("{target} has no {name}"))?;
        }
        Ok(sum)
    }

    /// Compares the ledger with what was done; `None` if there is no database.
    pub(crate) async fn audit(&self, done: &[Done]) -> Result<Option<Audit>> {
        match (&self.redis, &self.postgres) {
            (Some(redis), Some(postgres)) => Ok(Some(audit(redis, postgres, done).await?)),
            _ => Ok(None),
        }
    }

    /// Stops all servers.
    pub(crate) async fn stop(self) -> Result<()> {
        for mut server in self.nodes.into_iter().chain(self.worker) {
            server.stop().await?;
        }
        if let Some(redis) = self.redis {
            redis.stop().await?;
        }
        if let Some(postgres) = self.postgres {
            postgres.stop().await?;
        }
        Ok(())
    }
}

impl Tandem {
    async fn node(&self, number: usize, port: u16) -> Result<Server> {
        let own = vec![("NODE_ID", format!("node-{number}")), ("PORT", port.to_string())];
        self.start("serve", port, own).await
    }

    async fn start(&self, name: &'static str, port: u16, own: Vec<(&str, String)>) -> Result<Server> {
        let mut command = command(&self.program, None, Signal::TERM);
        command.arg(name).envs(self.settings.iter().cloned()).envs(own);
        Server::start(name, command, &self.folder, port, Signal::TERM).await
    }

    async fn migrate(&self) -> Result<()> {
        let mut command = command(&self.program, None, Signal::TERM);
        command.args(["migrate", "--wait-seconds", "30"]).envs(self.settings.iter().cloned()).current_dir(&self.folder);
        let done = timeout(MIGRATE, command.output()).await.context("`tandem migrate` takes too long")??;
        ensure!(done.status.success(), "`tandem migrate` failed: {}", String::from_utf8_lossy(&done.stdout));
        Ok(())
    }
}

async fn until_ready(target: SocketAddr) -> Result<()> {
    let begun = Instant::now();
    loop {
        let why = match http::get(target, "/ready").await {
            Ok((StatusCode::OK, _)) => return Ok(()),
            Ok((_, why)) => why,
            // Behind the clients of a whole cluster even this question waits.
            Err(error) => format!("{error:#}"),
        };
        ensure!(begun.elapsed() < READY, "{target} is not ready after {READY:?}: {why}");
        sleep(POLL).await;
    }
}
