use std::{process::ExitCode, time::Duration};

use anyhow::Context as _;
use clap::Args;
use tokio::time::{Instant, sleep};

use super::environment::Environment;
use crate::{
    config::{LogConfig, PostgresConfig},
    ledger::{Database, Duty, LedgerError, MigrateError, Schema, Unfit},
    telemetry,
};

/// Pause between two attempts to reach the database.
const RETRY: Duration = Duration::from_millis(500);
/// How long a process waits for another one that migrates.
const PATIENCE: Duration = Duration::from_hours(1);

#[derive(Debug, Args)]
pub(super) struct Migrate {
    #[command(flatten)]
    postgres: PostgresConfig,
    #[command(flatten)]
    log: LogConfig,
    /// Change nothing, and print what is applied and what is pending; exit code 1 if something is
    #[arg(long, visible_alias = "check")]
    status: bool,
    /// How long to wait for the database to answer, in seconds
    #[arg(long, default_value_t = 60)]
    wait_seconds: u64,
}

impl Migrate {
    pub(super) fn run(&self, environment: &Environment) -> anyhow::Result<ExitCode> {
        if !self.postgres.is_given() {
            eprintln!(
                "tandem: DATABASE_URL or POSTGRES_HOST is needed: only the ledger of a cluster is migrated by hand"
            );
            return Ok(ExitCode::from(super::USAGE));
        }
        telemetry::init_log(&self.log, None)?;
        environment.log();
        let database = Database::patient(&self.postgres)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let schema = self.reach(&database).await?;
            if self.status {
                for name in &schema.applied {
                    println!("applied  {name}");
                }
                for name in &schema.pending {
                    println!("pending  {name}");
                }
                return Ok(ExitCode::from(u8::from(!schema.pending.is_empty())));
            }
            let done = Schema::migrate(&database, PATIENCE).await?;
            tracing::info!(applied = done.len(), "the schema is up to date");
            Ok(ExitCode::SUCCESS)
        })
    }

    /// The state of the schema, as soon as the database answers. Only failures that pass by themselves are waited for.
    async fn reach(&self, database: &Database) -> anyhow::Result<Schema> {
        let (begun, wait) = (Instant::now(), Duration::from_secs(self.wait_seconds));
        let mut said = false;
        loop {
            let looked = async {
                match database.check(Duty::Migrate).await {
                    // Printing the state needs no rights to change it.
                    Err(LedgerError::Unfit(unfit)) if self.status && !matches!(unfit, Unfit::Encoding { .. }) => {}
                    outcome => outcome?,
                }
                Schema::look(database).await
            };
            match looked.await {
                Err(MigrateError::Ledger(error)) if error.passes_by_itself() => {
                    if begun.elapsed() >= wait {
                        return Err(error).with_context(|| format!("gave up after {} s", wait.as_secs()));
                    }
                    if !said {
                        tracing::warn!(%error, seconds = wait.as_secs(), "waiting for PostgreSQL");
                    }
                    said = true;
                }
                outcome => return Ok(outcome?),
            }
            sleep(RETRY).await;
        }
    }
}
