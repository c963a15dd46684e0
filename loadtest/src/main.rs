//! The load tester of tandem. It starts servers, puts them under load, checks every delivery, and measures what that costs.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing))]

mod bench;
mod client;
mod http;
mod limits;
mod load;
mod measure;
mod progress;
mod report;
mod scenario;
mod servers;
mod units;
mod workers;

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Parser, Subcommand};
use tokio::{
    runtime::Builder,
    signal::{
        ctrl_c,
        unix::{SignalKind, signal},
    },
};

use crate::{
    scenario::{attack, control, crowd, idle, limit},
    servers::{floor, relay},
};

/// Puts load on tandem, checks every delivery, and measures what it costs.
///
/// All commands start their own servers, on loopback addresses. They exit with 1 if anything was lost, doubled, out of order or refused.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Compare tandem, alone or as a cluster, with a bare relay and with peers, under the same load
    Bench(bench::Options),
    /// Measure idle sockets: memory and CPU of each, and what is given back when all break
    Idle(idle::Options),
    /// Measure changes: CPU and latency of a delivery, and whether all arrive, also through an outage
    Control(control::Options),
    /// Hold a crowd of sockets, and let nodes and Redis fail: what they cost, who comes back, and whether every room is whole
    Crowd(crowd::Options),
    /// Attack tandem from one address, and measure what others notice
    Attack(attack::Options),
    /// Find the most changes a second that a deployment takes
    Limit(limit::Options),
    /// Serve as the bare relay that `bench` compares with
    Relay(relay::Options),
    /// Serve as the bare sockets that `bench` compares with
    Floor(relay::Options),
    /// Be the attacker, for `attack`
    #[command(hide = true)]
    Attacker(attack::AttackerOptions),
    /// Make a share of a load, as told on stdin
    #[command(hide = true)]
    Worker,
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("loadtest: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode> {
    limits::raise_open_files();
    match &cli.command {
        Command::Relay(options) => return relay::run(options).map(|()| ExitCode::SUCCESS),
        Command::Floor(options) => return floor::run(options).map(|()| ExitCode::SUCCESS),
        _ => {}
    }
    // One thread for all sockets: the load generator shares the machine with what it measures.
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let code = runtime.block_on(async {
        // Either signal drops the run, and with it the servers that it has started.
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            code = execute(cli.command) => code,
            pressed = ctrl_c() => pressed.map_err(Into::into).and_then(|()| bail!("interrupted")),
            _ = terminate.recv() => bail!("terminated"),
        }
    });
    runtime.shutdown_background();
    code
}

async fn execute(command: Command) -> Result<ExitCode> {
    match command {
        Command::Bench(options) => bench::run(&options).await,
        Command::Idle(options) => idle::run(&options).await,
        Command::Control(options) => control::run(&options).await,
        Command::Crowd(options) => crowd::run(&options).await,
        Command::Attack(options) => attack::run(&options).await,
        Command::Attacker(options) => attack::attacker(&options).await.map(|()| ExitCode::SUCCESS),
        Command::Limit(options) => limit::run(&options).await,
        Command::Worker => workers::serve().await.map(|()| ExitCode::SUCCESS),
        Command::Relay(_) | Command::Floor(_) => bail!("this command runs without a load"),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
