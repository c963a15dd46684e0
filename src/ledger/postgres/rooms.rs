//! Writes `rooms`: for each room the state with the newest (epoch, version), in whatever order entries arrive.

use std::{borrow::Cow, collections::BTreeMap, sync::LazyLock};

use deadpool_postgres::Transaction;
use jiff::Timestamp;

use super::{
    LedgerError,
    batch::{moment, values},
};
use crate::{
    clock::Millis,
    ledger::{
        Entry, RoomRow,
        table::{self, Table as _, Written as _},
    },
};

/// The newest state of a room in a batch.
struct Latest<'a> {
    /// The newest row, which decides whether the room is closed.
    newest: &'a RoomRow,
    /// The newest row of the open room: the row of a closed room is empty, but auditors want to see what was played last.
    shown: Option<&'a RoomRow>,
    /// The time of its first entry in this batch.
    first: Millis,
}

impl<'a> Latest<'a> {
    /// Combines both into one row.
    fn row(&self) -> Cow<'a, RoomRow> {
        let RoomRow { epoch, version, archived, at, .. } = *self.newest;
        match self.shown {
            Some(shown) if age(shown) != (epoch, version) => {
                Cow::Owned(RoomRow { epoch, version, archived, at, ..shown.clone() })
            }
            _ => Cow::Borrowed(self.newest),
        }
    }
}

fn age(row: &RoomRow) -> (u64, u64) {
    (row.epoch, row.version)
}

/// The row of a closed room leaves the columns of the last state unchanged.
static UPSERT: LazyLock<String> = LazyLock::new(|| {
    let next = RoomRow::COLUMNS.len() + 1;
    let set = table::assignments::<RoomRow>(&["id"], |_, name| {
        if RoomRow::AGE.contains(&name) {
            format!("excluded.\"{name}\"")
        } else {
            format!(
                "CASE WHEN excluded.archived_at IS NOT NULL AND excluded.position_at_ms = 0
                     THEN rooms.\"{name}\" ELSE excluded.\"{name}\" END"
            )
        }
    });
    format!(
        "INSERT INTO rooms ({}, created_at, archived_at)
         SELECT * FROM unnest({}, ${next}::timestamptz[], ${}::timestamptz[])
         ON CONFLICT (id) DO UPDATE SET {set}, archived_at = excluded.archived_at,
             created_at = CASE WHEN rooms.archived_at IS NULL OR excluded.archived_at IS NOT NULL
                 THEN rooms.created_at ELSE excluded.created_at END
         WHERE (rooms.epoch, rooms.version) < (excluded.epoch, excluded.version)",
        table::names::<RoomRow>(),
        table::arrays::<RoomRow>(),
        next + 1
    )
});

pub(super) async fn project_rooms(step: &Transaction<'_>, entries: &[&Entry]) -> Result<(), LedgerError> {
    // Sorted by id, so that two workers lock rows in the same order.
    let mut rooms: BTreeMap<&str, Latest<'_>> = BTreeMap::new();
    for row in entries.iter().map(|entry| &entry.room) {
        let shown = (!row.archived).then_some(row);
        let latest = rooms.entry(row.id.as_str()).or_insert(Latest { newest: row, shown, first: row.at });
        if age(row) > age(latest.newest) {
            latest.newest = row;
        }
        if shown.is_some() && latest.shown.is_none_or(|known| age(row) > age(known)) {
            latest.shown = shown;
        }
        latest.first = latest.first.min(row.at);
    }
    let rows: Vec<Cow<'_, RoomRow>> = rooms.values().map(Latest::row).collect();
    let created = rooms.values().map(|latest| moment(latest.first, "created_at"));
    let created: Vec<Timestamp> = created.collect::<Result<_, _>>()?;
    let archived = rows.iter().map(|row| row.archived.then(|| moment(row.at, "archived_at")).transpose());
    let archived: Vec<Option<Timestamp>> = archived.collect::<Result<_, _>>()?;
    let rows: Vec<Option<&RoomRow>> = rows.iter().map(|row| Some(&**row)).collect();
    let mut arrays = RoomRow::arrays(&rows)?;
    arrays.push(Box::new(created));
    arrays.push(Box::new(archived));
    let upsert = step.prepare_cached(&UPSERT).await?;
    step.execute(&upsert, &values(&arrays)).await?;
    Ok(())
}
