use std::time::Duration;

use deadpool_postgres::ClientWrapper;
use tokio::time::timeout;

use super::{Database, LedgerError};

/// Deadline for taking or checking a lock.
const BRIEF: Duration = Duration::from_secs(5);

/// Work that only one process of a deployment may do at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lock {
    /// Change the schema.
    Schema,
    /// Run the hourly jobs.
    Jobs,
    /// Make partitions. This lock is held for one transaction only.
    Partitions,
    /// Change rows of `rooms` and `users`. This lock is held for the rest of a transaction.
    Rows,
}

impl Lock {
    /// All programs in a database share the numbers of advisory locks, so these begin with "tandem".
    pub(super) fn key(self) -> i64 {
        const TANDEM: i64 = 0x7461_6e64_656d_0000;
        TANDEM
            + match self {
                Self::Schema => 1,
                Self::Jobs => 2,
                Self::Partitions => 3,
                Self::Rows => 4,
            }
    }
}

/// A connection that holds a lock, or tries to get it. The lock is free again when the connection ends.
pub struct LockSession {
    client: ClientWrapper,
    lock: Lock,
    held: bool,
    deadline: Duration,
}

impl std::fmt::Debug for LockSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LockSession").field("lock", &self.lock).field("held", &self.held).finish_non_exhaustive()
    }
}

impl Database {
    /// Opens a connection for a lock, without asking for the lock yet. PostgreSQL ends the connection once it was idle for `idle`, so that
    /// others get the lock from a process that hangs. One statement may take `deadline`.
    pub async fn lock_session(
        &self,
        lock: Lock,
        deadline: Duration,
        idle: Duration,
    ) -> Result<LockSession, LedgerError> {
        let session = LockSession { client: self.own().await?, lock, held: false, deadline };
        let (statement, idle) = (deadline.as_millis(), idle.as_millis());
        let settings = format!("SET statement_timeout = {statement}; SET idle_session_timeout = {idle}");
        session.briefly(async { Ok(session.client.batch_execute(&settings).await?) }).await?;
        Ok(session)
    }
}

impl LockSession {
    /// Takes the lock if nobody has it. Whether this session holds it. After an error the connection is of no more use.
    pub async fn hold(&mut self) -> Result<bool, LedgerError> {
        if self.held {
            self.briefly(async { Ok(self.client.batch_execute("").await?) }).await?;
            return Ok(true);
        }
        let key = self.lock.key();
        self.held = self
            .briefly(async { Ok(self.client.query_one("SELECT pg_try_advisory_lock($1)", &[&key]).await?.try_get(0)?) })
            .await?;
        Ok(self.held)
    }

    /// With the deadline for statements that answer at once.
    async fn briefly<T>(&self, work: impl Future<Output = Result<T, LedgerError>>) -> Result<T, LedgerError> {
        let late = self.deadline.min(BRIEF);
        timeout(late, work).await.unwrap_or(Err(LedgerError::Late(late)))
    }

    pub(super) fn client(&self) -> &ClientWrapper {
        &self.client
    }

    pub(super) fn client_mut(&mut self) -> &mut ClientWrapper {
        &mut self.client
    }

    pub(super) async fn within<T>(&self, work: impl Future<Output = Result<T, LedgerError>>) -> Result<T, LedgerError> {
        // The deadline of the server should come first, because its error says more.
        let late = self.deadline + self.deadline / 4;
        timeout(late, work).await.unwrap_or(Err(LedgerError::Late(late)))
    }

    /// Closes rooms that have not changed for a week, because no node will. Returns how many.
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
