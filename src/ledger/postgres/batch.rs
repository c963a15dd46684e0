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
    /// Writes entries in one transaction, all or none: their events, and what follows from them for `rooms` and `users`. Entries that
    /// were written before, or that come in another order, change nothing. How many events were new.
    pub async fn write(&self, entries: &[&Entry]) -> Result<u64, LedgerError> {
        match self.try_write(entries).await {
            Err(error) if error.is_without_partition() => {
                let events = entries.iter().flat_map(|entry| &entry.events);
                let months: BTreeSet<Month> = events
                    .map(|event| Ok(Month::of(moment(event.at, "created_at")?)))
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

/// A moment of ours, as the database has them.
pub(super) fn moment(at: Millis, name: &'static str) -> Result<Timestamp, LedgerError> {
    cell::timestamp(at).ok_or(LedgerError::Range(name))
}

/// A number of ours, as the database has them.
pub(super) fn bigint(number: u64, name: &'static str) -> Result<i64, LedgerError> {
    i64::try_from(number).map_err(|_| LedgerError::Range(name))
}

/// Arrays as the driver takes them. Columns rather than rows: one statement, whatever the number of rows.
pub(super) fn values<'a>(arrays: &'a [Array<'_>]) -> Vec<&'a (dyn ToSql + Sync)> {
    arrays.iter().map(|array| &**array as &(dyn ToSql + Sync)).collect()
}
