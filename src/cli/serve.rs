use std::{process::ExitCode, thread::available_parallelism};

use clap::Args;
use tokio::runtime::{Builder, Runtime};

use super::hangup;
use crate::{
    config::{Config, ServerConfig},
    node::Node,
    telemetry,
};

#[derive(Debug, Args)]
pub(super) struct Serve {
    #[command(flatten)]
    pub(super) config: Config,
}

pub(super) fn run(config: Config) -> anyhow::Result<ExitCode> {
    telemetry::init_log(&config.log, config.server.secret.as_deref())?;
    let people = telemetry::is_for_people(&config.log);
    raise_file_limit(config.server.max_connections);
    let runtime = runtime(&config.server)?;
    runtime.block_on(async {
        hangup::ignore_hangups()?;
        let node = Node::start(config).await?;
        if people {
            println!("\n  Open http://localhost:{} in two browsers. Ctrl-C stops.\n", node.address().port());
        }
        anyhow::Ok(node.run().await?)
    })?;
    Ok(ExitCode::SUCCESS)
}

/// One CPU is left to the kernel's side of the sockets, and to the ledger of a single node.
fn runtime(server: &ServerConfig) -> std::io::Result<Runtime> {
    let spare = || available_parallelism().map_or(1, |all| all.get().saturating_sub(1).max(1));
    Builder::new_multi_thread().worker_threads(server.worker_threads.unwrap_or_else(spare)).enable_all().build()
}

/// Files that a node needs beside its sockets.
const SPARE_FILES: u64 = 256;

/// Every socket is a file, and most systems allow 1,024 unless a process asks for more.
fn raise_file_limit(sockets: usize) {
    let wanted = sockets as u64 + SPARE_FILES;
    match rlimit::increase_nofile_limit(wanted) {
        Ok(limit) if limit < wanted => {
            tracing::warn!(limit, wanted, "fewer open files are allowed than MAX_CONNECTIONS needs (ulimit -n)");
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "the limit of open files could not be raised (ulimit -n)"),
    }
}
