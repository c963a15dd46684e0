use std::{process::ExitCode, thread::available_parallelism};

use clap::{ArgMatches, Args};
use tokio::runtime::{Builder, Runtime};

use super::{environment::Environment, hangup, reread::Reread};
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

pub(super) fn run(config: Config, environment: Environment, matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    telemetry::init_log(&config.log, config.server.secret.as_deref())?;
    environment.log();
    config.ice.log();
    let mut settings = Reread::new(matches, environment);
    let people = telemetry::is_for_people(&config.log);
    let runtime = runtime(&config.server)?;
    runtime.block_on(async {
        // From now on it is the node that is told.
        hangup::ignore_hangups(None)?;
        let node = Node::start(config).await?;
        if people {
            println!("\n  Open http://localhost:{} in two browsers. Ctrl-C stops.\n", node.address().port());
        }
        anyhow::Ok(node.run(Box::new(move || settings.read())).await?)
    })?;
    Ok(ExitCode::SUCCESS)
}

/// One CPU is left for the kernel's share of the sockets' work, and for the ledger of a single node.
fn runtime(server: &ServerConfig) -> std::io::Result<Runtime> {
    let spare = || available_parallelism().map_or(1, |all| all.get().saturating_sub(1).max(1));
    Builder::new_multi_thread().worker_threads(server.worker_threads.unwrap_or_else(spare)).enable_all().build()
}
