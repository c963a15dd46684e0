use std::{
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use redis::{Client, Cmd, RedisResult, Value};
use rustix::process::Signal;
use tokio::time::sleep;

use super::{
    process::{Server, free_port},
    redis::{program, server},
};
use crate::measure::ProcessGroup;

/// The name of the master.
const MASTER: &str = "film";

const SENTINELS: u32 = 3;

/// How long a replica may take to follow, and to take over.
const PATIENCE: Duration = Duration::from_mins(1);

const POLL: Duration = Duration::from_millis(50);

/// A replica, and the Sentinels that make it the master when the old one is gone. They are set as in the manifests of tandem: a master that
/// is silent for 5 s is down.
#[derive(Debug)]
pub(super) struct Standby {
    /// `None` after it has become the master.
    replica: Option<Server>,
    sentinels: Vec<Server>,
}

impl Standby {
    pub(super) async fn start(folder: &Path, master: SocketAddr) -> Result<Self> {
        let (host, port) = (master.ip().to_string(), master.port().to_string());
        let replica = server(folder, &["--replicaof", &host, &port]).await?;
        until(replica.address(), &["INFO", "replication"], "master_link_status:up").await?;
        let mut sentinels = Vec::new();
        for _ in 0..SENTINELS {
            sentinels.push(sentinel(folder, master).await?);
        }
        for sentinel in &sentinels {
            until(sentinel.address(), &["SENTINEL", "CKQUORUM", MASTER], "OK 3 usable").await?;
            until(sentinel.address(), &["SENTINEL", "REPLICAS", MASTER], &replica.address().port().to_string()).await?;
        }
        Ok(Self { replica: Some(replica), sentinels })
    }

    pub(super) fn settings(&self) -> Vec<(&'static str, String)> {
        let urls: Vec<String> = self.sentinels.iter().map(|it| format!("redis://{}", it.address())).collect();
        let mode = ("REDIS_MODE", "sentinel".to_owned());
        vec![("REDIS_URL", urls.join(",")), mode, ("REDIS_MASTER", MASTER.to_owned())]
    }

    pub(super) fn group(&self) -> ProcessGroup {
        ProcessGroup::new("standby", self.replica.iter().chain(&self.sentinels).map(Server::process))
    }

    /// Waits until the replica is the master; the Sentinels go on.
    pub(super) async fn take_over(mut self) -> Result<(Server, Option<Self>)> {
        let replica = self.replica.take().context("the replica has become the master before")?;
        until(replica.address(), &["INFO", "replication"], "role:master").await?;
        Ok((replica, Some(self)))
    }
}

async fn sentinel(folder: &Path, master: SocketAddr) -> Result<Server> {
    let (port, host) = (free_port()?, master.ip());
    let own = folder.join(format!("sentinel-{port}"));
    std::fs::create_dir_all(&own)?;
    let file = own.join("sentinel.conf");
    let lines = [
        format!("port {port}"),
        format!("bind {host}"),
        format!("dir {}", own.display()),
        format!("sentinel monitor {MASTER} {host} {} 2", master.port()),
        format!("sentinel down-after-milliseconds {MASTER} 5000"),
        format!("sentinel failover-timeout {MASTER} 15000"),
        String::new(),
    ];
    std::fs::write(&file, lines.join("\n"))?;
    let mut command = program()?;
    command.arg(&file).arg("--sentinel");
    Server::start("redis-sentinel", command, folder, port, Signal::TERM).await
}

/// Asks a server until its answer has a text.
async fn until(address: SocketAddr, command: &[&str], text: &str) -> Result<()> {
    let begun = Instant::now();
    loop {
        let mut connection = Client::open(format!("redis://{address}"))?.get_multiplexed_async_connection().await?;
        let mut asked = Cmd::new();
        asked.arg(command);
        let answer: RedisResult<Value> = asked.query_async(&mut connection).await;
        if format!("{answer:?}").contains(text) {
            return Ok(());
        }
        ensure!(begun.elapsed() < PATIENCE, "{address} did not say {text:?} within {PATIENCE:?}: {answer:?}");
        sleep(POLL).await;
    }
}
