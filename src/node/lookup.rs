use std::time::Duration;

use tokio::time::sleep;

use crate::ledger::{Database, Duty, LedgerError};

/// How often it is looked.
const LOOK: Duration = Duration::from_mins(1);

/// Whether rooms can be looked up in the ledger: said when that changes.
#[derive(Debug)]
pub(super) struct Lookup {
    database: Database,
    failing: bool,
}

impl Lookup {
    pub(super) fn new(database: Database) -> Self {
        Self { database, failing: false }
    }

    /// What stands in the way. It is said here.
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

    /// For ever.
    pub(super) async fn run(mut self) {
        loop {
            sleep(LOOK).await;
            // It is said already.
            let _ = self.check().await;
        }
    }
}
