//! The command line, with one file for each subcommand.

mod audit;
mod config;
mod environment;
mod hangup;
mod healthcheck;
mod inspect;
mod migrate;
mod reread;
mod revoke;
mod serve;
mod sleep;
mod token;
mod worker;

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::{config::Config, telemetry};
use environment::Environment;

/// The exit code for settings that cannot be used (`EX_USAGE` of sysexits.h).
pub const USAGE: u8 = 64;

/// A real-time signaling cluster: rooms that watch together and talk over WebRTC.
#[derive(Debug, Parser)]
#[command(name = "tandem", version, args_conflicts_with_subcommands = true, max_term_width = 110)]
struct Cli {
    #[command(flatten)]
    config: Config,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a node (also without a subcommand)
    Serve(serve::Serve),
    /// Run a worker: move the ledger of a cluster from Redis to PostgreSQL
    Worker(worker::Work),
    /// Bring the schema of the ledger in PostgreSQL up to date
    Migrate(migrate::Migrate),
    /// Print the settings that are in force
    Config(config::Show),
    /// Query the ledger
    Audit(audit::Audit),
    /// Print what keys in Redis hold, as JSON
    Inspect(inspect::Inspect),
    /// Revoke tokens and invitations
    Revoke(revoke::Revoke),
    /// Mint, verify and explain tokens and invitations
    Token(token::Token),
    /// Ask a running node on this machine whether it is alive; exit code 0 or 1
    Healthcheck(healthcheck::Healthcheck),
    /// Do nothing for some seconds: for images that have no shell
    Sleep(sleep::Sleep),
}

/// Runs the command that this process was started for.
pub fn main() -> ExitCode {
    let code = run().unwrap_or_else(|error| {
        eprintln!("tandem: {}", once(&error));
        ExitCode::FAILURE
    });
    telemetry::flush_log();
    code
}

/// An error and its causes, without the causes that its text already contains.
fn once(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |said, cause| match said.as_str() {
        "" => cause,
        said if said.contains(&cause) => said.to_owned(),
        said => format!("{said}: {cause}"),
    })
}

/// Whether only help or the version is requested: then wrong settings must not get in the way.
fn wants_help() -> bool {
    let is_help = |arg: std::ffi::OsString| ["--help", "-h", "--version", "-V"].iter().any(|help| arg == *help);
    std::env::args_os().nth(1).is_some_and(|first| first == "help") || std::env::args_os().skip(1).any(is_help)
}

fn usage(error: impl std::fmt::Display) -> ExitCode {
    eprintln!("tandem: {error}");
    ExitCode::from(USAGE)
}

fn run() -> anyhow::Result<ExitCode> {
    let environment = if wants_help() {
        Environment::default()
    } else {
        match Environment::read(&Cli::command()) {
            Ok(environment) => environment,
            Err(error) => return Ok(usage(error)),
        }
    };
    let command = environment.name_args_by_env(Cli::command());
    let matches = match command.clone().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => {
            if let Some(error) = environment.explain(&error, &command) {
                return Ok(usage(error));
            }
            let _ = error.print();
            return Ok(if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS });
        }
    };
    let cli = Cli::from_arg_matches(&matches)?;
    match cli.command {
        None => serve::run(cli.config, environment, &matches),
        Some(Command::Serve(serve)) => {
            let own = matches.subcommand().map_or(&matches, |(_, own)| own);
            serve::run(serve.config, environment, own)
        }
        Some(Command::Worker(work)) => work.run(&environment),
        Some(Command::Migrate(migrate)) => migrate.run(&environment),
        Some(Command::Config(show)) => {
            environment.print();
            let own = matches.subcommand().map_or(&matches, |(_, own)| own);
            show.run(own, |name| environment.origin(name));
            Ok(ExitCode::SUCCESS)
        }
        Some(Command::Audit(audit)) => {
            environment.print();
            audit.run()
        }
        Some(Command::Inspect(inspect)) => {
            environment.print();
            inspect.run()
        }
        Some(Command::Revoke(revoke)) => {
            environment.print();
            revoke.run()
        }
        Some(Command::Token(token)) => {
            environment.print();
            token.run()
        }
        Some(Command::Healthcheck(check)) => check.run(),
        Some(Command::Sleep(sleep)) => Ok(sleep.run()),
    }
}
