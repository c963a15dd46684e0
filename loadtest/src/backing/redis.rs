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

/// Between two looks whether it answers.
const LOOK: Duration = Duration::from_millis(20);

/// A `redis-server` without persistence.
#[derive(Debug)]
pub(crate) struct Redis {
    daemon: Daemon,
    port: u16,
}

impl Redis {
    /// Starts it on a free port and waits until it answers.
    pub(crate) async fn start(folder: &Path) -> Result<Self> {
        let program =
            find("redis-server", &[]).context("redis-server is missing: install it (Debian: redis-server)")?;
        let port = free_port()?;
        let mut command = tethered(&program, None, "TERM");
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        command.arg("--dir").arg(folder);
        let daemon = Daemon::start("redis-server", command, &folder.join("redis.log"), Signal::TERM)?;
        let mut redis = Self { daemon, port };
        let begun = Instant::now();
        while redis.connect().await.is_err() {
            redis.daemon.check()?;
            if begun.elapsed() > START {
                bail!("redis-server did not answer within {START:?}");
            }
            sleep(LOOK).await;
        }
        Ok(redis)
    }

    /// Where it is.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Its figures.
    pub(crate) fn probe(&self) -> Probe {
        self.daemon.probe()
    }

    /// For connections of other kinds.
    pub(crate) fn client(&self) -> Result<Client> {
        Ok(Client::open(self.url())?)
    }

    /// A connection for commands.
    pub(crate) async fn connect(&self) -> Result<MultiplexedConnection> {
        Ok(self.client()?.get_multiplexed_async_connection().await?)
    }

    /// Ends it.
    pub(crate) async fn stop(self) -> Result<()> {
        self.daemon.stop().await
    }
}
