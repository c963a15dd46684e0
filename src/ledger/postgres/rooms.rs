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

/// A row that tells more about a room than the one in the table. Film and state have versions of their own in the epoch of the row; 0 stands
/// for those of an earlier epoch, which stay until newer ones are told. So the row of a closed room shows what was played last.
static UPSERT: LazyLock<String> = LazyLock::new(|| {
    let next = RoomRow::COLUMNS.len() + 1;
    let newer = |than: &str| format!("(rooms.epoch, rooms.{than}) < (excluded.epoch, excluded.{than})");
    let told = |part: &str| format!("(excluded.{part} > 0 AND {})", newer(part));
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
    let part = |part: &str| format!("CASE WHEN {0} THEN excluded.{part} ELSE rooms.{part} END", newer(part));
    format!(
        "INSERT INTO rooms ({names}, created_at, archived_at, film_version, state_version)
         SELECT * FROM unnest({arrays}, ${next}::timestamptz[], ${archived}::timestamptz[], ${film}::bigint[], ${state}::bigint[])
         ON CONFLICT (id) DO UPDATE SET {set}, epoch = excluded.epoch,
             film_version = {film_version}, state_version = {state_version},
             archived_at = CASE WHEN {newer} THEN excluded.archived_at ELSE rooms.archived_at END,
             created_at = CASE WHEN {newer} AND rooms.archived_at IS NOT NULL AND excluded.archived_at IS NULL
                 THEN excluded.created_at ELSE rooms.created_at END
         WHERE {newer} OR {newer_film} OR {newer_state}",
        names = table::names::<RoomRow>(),
        arrays = table::arrays::<RoomRow>(),
        archived = next + 1,
        film = next + 2,
        state = next + 3,
        film_version = part("film_version"),
        state_version = part("state_version"),
        newer = newer("version"),
        newer_film = newer("film_version"),
        newer_state = newer("state_version"),
    )
});

pub(super) async fn project_rooms(step: &Transaction<'_>, entries: &[&Entry]) -> Result<(), LedgerError> {
    // Sorted by id, so that two workers lock rows in the same order.
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
    let upsert = step.prepare_cached(&UPSERT).await?;
    step.execute(&upsert, &values(&arrays)).await?;
    Ok(())
}
