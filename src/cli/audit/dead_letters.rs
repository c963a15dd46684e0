use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::{
    ask,
    limit::Limit,
    print::{Format, print},
};
use crate::{
    config::PostgresConfig,
    ledger::{Database, DeadRow},
};

/// Number of rows that are read at once.
const PAGE: u32 = 200;

#[derive(Debug, Args)]
pub(super) struct DeadLetters {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    list: List,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List dead letters, oldest first (also without a subcommand)
    List(List),
    /// Write dead letters into the ledger after all; those that it accepts are no longer dead letters
    Replay(Replay),
}

#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    postgres: PostgresConfig,
    /// Number of dead letters to list, oldest first; 0 for all
    #[arg(long, default_value = "1000")]
    limit: Limit,
    /// Format of the output
    #[arg(long, default_value = "table")]
    format: Format,
}

#[derive(Debug, Args)]
struct Replay {
    #[command(flatten)]
    postgres: PostgresConfig,
    #[command(flatten)]
    which: Which,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// Id of a dead letter to write; may be given several times
    #[arg(long)]
    id: Vec<i64>,
    /// Write all dead letters
    #[arg(long)]
    all: bool,
}

impl DeadLetters {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        match self.what {
            None => self.list.run(),
            Some(What::List(list)) => list.run(),
            Some(What::Replay(replay)) => replay.run(),
        }
    }
}

fn is_given(postgres: &PostgresConfig) -> bool {
    if !postgres.is_given() {
        eprintln!("tandem: DATABASE_URL or POSTGRES_HOST is needed: dead letters are in the ledger of a cluster");
    }
    postgres.is_given()
}

impl List {
    fn run(self) -> anyhow::Result<ExitCode> {
        if !is_given(&self.postgres) {
            return Ok(ExitCode::from(crate::cli::USAGE));
        }
        let mut rows = ask(&self.postgres, async |database| Ok(database.dead_letters(0, self.limit.asked()).await?))?;
        rows.truncate(self.limit.printed(rows.len()));
        print(&rows, self.format)?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Replay {
    /// The exit code is 1 if one of them is still refused.
    fn run(self) -> anyhow::Result<ExitCode> {
        if !is_given(&self.postgres) {
            return Ok(ExitCode::from(crate::cli::USAGE));
        }
        ask(&self.postgres, async |database| self.all_of_it(&database).await)
    }

    async fn all_of_it(&self, database: &Database) -> anyhow::Result<ExitCode> {
        let (mut taken, mut refused, mut after) = (0_u64, 0_u64, 0);
        loop {
            let rows: Vec<DeadRow> = database.dead_letters(after, PAGE).await?;
            let Some(last) = rows.last() else { break };
            after = last.id;
            for row in rows.iter().filter(|row| self.which.all || self.which.id.contains(&row.id)) {
                match database.replay(row).await? {
                    Ok(()) => taken += 1,
                    Err(why) => {
                        refused += 1;
                        eprintln!("{}: {why}", row.id);
                    }
                }
            }
        }
        let unknown = (self.which.id.len() as u64).saturating_sub(taken + refused);
        println!("{taken} written, {refused} refused, {unknown} not found");
        Ok(ExitCode::from(u8::from(refused + unknown > 0)))
    }
}
