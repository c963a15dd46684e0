//! Writes `room_events`.

use std::sync::LazyLock;

use deadpool_postgres::Transaction;

use super::{LedgerError, batch::values};
use crate::ledger::{
    Entry, Event,
    table::{self, Written as _},
};

static INSERT: LazyLock<String> = LazyLock::new(|| {
    format!(
        "INSERT INTO room_events ({}) SELECT * FROM unnest({}) ON CONFLICT DO NOTHING",
        table::names::<Event>(),
        table::arrays::<Event>()
    )
});

/// Writes the events of entries that are not there yet. Returns the number of new ones.
pub(super) async fn write_events(step: &Transaction<'_>, entries: &[&Entry]) -> Result<u64, LedgerError> {
    let mut events: Vec<Event> = entries.iter().flat_map(|entry| entry.events()).collect();
    if events.is_empty() {
        return Ok(0);
    }
    // Sorted, so that two workers with the same events cannot deadlock.
    events.sort_unstable_by_key(|event| event.id);
    let rows: Vec<Option<&Event>> = events.iter().map(Some).collect();
    let arrays = Event::arrays(&rows)?;
    let insert = step.prepare_cached(&INSERT).await?;
    Ok(step.execute(&insert, &values(&arrays)).await?)
}
