use std::time::Duration;

use tokio::time::sleep;

use crate::ledger::{Database, Duty, LedgerError};

/// Interval of checks.
const LOOK: Duration = Duration::from_mins(1);

/// Checks whether rooms can be looked up in the ledger, and logs when that changes.
#[derive(Debug)]
pub(super) struct Lookup {
    database: Database,
    failing: bool,
}

impl Lookup {
    pub(super) fn new(database: Database) -> Self {
        Self { database, failing: false }
    }

    /// Checks once, and logs what is wrong.
    pub(super) async fn check(&mut self) -> Result<(), LedgerError> {
        let outcome = self.database.check(Duty::Node).await;
        match &outcome {
            Ok(()) if self.failing => tracing::info!("rooms can be looked up in the ledger again"),
            Err(error) if !self.failing => {
                tracing::warn!(%error, "rooms cannot be looked up in the ledger; rooms that Redis loses cannot be restored until then");
            }
            _ => {}
        }
        self.failing = outcome.is_err();
        outcome
    }

    /// Checks regularly. Does not return.
    pub(super) async fn run(mut self) {
        loop {
            sleep(LOOK).await;
            // `check` has logged the error.
            let _ = self.check().await;
        }
    }
}
