//! Not with `refinery`, which takes no lock, panics on a row of its table that it cannot read, cannot list pending migrations without
//! writing, and requires its own file names. What remains without these is a loop.

use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, sleep};

use super::{Database, LedgerError, Lock, LockSession};
use crate::ledger::migrations::{self, Migration};

/// How long one migration may take.
const LONGEST: Duration = Duration::from_hours(1);
/// Poll interval while another process migrates.
const PAUSE: Duration = Duration::from_millis(250);

const TABLE: &str = "CREATE TABLE IF NOT EXISTS schema_migrations (
    number     integer     NOT NULL PRIMARY KEY,
    name       text        NOT NULL,
    checksum   text        NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now())";

/// Why the schema cannot be used, or brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// PostgreSQL cannot be used.
    #[error("{0}")]
    Ledger(#[from] LedgerError),
    /// The text of an applied migration has changed.
    #[error(
        "migration {0} was applied with another text than this binary has: the schema has drifted, and nothing was changed"
    )]
    Drift(String),
    /// A newer binary has migrated the database.
    #[error(
        "the database has migration {0}, which this binary does not know: it is older than the database, and nothing was changed"
    )]
    Newer(String),
    /// Another process holds the lock.
    #[error("another process has been migrating for longer than {} s", .0.as_secs())]
    Busy(Duration),
}

/// The state of the schema of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    /// The names of applied migrations, in order.
    pub applied: Vec<String>,
    /// The names of pending migrations.
    pub pending: Vec<&'static str>,
}

struct Applied {
    number: i32,
    name: String,
    checksum: String,
}

fn checksum(sql: &str) -> String {
    format!("{:x}", Sha256::digest(sql))
}

/// The state of the schema after `applied`, if these are migrations of this binary.
fn compare(applied: &[Applied]) -> Result<Schema, MigrateError> {
    let all = migrations::postgres();
    for row in applied {
        match all.iter().find(|migration| migration.number == row.number) {
            None => return Err(MigrateError::Newer(row.name.clone())),
            Some(Migration { sql, .. }) if checksum(sql) != row.checksum => {
                return Err(MigrateError::Drift(row.name.clone()));
            }
            Some(_) => {}
        }
    }
    let pending = all.iter().filter(|migration| applied.iter().all(|row| row.number != migration.number));
    let pending = pending.map(|migration| migration.name).collect();
    Ok(Schema { applied: applied.iter().map(|row| row.name.clone()).collect(), pending })
}

async fn applied(client: &tokio_postgres::Client) -> Result<Vec<Applied>, LedgerError> {
    let rows = match client.query("SELECT number, name, checksum FROM schema_migrations ORDER BY number", &[]).await {
        Ok(rows) => rows,
        Err(error) => {
            let error = LedgerError::from(error);
            return if error.is_undefined_table() { Ok(Vec::new()) } else { Err(error) };
        }
    };
    let read = |row: tokio_postgres::Row| -> Result<Applied, LedgerError> {
        Ok(Applied { number: row.try_get(0)?, name: row.try_get(1)?, checksum: row.try_get(2)? })
    };
    rows.into_iter().map(read).collect()
}

impl Schema {
    /// Reads the state, and changes nothing.
    pub async fn look(database: &Database) -> Result<Self, MigrateError> {
        let client = database.lend().await?;
        let outcome = database.within(applied(&client)).await;
        compare(&database.return_client(client, outcome)?)
    }

    /// Applies pending migrations, each in its own transaction. Concurrent processes wait up to `wait` for the one that migrates, and then
    /// find nothing pending. Returns the names of the applied migrations.
    pub async fn migrate(database: &Database, wait: Duration) -> Result<Vec<&'static str>, MigrateError> {
        let begun = Instant::now();
        let mut held = database.lock_session(Lock::Schema, LONGEST, LONGEST).await?;
        while !held.hold().await? {
            if begun.elapsed() > wait {
                return Err(MigrateError::Busy(wait));
            }
            sleep(PAUSE).await;
        }
        held.within(async { Ok(held.client().batch_execute(TABLE).await?) }).await?;
        let before = held.within(applied(held.client())).await?;
        let pending = compare(&before)?.pending;
        for migration in migrations::postgres().into_iter().filter(|migration| pending.contains(&migration.name)) {
            apply(&mut held, migration).await?;
            tracing::info!(migration = migration.name, "applied");
        }
        Ok(pending)
    }
}

async fn apply(held: &mut LockSession, Migration { number, name, sql }: Migration) -> Result<(), LedgerError> {
    let step = held.client_mut().transaction().await?;
    step.batch_execute(sql).await?;
    step.execute(
        "INSERT INTO schema_migrations (number, name, checksum) VALUES ($1, $2, $3)",
        &[&number, &name, &checksum(sql)],
    )
    .await?;
    Ok(step.commit().await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(number: i32, name: &str, sql: &str) -> Applied {
        Applied { number, name: name.to_owned(), checksum: checksum(sql) }
    }

    #[test]
    fn drift_is_seen() {
        let all = migrations::postgres();
        let all: Vec<_> = all.iter().map(|step| row(step.number, step.name, step.sql)).collect();
        assert_eq!(compare(&[]).unwrap().pending.len(), all.len());
        assert!(compare(&all).unwrap().pending.is_empty());
        assert!(
            matches!(compare(&[row(1, "0001_ledger", "other")]), Err(MigrateError::Drift(name)) if name == "0001_ledger")
        );
        assert!(matches!(compare(&[row(9_999, "later", "")]), Err(MigrateError::Newer(name)) if name == "later"));
    }
}
