use std::process::ExitCode;

use clap::Args;

use crate::{config::Config, node::Node, telemetry};

#[derive(Debug, Args)]
pub(super) struct Serve {
    #[command(flatten)]
    pub(super) config: Config,
}

pub(super) fn run(config: Config) -> anyhow::Result<ExitCode> {
    telemetry::init_log(&config.log)?;
    let people = telemetry::is_for_people(&config.log);
    raise_file_limit(config.server.max_connections);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let node = Node::start(config).await?;
        if people {
            println!("\n  Open http://localhost:{} in two browsers. Ctrl-C stops.\n", node.address().port());
        }
        node.run().await
    })?;
    Ok(ExitCode::SUCCESS)
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
