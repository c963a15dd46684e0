use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use redis::{Client, aio::MultiplexedConnection};
use rustix::process::Signal;
use tokio::time::sleep;

use super::daemon::{Daemon, find, free_port, tethered};
use crate::probe::Probe;

/// How long it may take to answer.
const START: Duration = Duration::from_secs(10);

/// How long the masters of a Redis Cluster may take to find each other.
const MEET: Duration = Duration::from_secs(20);

/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// Slots of a Redis Cluster.
const SLOTS: usize = 16_384;

/// Without persistence: one `redis-server`, or the masters of a Redis Cluster.
#[derive(Debug)]
pub(crate) struct Redis {
    masters: Vec<Master>,
    sharded: bool,
}

#[derive(Debug)]
struct Master {
    daemon: Daemon,
    port: u16,
}

impl Redis {
    /// Starts one on a free port and waits until it answers.
    pub(crate) async fn start(folder: &Path) -> Result<Self> {
        Ok(Self { masters: vec![Master::start(folder, &[]).await?], sharded: false })
    }

    /// Starts so many masters of a Redis Cluster without replicas, and waits until each knows all. `redis-cli` makes none of fewer
    /// than three, so it is made here.
    pub(crate) async fn start_sharded(folder: &Path, count: u32) -> Result<Self> {
        let mut masters = Vec::new();
        for number in 0..count {
            let own = folder.join(format!("redis-{number}"));
            std::fs::create_dir_all(&own)?;
            masters.push(Master::start(&own, &["--cluster-enabled", "yes", "--cluster-node-timeout", "5000"]).await?);
        }
        let all = masters.len();
        for (place, master) in masters.iter().enumerate() {
            let mut connection = master.connect().await?;
            let (first, last) = (SLOTS * place / all, SLOTS * (place + 1) / all - 1);
            cluster("SET-CONFIG-EPOCH").arg(place + 1).query_async::<()>(&mut connection).await?;
            cluster("ADDSLOTSRANGE").arg(first).arg(last).query_async::<()>(&mut connection).await?;
            for other in masters.iter().skip(place + 1) {
                cluster("MEET").arg("127.0.0.1").arg(other.port).query_async::<()>(&mut connection).await?;
            }
        }
        let begun = Instant::now();
        for master in &masters {
            while !master.knows(all).await? {
                if begun.elapsed() > MEET {
                    bail!("the masters of the Redis Cluster did not find each other within {MEET:?}");
                }
                sleep(LOOK).await;
            }
        }
        Ok(Self { masters, sharded: true })
    }

    /// Where it is: all of it, for nodes.
    pub(crate) fn url(&self) -> String {
        self.masters.iter().map(Master::url).collect::<Vec<_>>().join(",")
    }

    /// What nodes call it.
    pub(crate) fn mode(&self) -> &'static str {
        if self.sharded { "cluster" } else { "standalone" }
    }

    /// Its figures.
    pub(crate) fn probes(&self) -> impl Iterator<Item = Probe> {
        self.masters.iter().map(|master| master.daemon.probe())
    }

    /// For connections of other kinds; to the first master.
    pub(crate) fn client(&self) -> Result<Client> {
        self.masters.first().context("there is no Redis")?.client()
    }

    /// A connection for commands; to the first master.
    pub(crate) async fn connect(&self) -> Result<MultiplexedConnection> {
        Ok(self.client()?.get_multiplexed_async_connection().await?)
    }

    /// The ledger's entries that no worker has taken out yet.
    pub(crate) async fn waiting(&self) -> Result<u64> {
        let mut waiting = 0;
        for master in &self.masters {
            let mut connection = master.connect().await?;
            let streams: Vec<String> = redis::cmd("KEYS").arg("*}:events").query_async(&mut connection).await?;
            for stream in streams {
                let length: u64 = redis::cmd("XLEN").arg(stream).query_async(&mut connection).await?;
                waiting += length;
            }
        }
        Ok(waiting)
    }

    /// Ends it.
    pub(crate) async fn stop(self) -> Result<()> {
        for master in self.masters {
            master.daemon.stop().await?;
        }
        Ok(())
    }
}

impl Master {
    async fn start(folder: &Path, arguments: &[&str]) -> Result<Self> {
        let program =
            find("redis-server", &[]).context("redis-server is missing: install it (Debian: redis-server)")?;
        let port = free_port()?;
        let mut command = tethered(&program, None, "TERM");
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        command.arg("--dir").arg(folder).args(arguments);
        let daemon = Daemon::start("redis-server", command, &folder.join("redis.log"), Signal::TERM)?;
        let mut master = Self { daemon, port };
        let begun = Instant::now();
        while master.connect().await.is_err() {
            master.daemon.check()?;
            if begun.elapsed() > START {
                bail!("redis-server did not answer within {START:?}");
            }
            sleep(LOOK).await;
        }
        Ok(master)
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    fn client(&self) -> Result<Client> {
        Ok(Client::open(self.url())?)
    }

    async fn connect(&self) -> Result<MultiplexedConnection> {
        Ok(self.client()?.get_multiplexed_async_connection().await?)
    }

    /// Whether all slots are served, and by so many.
    async fn knows(&self, count: usize) -> Result<bool> {
        let info: String = cluster("INFO").query_async(&mut self.connect().await?).await?;
        let has = |line: &str| info.lines().any(|it| it.trim_end() == line);
        Ok(has("cluster_state:ok") && has(&format!("cluster_size:{count}")))
    }
}

fn cluster(command: &str) -> redis::Cmd {
    let mut cluster = redis::cmd("CLUSTER");
    cluster.arg(command);
    cluster
}
