//! Writes `rooms`: for each room its newest film and its newest state, in whatever order entries arrive.

use std::sync::LazyLock;

use deadpool_postgres::Transaction;
use jiff::Timestamp;

use super::{
    LedgerError,
    batch::{bigint, moment, values},
};
use crate::ledger::{
    Entry, RoomRow,
    latest::{Latest, latest},
    table::{self, Table as _, Written as _},
};

/// Whether a given row tells something of a version that is newer than that of the row in the table.
fn newer(than: &str) -> String {
    format!("(rooms.epoch, rooms.{than}) < (excluded.epoch, excluded.{than})")
}

/// The assignments from a given row. Film and state have versions of their own in the epoch of the row; 0 stands for those of an earlier
/// epoch, which stay until newer ones are told. So the row of a closed room shows what was played last.
static SET: LazyLock<String> = LazyLock::new(|| {
    let told = |part: &str| format!("excluded.{part} > 0 AND {}", newer(part));
    let set = table::assignments::<RoomRow>(&["id", "epoch"], |_, name| {
        let is_newer = if RoomRow::AGE.contains(&name) {
            newer("version")
        } else if RoomRow::FILM.contains(&name) {
            told("film_version")
        } else {
            told("state_version")
        };
        format!("CASE WHEN {is_newer} THEN excluded.\"{name}\" ELSE rooms.\"{name}\" END")
    });
    let part = |part: &str| format!("{part} = CASE WHEN {} THEN excluded.{part} ELSE rooms.{part} END", newer(part));
    format!(
        "{set}, epoch = excluded.epoch, {film}, {state},
             archived_at = CASE WHEN {newer} THEN excluded.archived_at ELSE rooms.archived_at END,
             created_at = CASE WHEN {newer} AND rooms.archived_at IS NOT NULL AND excluded.archived_at IS NULL
                 THEN excluded.created_at ELSE rooms.created_at END",
        film = part("film_version"),
        state = part("state_version"),
        newer = newer("version"),
    )
});

/// Whether a given row changes the one in the table.
static IS_NEWS: LazyLock<String> =
    LazyLock::new(|| ["version", "film_version", "state_version"].map(newer).join(" OR "));

/// The names of all columns.
static NAMES: LazyLock<String> =
    LazyLock::new(|| format!("{}, created_at, archived_at, film_version, state_version", table::names::<RoomRow>()));

/// The rows that are given.
static GIVEN: LazyLock<String> = LazyLock::new(|| {
    let next = RoomRow::COLUMNS.len() + 1;
    let more = format!(
        "${next}::timestamptz[], ${}::timestamptz[], ${}::bigint[], ${}::bigint[]",
        next + 1,
        next + 2,
        next + 3
    );
    format!("unnest({}, {more}) AS excluded ({})", table::arrays::<RoomRow>(), *NAMES)
});

/// Nearly always all rows are there. An upsert would cost more: it notes in the WAL that it locks a row, and then that it changes it.
static UPDATE: LazyLock<String> = LazyLock::new(|| {
    format!("UPDATE rooms SET {} FROM {} WHERE rooms.id = excluded.id AND ({})", *SET, *GIVEN, *IS_NEWS)
});

static UPSERT: LazyLock<String> = LazyLock::new(|| {
    let (names, given) = (&*NAMES, &*GIVEN);
    format!(
        "INSERT INTO rooms ({names}) SELECT * FROM {given} ON CONFLICT (id) DO UPDATE SET {} WHERE {}",
        *SET, *IS_NEWS
    )
});

pub(super) async fn project_rooms(step: &Transaction<'_>, entries: &[&Entry]) -> Result<(), LedgerError> {
    // Sorted by id, as PostgreSQL finds them fastest.
    let rooms = latest(entries.iter().copied());
    let rows: Vec<RoomRow> = rooms.values().map(Latest::row).collect();
    let created = rooms.values().map(|room| moment(room.first, "created_at"));
    let archived = rows.iter().map(|row| row.archived.then(|| moment(row.at, "archived_at")).transpose());
    let films = rooms.values().map(|room| bigint(room.film_version(), "film_version"));
    let states = rooms.values().map(|room| bigint(room.state_version(), "state_version"));
    let rows: Vec<Option<&RoomRow>> = rows.iter().map(Some).collect();
    let mut arrays = RoomRow::arrays(&rows)?;
    arrays.push(Box::new(created.collect::<Result<Vec<Timestamp>, _>>()?));
    arrays.push(Box::new(archived.collect::<Result<Vec<Option<Timestamp>>, _>>()?));
    arrays.push(Box::new(films.collect::<Result<Vec<i64>, _>>()?));
    arrays.push(Box::new(states.collect::<Result<Vec<i64>, _>>()?));
    let update = step.prepare_cached(&UPDATE).await?;
    let updated = step.execute(&update, &values(&arrays)).await?;
    if updated < rooms.len() as u64 {
        // Rooms without a row, or news that are old.
        let upsert = step.prepare_cached(&UPSERT).await?;
        step.execute(&upsert, &values(&arrays)).await?;
    }
    Ok(())
}
