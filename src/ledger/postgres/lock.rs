use std::time::Duration;

use deadpool_postgres::ClientWrapper;
use tokio::time::timeout;

use super::{Database, LedgerError};

/// What only one process of a deployment may do at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lock {
    /// Change the schema.
    Schema,
    /// Do what has to be done every hour.
    Jobs,
    /// Make partitions; held for a transaction only.
    Partitions,
}

impl Lock {
    /// The numbers of advisory locks belong to everybody in a database, so these begin with "tandem".
    pub(super) fn key(self) -> i64 {
        const TANDEM: i64 = 0x7461_6e64_656d_0000;
        TANDEM
            + match self {
                Self::Schema => 1,
                Self::Jobs => 2,
                Self::Partitions => 3,
            }
    }
}

/// A lock, and the connection that holds it: it is free when either ends.
pub struct Held {
    client: ClientWrapper,
    deadline: Duration,
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Held(..)")
    }
}

impl Database {
    /// The lock, if nobody has it. It is lost when a statement takes longer than `deadline`, or when there is none for `idle`: that is
    /// how others get it from a process that has stopped without ending.
    pub async fn try_lock(&self, lock: Lock, deadline: Duration, idle: Duration) -> Result<Option<Held>, LedgerError> {
        let client = self.own().await?;
        let held = Held { client, deadline };
        let work = async {
            let (statement, idle) = (deadline.as_millis(), idle.as_millis());
            let settings = format!("SET statement_timeout = {statement}; SET idle_session_timeout = {idle}");
            held.client.batch_execute(&settings).await?;
            let row = held.client.query_one("SELECT pg_try_advisory_lock($1)", &[&lock.key()]).await?;
            Ok(row.try_get::<_, bool>(0)?)
        };
        let got = timeout(self.patience(), work).await.unwrap_or(Err(LedgerError::Late(self.patience())))?;
        Ok(got.then_some(held))
    }
}

impl Held {
    pub(super) fn client(&self) -> &ClientWrapper {
        &self.client
    }

    pub(super) fn client_mut(&mut self) -> &mut ClientWrapper {
        &mut self.client
    }

    /// Whether the connection, and with it the lock, is still there.
    pub async fn check(&self) -> Result<(), LedgerError> {
        self.within(async { Ok(self.client.batch_execute("").await?) }).await
    }

    pub(super) async fn within<T>(&self, work: impl Future<Output = Result<T, LedgerError>>) -> Result<T, LedgerError> {
        // The server's own deadline should strike first: it says more.
        let late = self.deadline + self.deadline / 4;
        timeout(late, work).await.unwrap_or(Err(LedgerError::Late(late)))
    }

    /// Closes rooms that nobody has touched for a week: no node will. How many.
    pub async fn archive_rooms(&self) -> Result<u64, LedgerError> {
        /// Rows in one statement.
        const SOME: i64 = 5_000;
        let mut archived = 0;
        loop {
            let work = async {
                let row = self
                    .client
                    .query_one(
                        "WITH gone AS (
                             UPDATE rooms SET archived_at = now() WHERE id IN (
                                 SELECT id FROM rooms WHERE archived_at IS NULL AND updated_at < now() - interval '7 days'
                                 ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED)
                             RETURNING id),
                         left_behind AS (
                             UPDATE users SET left_at = now() FROM gone WHERE users.room_id = gone.id AND left_at IS NULL)
                         SELECT count(*) FROM gone",
                        &[&SOME],
                    )
                    .await?;
                Ok(row.try_get::<_, i64>(0)?)
            };
            let some = self.within(work).await?;
            archived += u64::try_from(some).unwrap_or_default();
            if some < SOME {
                return Ok(archived);
            }
        }
    }
}
