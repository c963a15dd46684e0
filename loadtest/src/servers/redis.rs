use std::{path::Path, time::Duration};

use anyhow::{Context, Result};
use redis::{AsyncConnectionConfig, Client, aio::MultiplexedConnection};
use rustix::process::Signal;

use tokio::process::Command;

use super::{
    process::{Server, command, find, free_port},
    standby::Standby,
};
use crate::measure::ProcessGroup;

/// Limit for an answer to this program: it asks beside a full machine.
const ANSWER: Duration = Duration::from_secs(20);

/// A Redis without persistence.
#[derive(Debug)]
pub(crate) struct Redis {
    master: Server,
    /// Whatever takes over from it.
    standby: Option<Standby>,
}

impl Redis {
    pub(super) async fn start(folder: &Path) -> Result<Self> {
        Ok(Self { master: server(folder, &[]).await?, standby: None })
    }

    /// Starts a replica and Sentinels.
    pub(super) async fn stand_by(&mut self, folder: &Path) -> Result<()> {
        self.standby = Some(Standby::start(folder, self.master.address()).await?);
        Ok(())
    }

    /// Kills the master, and waits until the replica has taken over.
    pub(super) async fn fail_over(&mut self) -> Result<()> {
        let standby = self.standby.take().context("this Redis has no replica")?;
        self.master.kill().await?;
        let replica;
        (replica, self.standby) = standby.take_over().await?;
        self.master = replica;
        Ok(())
    }

    /// How tandem finds it.
    pub(super) fn settings(&self) -> Vec<(&'static str, String)> {
        self.standby.as_ref().map_or_else(|| vec![("REDIS_URL", self.url())], Standby::settings)
    }

    /// Its processes, to measure.
    pub(super) fn groups(&self) -> Vec<ProcessGroup> {
        let mut groups = vec![ProcessGroup::new("redis", [self.master.process()])];
        groups.extend(self.standby.as_ref().map(Standby::group));
        groups
    }

    /// Bytes that its data take.
    pub(crate) async fn used_memory(&self) -> Result<u64> {
        let mut connection = self.connect().await?;
        let info: String = redis::cmd("INFO").arg("memory").query_async(&mut connection).await?;
        let used = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
        used.and_then(|used| used.trim().parse().ok()).context("INFO has no used_memory")
    }

    pub(super) fn url(&self) -> String {
        format!("redis://{}", self.master.address())
    }

    pub(crate) async fn connect(&self) -> Result<MultiplexedConnection> {
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(ANSWER)).set_response_timeout(Some(ANSWER));
        Ok(Client::open(self.url())?.get_multiplexed_async_connection_with_config(&config).await?)
    }

    /// Ledger entries that no worker has taken yet.
    pub(crate) async fn waiting_entries(&self) -> Result<u64> {
        let mut connection = self.connect().await?;
        let streams: Vec<String> = redis::cmd("KEYS").arg("*}:events").query_async(&mut connection).await?;
        let mut waiting = 0;
        for stream in streams {
            let length: u64 = redis::cmd("XLEN").arg(stream).query_async(&mut connection).await?;
            waiting += length;
        }
        Ok(waiting)
    }

    pub(super) async fn stop(mut self) -> Result<()> {
        // Sentinels would take the end of their master for a failure.
        drop(self.standby);
        self.master.stop().await
    }
}

/// Starts a server of Redis with more arguments.
pub(super) async fn server(folder: &Path, more: &[&str]) -> Result<Server> {
    let port = free_port()?;
    let mut server = program()?;
    server.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]).args(more);
    Server::start("redis-server", server, folder, port, Signal::TERM).await
}

pub(super) fn program() -> Result<Command> {
    let program = find("redis-server", &[]);
    let program = program.context("redis-server is missing: install it (Debian: apt install redis-server)")?;
    Ok(command(&program, None, Signal::TERM))
}
