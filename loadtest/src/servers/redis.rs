use std::path::Path;

use anyhow::{Context, Result};
use redis::{Client, aio::MultiplexedConnection};
use rustix::process::Signal;

use super::process::{Server, command, find, free_port};
use crate::measure::Process;

/// A Redis without persistence.
#[derive(Debug)]
pub(crate) struct Redis(Server);

impl Redis {
    pub(super) async fn start(folder: &Path) -> Result<Self> {
        let program = find("redis-server", &[]);
        let program = program.context("redis-server is missing: install it (Debian: apt install redis-server)")?;
        let port = free_port()?;
        let mut server = command(&program, None, Signal::TERM);
        server.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        Ok(Self(Server::start("redis-server", server, folder, port, Signal::TERM).await?))
    }

    pub(super) fn url(&self) -> String {
        format!("redis://{}", self.0.address())
    }

    pub(super) fn process(&self) -> Process {
        self.0.process()
    }

    pub(crate) async fn connect(&self) -> Result<MultiplexedConnection> {
        Ok(Client::open(self.url())?.get_multiplexed_async_connection().await?)
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

    pub(super) async fn stop(self) -> Result<()> {
        self.0.stop().await
    }
}
