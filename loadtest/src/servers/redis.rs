use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use redis::{Client, aio::MultiplexedConnection};
use rustix::process::Signal;
use tokio::time::sleep;

use super::process::{Ready, Server, Spec, find, free_port};
use crate::measure::Process;

/// Limit for the masters of a Redis Cluster to find each other.
const MEET: Duration = Duration::from_secs(20);

const POLL: Duration = Duration::from_millis(20);

const SLOTS: usize = 16_384;

/// A Redis without persistence: one server, or the masters of a Redis Cluster.
#[derive(Debug)]
pub(crate) struct Redis {
    masters: Vec<Server>,
    cluster: bool,
}

impl Redis {
    /// Starts a single server, or so many masters of a Redis Cluster.
    pub(super) async fn start(folder: &Path, masters: Option<u32>) -> Result<Self> {
        match masters {
            None => Ok(Self { masters: vec![start(folder, &[]).await?], cluster: false }),
            Some(count) => Self::start_cluster(folder, count).await,
        }
    }

    /// Forms the cluster here, because `redis-cli` refuses to form one of fewer than three masters.
    async fn start_cluster(folder: &Path, count: u32) -> Result<Self> {
        let mut masters = Vec::new();
        for number in 0..count {
            let own = folder.join(format!("redis-{number}"));
            std::fs::create_dir_all(&own)?;
            masters.push(start(&own, &["--cluster-enabled", "yes", "--cluster-node-timeout", "5000"]).await?);
        }
        let all = masters.len();
        for (place, master) in masters.iter().enumerate() {
            let mut connection = connect(master).await?;
            let (first, last) = (SLOTS * place / all, SLOTS * (place + 1) / all - 1);
            cluster("SET-CONFIG-EPOCH").arg(place + 1).query_async::<()>(&mut connection).await?;
            cluster("ADDSLOTSRANGE").arg(first).arg(last).query_async::<()>(&mut connection).await?;
            for other in masters.iter().skip(place + 1) {
                let port = other.address().port();
                cluster("MEET").arg("127.0.0.1").arg(port).query_async::<()>(&mut connection).await?;
            }
        }
        let begun = Instant::now();
        for master in &masters {
            while !is_complete(master, all).await? {
                ensure!(begun.elapsed() < MEET, "the masters of the Redis Cluster did not meet within {MEET:?}");
                sleep(POLL).await;
            }
        }
        Ok(Self { masters, cluster: true })
    }

    pub(super) fn url(&self) -> String {
        self.masters.iter().map(url).collect::<Vec<_>>().join(",")
    }

    pub(super) fn mode(&self) -> &'static str {
        if self.cluster { "cluster" } else { "standalone" }
    }

    pub(super) fn processes(&self) -> Vec<Process> {
        self.masters.iter().map(Server::process).collect()
    }

    pub(crate) fn client(&self) -> Result<Client> {
        Ok(Client::open(url(self.masters.first().context("there is no Redis")?))?)
    }

    pub(crate) async fn connect(&self) -> Result<MultiplexedConnection> {
        Ok(self.client()?.get_multiplexed_async_connection().await?)
    }

    /// Ledger entries that no worker has taken yet.
    pub(crate) async fn waiting_entries(&self) -> Result<u64> {
        let mut waiting = 0;
        for master in &self.masters {
            let mut connection = connect(master).await?;
            let streams: Vec<String> = redis::cmd("KEYS").arg("*}:events").query_async(&mut connection).await?;
            for stream in streams {
                let length: u64 = redis::cmd("XLEN").arg(stream).query_async(&mut connection).await?;
                waiting += length;
            }
        }
        Ok(waiting)
    }

    pub(super) async fn stop(self) -> Result<()> {
        for master in self.masters {
            master.stop().await?;
        }
        Ok(())
    }
}

async fn start(folder: &Path, extra: &[&str]) -> Result<Server> {
    let program =
        find("redis-server", &[]).context("redis-server is missing: install it (Debian: apt install redis-server)")?;
    let port = free_port()?;
    let own = ["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
    Server::start(Spec {
        name: "redis-server",
        program: &program,
        arguments: own.iter().chain(extra).map(|it| (*it).to_owned()).collect(),
        settings: Vec::new(),
        folder,
        user: None,
        stop: Signal::TERM,
        ready: Ready::Port(port),
    })
    .await
}

fn url(master: &Server) -> String {
    format!("redis://{}", master.address())
}

async fn connect(master: &Server) -> Result<MultiplexedConnection> {
    Ok(Client::open(url(master))?.get_multiplexed_async_connection().await?)
}

fn cluster(subcommand: &str) -> redis::Cmd {
    let mut command = redis::cmd("CLUSTER");
    command.arg(subcommand);
    command
}

/// Whether a master sees all slots served, by all masters.
async fn is_complete(master: &Server, masters: usize) -> Result<bool> {
    let mut connection = connect(master).await?;
    let text: String = cluster("INFO").query_async(&mut connection).await?;
    let is = |name: &str, value: &str| text.lines().any(|line| line.trim_end() == format!("{name}:{value}"));
    Ok(is("cluster_state", "ok") && is("cluster_size", &masters.to_string()))
}
