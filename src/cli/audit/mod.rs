//! `tandem audit`: queries of the ledger, and its dead letters.

mod dead_letters;
mod events;
mod forget;
mod limit;
mod moment;
mod print;

use std::{io, process::ExitCode};

use clap::{Args, Subcommand};

use crate::{config::PostgresConfig, ledger::Database};

#[derive(Debug, Args)]
pub(super) struct Audit {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List events, oldest first
    Events(events::Events),
    /// List entries that could not be written into PostgreSQL, and write them again
    DeadLetters(dead_letters::DeadLetters),
    /// Erase a user, and leave proof of it that does not name them
    Forget(forget::Forget),
}

impl Audit {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let done = match self.what {
            What::Events(events) => events.run(),
            What::DeadLetters(letters) => letters.run(),
            What::Forget(forget) => forget.run(),
        };
        match done {
            // The reader has closed the pipe, as `| head` does.
            Err(error) if is_broken_pipe(&error) => Ok(ExitCode::SUCCESS),
            done => done,
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Queries PostgreSQL, on a thread of its own.
fn ask<T>(config: &PostgresConfig, question: impl AsyncFnOnce(Database) -> anyhow::Result<T>) -> anyhow::Result<T> {
    // A query may have to scan years.
    let database = Database::patient(config)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(question(database))
}
