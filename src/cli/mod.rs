//! The command line: one file a subcommand.

mod audit;
mod config;
mod hangup;
mod healthcheck;
mod migrate;
mod serve;
mod sleep;
mod worker;

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::{
    config::{Config, unknown_variables},
    telemetry,
};

/// Settings for those who start it by hand, in the directory where they do.
const DOT_ENV: &str = ".env";

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
    /// Run a node (what happens without a subcommand, too)
    Serve(serve::Serve),
    /// Write the ledger of a cluster: from Redis into PostgreSQL
    Worker(worker::Work),
    /// Bring the schema of the ledger in PostgreSQL up to date
    Migrate(migrate::Migrate),
    /// Print the settings that are in force
    Config(config::Show),
    /// Look into the ledger
    Audit(audit::Audit),
    /// Ask a running node on this machine whether it lives; exit code 0 or 1
    Healthcheck(healthcheck::Healthcheck),
    /// Do nothing for some seconds: for images that have no shell
    Sleep(sleep::Sleep),
}

/// Names each setting by its variable in help and errors, and takes an empty variable for one that is not set: that is what
/// compose files and charts make of a value that nobody gave.
fn settle(command: clap::Command) -> clap::Command {
    let own = command.mut_args(|arg| match arg.get_env().map(|name| (name.to_owned(), std::env::var_os(name))) {
        Some((_, Some(value))) if value.is_empty() => arg.env(clap::builder::Resettable::Reset),
        Some((name, _)) if arg.get_action().takes_values() => arg.value_name(name.to_string_lossy().into_owned()),
        _ => arg,
    });
    own.mut_subcommands(settle)
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

/// An error and its causes, without those that it names itself.
fn once(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |said, cause| match said.as_str() {
        "" => cause,
        said if said.contains(&cause) => said.to_owned(),
        said => format!("{said}: {cause}"),
    })
}

/// Which line of `.env` it is, without its value: that may be a secret.
fn unreadable(error: &dotenvy::Error) -> String {
    let dotenvy::Error::LineParse(rest, _) = error else { return error.to_string() };
    let text = std::fs::read_to_string(DOT_ENV).unwrap_or_default();
    // What comes with the error is the line or its end.
    let found = text.lines().zip(1..).find(|(line, _)| line.trim_end().ends_with(rest.trim_end()));
    let at = found.map_or_else(String::new, |(line, number)| {
        format!("line {number} ({}): ", line.trim_start().split(['=', ' ']).next().unwrap_or_default())
    });
    format!("{at}expected NAME=value, in quotes where the value has spaces, quotes or a #")
}

fn run() -> anyhow::Result<ExitCode> {
    if let Err(error) = dotenvy::from_path(DOT_ENV)
        && !error.not_found()
    {
        eprintln!("tandem: {DOT_ENV}: {}", unreadable(&error));
        return Ok(ExitCode::from(USAGE));
    }
    // Names only: a value that is not UTF-8 is somebody else's business.
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let unknown = unknown_variables(names);
    if !unknown.is_empty() {
        eprintln!("tandem: unknown setting {}; `tandem config` lists those there are", unknown.join(", "));
        return Ok(ExitCode::from(USAGE));
    }
    let matches = match settle(Cli::command()).try_get_matches() {
        Ok(matches) => matches,
        Err(error) => {
            let _ = error.print();
            return Ok(if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS });
        }
    };
    let cli = Cli::from_arg_matches(&matches)?;
    match cli.command {
        None => serve::run(cli.config),
        Some(Command::Serve(serve)) => serve::run(serve.config),
        Some(Command::Worker(work)) => work.run(),
        Some(Command::Migrate(migrate)) => migrate.run(),
        Some(Command::Config(show)) => {
            let own = matches.subcommand().map_or(&matches, |(_, own)| own);
            show.run(own);
            Ok(ExitCode::SUCCESS)
        }
        Some(Command::Audit(audit)) => audit.run(),
        Some(Command::Healthcheck(check)) => check.run(),
        Some(Command::Sleep(sleep)) => Ok(sleep.run()),
    }
}
