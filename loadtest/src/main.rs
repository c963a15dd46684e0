//! Measures tandem beside a bare relay: memory per idle socket, CPU per delivered message, latency and correctness.
//!
//! `loadtest bench` does everything by itself; the other commands run one part of it.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing))]

mod audit;
mod backing;
mod bench;
mod centrifugo;
mod client;
mod cluster;
mod contestant;
mod crew;
mod crowd;
mod findings;
mod fleet;
mod haul;
mod http;
mod latency;
mod limits;
mod meter;
mod notes;
mod pacer;
mod peers;
mod probe;
mod process;
mod progress;
mod relay;
mod report;
mod rival;
mod scan;
mod scenario;
mod schedule;
mod socketio;
mod stage;
mod tally;
mod target;
mod trial;
mod units;
mod venue;

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
    crowd::Kind,
    progress::Progress,
    scenario::{control, growth, idle, limit},
};

/// Load generator of tandem. Talks to loopback addresses only.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Starts tandem and the bare relay, measures both, compares them and prints a table
    Bench(bench::Options),
    /// Joined sockets that do nothing; then all break, and come again: what does one cost?
    Idle(idle::Options),
    /// Hosts that play and pause: what does a delivery cost, how long does it take, and does every one arrive?
    Control(control::Options),
    /// What sockets, rooms, members, nodes or masters of Redis cost as they become more
    Growth(growth::Options),
    /// Looks for the most changes a second that servers take
    Limit(limit::Options),
    /// Calls: members join, and each connects to each, with offers, answers and candidates of real sizes
    Signal(crowd::Options),
    /// Evenings: players that report, hosts that seek, people who talk, come in, and load their page anew
    Party(crowd::Options),
    /// All sockets break at once, and all come back: first at once, then spread
    Storm(crowd::Options),
    /// People who come and go
    Churn(crowd::Options),
    /// Every node is restarted, one after the other, under load
    Drain(crowd::Options),
    /// One of each room stops reading; the others must not notice
    Slow(crowd::Options),
    /// A party that goes on and on: what grows?
    Soak(crowd::Options),
    /// Compares two results of the above
    Compare(findings::compare::Options),
    /// Makes a part of a load, as it is told on stdin
    #[command(hide = true)]
    Hand,
    /// The bare relay that `bench` compares tandem with: axum, rooms by query string, no state
    Relay(relay::Options),
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
    if let Command::Relay(options) = cli.command {
        relay::run(&options)?;
        return Ok(ExitCode::SUCCESS);
    }
    // One thread for all sockets: the generator shares the machine with what it measures.
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let code = runtime.block_on(async {
        // Either signal drops what is under way, and the servers that were started with it.
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            code = measure(cli.command) => code,
            pressed = ctrl_c() => pressed.map_err(Into::into).and_then(|()| bail!("interrupted")),
            _ = terminate.recv() => bail!("terminated"),
        }
    });
    runtime.shutdown_background();
    code
}

async fn measure(command: Command) -> Result<ExitCode> {
    if matches!(command, Command::Hand) {
        crew::serve().await?;
        return Ok(ExitCode::SUCCESS);
    }
    let progress = Progress::start();
    match command {
        Command::Bench(options) => bench::run(&options, &progress).await,
        Command::Idle(options) => idle::run(&options, &progress).await,
        Command::Control(options) => control::run(&options, &progress).await,
        Command::Growth(options) => growth::run(&options, &progress).await,
        Command::Limit(options) => limit::run(&options, &progress).await,
        Command::Signal(options) => crowd::run(Kind::Signal, &options, &progress).await,
        Command::Party(options) => crowd::run(Kind::Party, &options, &progress).await,
        Command::Storm(options) => crowd::run(Kind::Storm, &options, &progress).await,
        Command::Churn(options) => crowd::run(Kind::Churn, &options, &progress).await,
        Command::Drain(options) => crowd::run(Kind::Drain, &options, &progress).await,
        Command::Slow(options) => crowd::run(Kind::Slow, &options, &progress).await,
        Command::Soak(options) => crowd::run(Kind::Soak, &options, &progress).await,
        Command::Compare(options) => findings::compare::run(&options),
        Command::Relay(_) | Command::Hand => bail!("this one is run elsewhere"),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn all_options_go_together() {
        Cli::command().debug_assert();
    }
}
