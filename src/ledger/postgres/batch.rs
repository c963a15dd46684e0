use std::collections::BTreeSet;

use deadpool_postgres::Transaction;
use jiff::Timestamp;
use tokio_postgres::types::ToSql;

use super::{
    Database, LedgerError, Lock,
    bans::project_bans,
    events::{Means, events_of, write_events},
    partition::Month,
    rooms::project_rooms,
    users::project_users,
};
use crate::{
    clock::Millis,
    ledger::{Entry, Event, cell, table::Array},
};

impl Database {
    /// Writes entries in one transaction: their events, and the rows of `rooms`, `users` and `room_bans`. Entries that were written before, or that
    /// arrive in another order, change nothing. Returns the number of new events.
    pub async fn write(&self, entries: &[&Entry]) -> Result<u64, LedgerError> {
        let events = events_of(entries);
        match self.write_or_skip(entries, &events).await {
            Err(error) if error.is_without_partition() => {
                let months: BTreeSet<Month> = events
                    .iter()
                    .map(|event| Ok(Month::of(moment(event.at, "created_at")?)))
                    .collect::<Result<_, LedgerError>>()?;
                tracing::info!(?months, "events belong to months without a partition; it is created");
                self.make_partitions(&months).await?;
                self.write_or_skip(entries, &events).await
            }
            outcome => outcome,
        }
    }

    /// Some of the events may have been written before. That is rare, so it is found out by trying.
    async fn write_or_skip(&self, entries: &[&Entry], events: &[Event]) -> Result<u64, LedgerError> {
        match self.try_write(entries, events, Means::Copy).await {
            Err(error) if error.is_duplicate() => self.try_write(entries, events, Means::Insert).await,
            outcome => outcome,
        }
    }

    async fn try_write(&self, entries: &[&Entry], events: &[Event], by: Means) -> Result<u64, LedgerError> {
        let mut client = self.lend().await?;
        let work = async {
            let step = client.transaction().await?;
            let new = write_events(&step, events, by).await?;
            project(&step, entries).await?;
            step.commit().await?;
            Ok(new)
        };
        let outcome = self.within(work).await;
        self.return_client(client, outcome)
    }
}

/// Writes the rows of `rooms`, `users` and `room_bans`. Two workers may have the same rooms, and change rows in whatever order PostgreSQL chooses: with the
/// lock they do it one after the other, and not in a deadlock.
pub(super) async fn project(step: &Transaction<'_>, entries: &[&Entry]) -> Result<(), LedgerError> {
    let lock = format!("SELECT pg_advisory_xact_lock({})", Lock::Rows.key());
    let lock = async { Ok(step.batch_execute(&lock).await?) };
    // Sent without waiting for the lock. The rest waits, because of several errors only the first one says what is wrong.
    tokio::try_join!(lock, project_rooms(step, entries))?;
    project_users(step, entries).await?;
    project_bans(step, entries).await
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
