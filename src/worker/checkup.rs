use std::{sync::Arc, time::Duration};

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{breaker::spread, condition::Condition, outage::Outage, start::WorkerError};
use crate::ledger::{Database, Duty, LedgerError, MigrateError, Schema, Unfit};

/// Interval between checks.
const LOOK: Duration = Duration::from_secs(2);

/// Checks regularly whether PostgreSQL can be used: whether it answers, accepts writes, has the tables, and grants this user the rights of a
/// worker.
pub(super) struct Checkup {
    pub(super) database: Database,
    pub(super) condition: Arc<Condition>,
    pub(super) stop: CancellationToken,
}

impl Checkup {
    /// Runs until told to stop, or until it is certain that this database can never be used.
    pub(super) async fn run(self) -> Result<(), WorkerError> {
        let (mut database, mut schema) = (Outage::new("PostgreSQL"), Outage::new("the schema in PostgreSQL"));
        let mut newer = false;
        while !self.stop.is_cancelled() {
            let fit = self.database.check(Duty::Worker).await;
            if let Err(error @ LedgerError::Unfit(Unfit::Encoding { .. })) = fit {
                return Err(error.into());
            }
            let complete = match fit {
                Ok(()) => {
                    database.over();
                    self.complete(&mut newer).await
                }
                Err(error) => {
                    database.report(&error);
                    self.condition.explain(Some(error.to_string()));
                    self.condition.postgres.set(false);
                    self.rest().await;
                    continue;
                }
            };
            self.condition.postgres.set(true);
            self.condition.schema.set(complete.is_ok());
            match complete {
                Ok(()) => {
                    schema.over();
                    self.condition.explain(None);
                }
                Err(why) => {
                    schema.report(&why);
                    self.condition.explain(Some(why));
                }
            }
            self.rest().await;
        }
        Ok(())
    }

    /// Whether all the migrations that this binary knows were applied; or what is missing.
    async fn complete(&self, newer: &mut bool) -> Result<(), String> {
        match Schema::look(&self.database).await {
            Ok(schema) if schema.pending.is_empty() => Ok(()),
            Ok(schema) => Err(format!("it lacks {}: run `tandem migrate`", schema.pending.join(", "))),
            // The previous binary still works with the new tables, for as long as an upgrade takes.
            Err(MigrateError::Newer(name)) => {
                if !std::mem::replace(newer, true) {
                    tracing::warn!(migration = %name, "the schema of the database is newer than this worker");
                }
                Ok(())
            }
            Err(error) => Err(error.to_string()),
        }
    }

    async fn rest(&self) {
        // A worker that starts should begin soon.
        let look = if self.condition.schema.get() { LOOK } else { LOOK / 2 };
        tokio::select! {
            () = sleep(spread(look)) => {}
            () = self.stop.cancelled() => {}
        }
    }
}
