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
    let people = crate::telemetry::is_for_people(&config.log);
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
