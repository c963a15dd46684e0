use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{WorkerMetrics, breaker::spread, outage::Outage};
use crate::ledger::{Database, LedgerError, Lock, LockSession};

/// How often the worker checks that it holds the lock.
const LOOK: Duration = Duration::from_secs(2);
/// A worker that has not checked for this long has lost the lock.
const IDLE: Duration = Duration::from_secs(30);
/// How long one statement of a job may take.
const DEADLINE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
/// Pause after jobs that failed.
const AGAIN: Duration = Duration::from_mins(1);

/// The hourly jobs, which one worker at a time runs: the one that holds the lock. It runs them on the connection that holds the lock, so that
/// it cannot go on without the lock.
pub(super) struct Jobs {
    pub(super) database: Database,
    /// Number of months of events to keep; 0 for all.
    pub(super) retention: u16,
    pub(super) metrics: Arc<WorkerMetrics>,
    pub(super) stop: CancellationToken,
}

impl Jobs {
    pub(super) async fn run(self) {
        let mut session: Option<LockSession> = None;
        // `None` while another worker runs the jobs.
        let mut due: Option<Instant> = None;
        // After jobs that failed.
        let mut rest = Instant::now();
        let mut outage = Outage::new("PostgreSQL, for the hourly jobs");
        while !self.stop.is_cancelled() {
            match self.step(&mut session, &mut due, rest).await {
                Ok(Ok(())) => outage.over(),
                Ok(Err(error)) => {
                    tracing::warn!(%error, "the hourly jobs failed and will be retried in a minute");
                    // The connection may be the reason, so the next attempt uses a new one, of this worker or of another.
                    (session, due) = (None, None);
                    rest = Instant::now() + AGAIN;
                }
                Err(error) => {
                    outage.report(&error);
                    (session, due) = (None, None);
                }
            }
            self.metrics.jobs.set(i64::from(due.is_some()));
            tokio::select! {
                () = sleep(spread(LOOK)) => {}
                () = self.stop.cancelled() => {}
            }
        }
    }

    /// The outcome of the jobs, if they were due. An outer error means that the state of the lock is unknown.
    async fn step(
        &self,
        session: &mut Option<LockSession>,
        due: &mut Option<Instant>,
        rest: Instant,
    ) -> Result<Result<(), LedgerError>, LedgerError> {
        let session = match session {
            Some(session) => session,
            None => session.insert(self.database.lock_session(Lock::Jobs, DEADLINE, IDLE).await?),
        };
        if !session.hold().await? {
            return Ok(Ok(()));
        }
        let at = *due.get_or_insert_with(|| {
            tracing::info!("this worker runs the hourly jobs now");
            rest.max(Instant::now())
        });
        if at > Instant::now() {
            return Ok(Ok(()));
        }
        let done = self.all(session).await;
        *due = Some(Instant::now() + HOUR);
        Ok(done)
    }

    async fn all(&self, session: &LockSession) -> Result<(), LedgerError> {
        for table in session.make_partitions_ahead().await? {
            tracing::info!(%table, "a partition of the ledger was created");
        }
        let rooms = session.archive_rooms().await?;
        if rooms > 0 {
            tracing::info!(rooms, "rooms that were not used for a week were archived");
        }
        // This comes last, because a long reader can block it.
        if self.retention > 0 {
            for table in session.drop_partitions(self.retention).await? {
                tracing::info!(%table, months = self.retention, "a partition of the ledger was dropped because it is older than LEDGER_RETENTION_MONTHS");
            }
        }
        Ok(())
    }
}
