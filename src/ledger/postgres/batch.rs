use std::collections::BTreeSet;

use deadpool_postgres::Transaction;
use jiff::Timestamp;
use serde_json::value::RawValue;
use tokio_postgres::types::Json;
use uuid::Uuid;

use super::{
    Database, LedgerError,
    partition::Month,
    project::{project_rooms, project_users},
};
use crate::ledger::{Entry, Event, column};

impl Database {
    /// Writes entries in one transaction, all or none: their events, and what follows from them for `rooms` and `users`. Entries that
    /// were written before, or that come in another order, change nothing. How many events were new.
    pub async fn write(&self, entries: &[&Entry]) -> Result<u64, LedgerError> {
        match self.try_write(entries).await {
            Err(error) if error.is_without_partition() => {
                let events = entries.iter().flat_map(|entry| &entry.events);
                let months: BTreeSet<Month> =
                    events.map(|event| Ok(Month::of(at(event)?))).collect::<Result<_, LedgerError>>()?;
                tracing::info!(?months, "events of months that have no table yet");
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
        self.settle(client, outcome)
    }
}

pub(super) fn at(event: &Event) -> Result<Timestamp, LedgerError> {
    column::timestamp(event.at).ok_or(LedgerError::Range("created_at"))
}

/// A number of ours, as the database has them.
pub(super) fn bigint(number: u64, name: &'static str) -> Result<i64, LedgerError> {
    i64::try_from(number).map_err(|_| LedgerError::Range(name))
}

/// Columns rather than rows: one statement, whatever their number.
#[derive(Default)]
struct Columns<'a> {
    id: Vec<Uuid>,
    room: Vec<&'a str>,
    kind: Vec<&'static str>,
    user: Vec<&'a str>,
    data: Vec<Json<&'a RawValue>>,
    at: Vec<Timestamp>,
    epoch: Vec<i64>,
    version: Vec<i64>,
    node: Vec<&'a str>,
}

pub(super) async fn write_events(step: &Transaction<'_>, entries: &[&Entry]) -> Result<u64, LedgerError> {
    let mut events: Vec<&Event> = entries.iter().flat_map(|entry| &entry.events).collect();
    if events.is_empty() {
        return Ok(0);
    }
    // Two workers that write the same events must not wait for each other crosswise.
    events.sort_unstable_by_key(|event| event.id);
    let mut of = Columns::default();
    for event in events {
        of.id.push(event.id);
        of.room.push(event.room.as_str());
        of.kind.push(event.kind.as_str());
        of.user.push(&event.user);
        of.data.push(Json(&event.data.0));
        of.at.push(at(event)?);
        of.epoch.push(bigint(event.epoch, "epoch")?);
        of.version.push(bigint(event.version, "version")?);
        of.node.push(event.node.as_str());
    }
    let insert = step
        .prepare_cached(
            "INSERT INTO room_events (id, room_id, event_type, user_id, data, created_at, epoch, version, node_id)
             SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::jsonb[], $6::timestamptz[], $7::bigint[],
                 $8::bigint[], $9::text[])
             ON CONFLICT DO NOTHING",
        )
        .await?;
    let values: [&(dyn tokio_postgres::types::ToSql + Sync); 9] =
        [&of.id, &of.room, &of.kind, &of.user, &of.data, &of.at, &of.epoch, &of.version, &of.node];
    Ok(step.execute(&insert, &values).await?)
}
