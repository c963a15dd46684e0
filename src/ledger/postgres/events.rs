//! Writes `room_events`.

use std::{pin::pin, sync::LazyLock};

use bytes::{BufMut as _, Bytes, BytesMut};
use deadpool_postgres::Transaction;
use futures_util::SinkExt as _;

use super::{LedgerError, batch::values};
use crate::ledger::{
    Entry, Event,
    table::{self, Written as _},
};

static COPY: LazyLock<String> =
    LazyLock::new(|| format!("COPY room_events ({}) FROM STDIN (FORMAT binary)", table::names::<Event>()));

static INSERT: LazyLock<String> = LazyLock::new(|| {
    format!(
        "INSERT INTO room_events ({}) SELECT * FROM unnest({}) ON CONFLICT DO NOTHING",
        table::names::<Event>(),
        table::arrays::<Event>()
    )
});

/// The begin of `COPY ... (FORMAT binary)`: its signature, no flags, no extension.
const HEAD: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// Its end, in place of the number of columns of a row.
const TAIL: i16 = -1;
/// About the size of a row.
const ROW: usize = 256;

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Means {
    /// By COPY, which fails if one of them is there.
    Copy,
    /// By INSERT, which skips those that are there, and costs twice as much.
    Insert,
}

/// The events of entries, sorted as the primary key is: those of a room are next to each other in the table, and two workers with the same
/// events cannot deadlock.
pub(super) fn events_of(entries: &[&Entry]) -> Vec<Event> {
    let mut events: Vec<Event> = entries.iter().flat_map(|entry| entry.events()).collect();
    let key = |event: &Event| (event.room.as_str().to_owned(), event.at, event.epoch, event.version);
    events.sort_by_cached_key(key);
    events
}

/// Writes events. Returns the number of new ones.
pub(super) async fn write_events(step: &Transaction<'_>, events: &[Event], by: Means) -> Result<u64, LedgerError> {
    match by {
        _ if events.is_empty() => Ok(0),
        Means::Copy => copy(step, events).await,
        Means::Insert => insert(step, events).await,
    }
}

async fn copy(step: &Transaction<'_>, events: &[Event]) -> Result<u64, LedgerError> {
    let mut rows = BytesMut::with_capacity(HEAD.len() + events.len() * ROW);
    rows.put_slice(HEAD);
    for event in events {
        event.copy(&mut rows)?;
    }
    rows.put_i16(TAIL);
    let statement = step.prepare_cached(&COPY).await?;
    let mut sink = pin!(step.copy_in::<_, Bytes>(&statement).await?);
    sink.send(rows.freeze()).await?;
    Ok(sink.finish().await?)
}

async fn insert(step: &Transaction<'_>, events: &[Event]) -> Result<u64, LedgerError> {
    let rows: Vec<Option<&Event>> = events.iter().map(Some).collect();
    let arrays = Event::arrays(&rows)?;
    let statement = step.prepare_cached(&INSERT).await?;
    Ok(step.execute(&statement, &values(&arrays)).await?)
}
