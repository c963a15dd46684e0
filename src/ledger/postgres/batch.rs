use std::collections::BTreeSet;

use jiff::Timestamp;
use tokio_postgres::types::ToSql;

use super::{
    Database, LedgerError, events::write_events, partition::Month, rooms::project_rooms, users::project_users,
};
use crate::{
    clock::Millis,
    ledger::{Entry, cell, table::Array},
};

impl Database {
    /// Writes entries in one transaction: their events, and the rows of `rooms` and `users`. Entries that were written before, or that
    /// arrive in another order, change nothing. Returns the number of new events.
    pub async fn write(&self, entries: &[&Entry]) -> Result<u64, LedgerError> {
        match self.try_write(entries).await {
            Err(error) if error.is_without_partition() => {
                let audited = entries.iter().filter(|entry| entry.event_count() > 0);
                let months: BTreeSet<Month> = audited
                    .map(|entry| Ok(Month::of(moment(entry.update.at, "created_at")?)))
                    .collect::<Result<_, LedgerError>>()?;
                tracing::info!(?months, "events belong to months without a partition; it is created");
                self.make_partitions(&months).await?;
                self.try_write(entries).await
            }
            outcome => outcome,
        }
    }

    async fn try_write(&self, entries: &[&Entry]) -> Result<u64, LedgerError> {
        let mut client = self.lend().await?;
        let work = async {
            let step = client.transaction().await?;
            let new = write_events(&step, entries).await?;
            project_rooms(&step, entries).await?;
            project_users(&step, entries).await?;
            step.commit().await?;
            Ok(new)
        };
        let outcome = self.within(work).await;
        self.return_client(client, outcome)
    }
}

/// Converts a time to the type of the database.
pub(super) fn moment(at: Millis, name: &'static str) -> Result<Timestamp, LedgerError> {
    cell::timestamp(at).ok_or(LedgerError::Range(name))
}

/// Converts a number to the type of the database.
pub(super) fn bigint(number: u64, name: &'static str) -> Result<i64, LedgerError> {
    i64::try_from(number).map_err(|_| LedgerError::Range(name))
}

/// Arrays of columns rather than rows: one statement for any number of rows.
pub(super) fn values<'a>(arrays: &'a [Array<'_>]) -> Vec<&'a (dyn ToSql + Sync)> {
    arrays.iter().map(|array| &**array as &(dyn ToSql + Sync)).collect()
}
