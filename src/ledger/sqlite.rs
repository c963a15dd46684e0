//! The ledger's SQL on SQLite.

use std::{
    fs::OpenOptions,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    sync::{Arc, LazyLock},
    time::Duration,
};

use jiff::Timestamp;
use rusqlite::{CachedStatement, Connection, ErrorCode, Row, Transaction, params, types::Type};
use serde_json::value::RawValue;

use super::{
    Entry, Event, RoomRow,
    bans::{self, BanChange},
    cell::{Source, iso},
    latest::{Latest, latest},
    migrations::{self, Migration},
    table::{self, Table as _, Written as _},
};
use crate::{
    clock::Millis,
    room::{Bans, Member},
};

/// How long SQLite waits for a lock before it fails.
const BUSY: Duration = Duration::from_millis(200);

/// Opens the ledger for writing, and brings its schema up to date. `PRAGMA user_version` is the number of the last migration.
pub(super) fn open(path: &Path) -> rusqlite::Result<Connection> {
    make_private(path);
    prepare(Connection::open(path)?)
}

/// Opens the ledger for the thread that writes what happens. The data of its events is JSON by its type, and SQLite would read all of it
/// again for the CHECK on it, which holds for everybody else who writes.
pub(super) fn open_for_events(path: &Path) -> rusqlite::Result<Connection> {
    let db = open(path)?;
    db.pragma_update(None, "ignore_check_constraints", true)?;
    Ok(db)
}

/// A ledger that is not kept.
pub(super) fn open_in_memory() -> rusqlite::Result<Connection> {
    prepare(Connection::open_in_memory()?)
}

fn prepare(mut db: Connection) -> rusqlite::Result<Connection> {
    db.busy_timeout(BUSY)?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    // With WAL this survives a crash of the process, and of the machine except for the last transactions.
    db.pragma_update(None, "synchronous", "NORMAL")?;
    // What is deleted or replaced is overwritten, where its page is written anyway: somebody who is erased is not to be found in the file.
    db.pragma_update(None, "secure_delete", "FAST")?;
    // In pages: the last pages of a few hundred rooms are written repeatedly, and should rarely reach the main file.
    db.pragma_update(None, "wal_autocheckpoint", 4_000)?;
    let version: i32 = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    for Migration { number, sql, .. } in migrations::sqlite().into_iter().filter(|step| step.number > version) {
        let step = db.transaction()?;
        step.execute_batch(sql)?;
        step.pragma_update(None, "user_version", number)?;
        step.commit()?;
    }
    Ok(db)
}

/// Makes the file, if there is none, so that only its owner can read it; SQLite gives the files beside it the same mode. Why that fails is what
/// SQLite says next.
fn make_private(path: &Path) {
    let _ = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
}

/// Writes a batch in one transaction.
pub(super) fn write(db: &mut Connection, entries: &[Entry], now: Millis) -> rusqlite::Result<()> {
    let batch = db.transaction()?;
    let mut recorder = Recorder::new(&batch)?;
    for entry in entries {
        for event in &entry.events() {
            recorder.record(event)?;
        }
        for seat in entry.seats() {
            project_seat(&batch, entry, seat)?;
        }
        project_bans(&batch, entry)?;
    }
    drop(recorder);
    // Only the last state of each room matters.
    for room in latest(entries).values() {
        project_room(&batch, room)?;
    }
    alive(&batch, now)?;
    batch.commit()
}

static INSERT_EVENT: LazyLock<String> = LazyLock::new(|| {
    let (names, parameters) = (table::names::<Event>(), table::parameters::<Event>());
    format!("INSERT INTO room_events ({names}) VALUES ({parameters}) ON CONFLICT DO NOTHING")
});

/// Writes events with one prepared statement.
pub(super) struct Recorder<'a> {
    db: &'a Connection,
    insert: CachedStatement<'a>,
}

impl<'a> Recorder<'a> {
    pub(super) fn new(db: &'a Connection) -> rusqlite::Result<Self> {
        Ok(Self { db, insert: db.prepare_cached(&INSERT_EVENT)? })
    }

    /// Writes one event, once.
    pub(super) fn record(&mut self, event: &Event) -> rusqlite::Result<()> {
        event.bind(&mut self.insert)?;
        self.insert.raw_execute()?;
        project_departure(self.db, event)
    }
}

/// Records that the node is running.
pub(super) fn alive(db: &Connection, now: Millis) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO node_alive (only, at_ms) VALUES (1, ?1) ON CONFLICT DO UPDATE SET at_ms = excluded.at_ms",
    )?
    .execute([now])
    .map(|_| ())
}

fn project_departure(db: &Connection, event: &Event) -> rusqlite::Result<()> {
    if !event.kind.is_departure() {
        return Ok(());
    }
    db.prepare_cached("UPDATE users SET left_at = ?3, updated_at = ?3 WHERE id = ?1 AND room_id = ?2")?
        .execute(params![event.user, event.room.as_str(), iso(event.at)])
        .map(|_| ())
}

/// After the columns of [`Member`] come the parameters for the room and the time.
static UPSERT_SEAT: LazyLock<String> = LazyLock::new(|| {
    let (room, at) = (Member::COLUMNS.len() + 1, Member::COLUMNS.len() + 2);
    let (names, parameters) = (table::names::<Member>(), table::parameters::<Member>());
    let set = table::assignments::<Member>(&["id"], |_, name| format!("excluded.\"{name}\""));
    format!(
        "INSERT INTO users ({names}, room_id, created_at, updated_at) VALUES ({parameters}, ?{room}, ?{at}, ?{at})
         ON CONFLICT DO UPDATE SET {set}, updated_at = excluded.updated_at, left_at = NULL"
    )
});

fn project_seat(batch: &Transaction<'_>, entry: &Entry, seat: &Member) -> rusqlite::Result<()> {
    let mut upsert = batch.prepare_cached(&UPSERT_SEAT)?;
    seat.bind(&mut upsert)?;
    upsert.raw_bind_parameter(Member::COLUMNS.len() + 1, entry.update.room.as_str())?;
    upsert.raw_bind_parameter(Member::COLUMNS.len() + 2, iso(entry.update.at))?;
    upsert.raw_execute().map(|_| ())
}

static UPSERT_BAN: LazyLock<String> = LazyLock::new(|| bans::upsert("?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8"));

fn project_bans(batch: &Transaction<'_>, entry: &Entry) -> rusqlite::Result<()> {
    let (room, epoch) = (entry.update.room.as_str(), entry.update.epoch);
    for change in entry.bans() {
        match change {
            BanChange::End { epoch } => end_bans(batch, room, epoch)?,
            BanChange::Banned { ban, version } => {
                let origin = ban.origin.map(String::from);
                let row = params![room, ban.user.as_str(), ban.username, origin, ban.at, false, epoch, version];
                batch.prepare_cached(&UPSERT_BAN)?.execute(row)?;
            }
            BanChange::Lifted { user, version } => {
                let row = params![room, user.as_str(), None::<&str>, None::<&str>, 0, true, epoch, version];
                batch.prepare_cached(&UPSERT_BAN)?.execute(row)?;
            }
        }
    }
    Ok(())
}

/// Removes the bans of a room up to an epoch.
pub(super) fn end_bans(db: &Connection, room: &str, epoch: u64) -> rusqlite::Result<()> {
    let delete = "DELETE FROM room_bans WHERE room_id = ?1 AND epoch <= ?2";
    db.prepare_cached(delete)?.execute(params![room, epoch]).map(|_| ())
}

/// The bans of a room.
pub(super) fn bans_of(db: &Connection, room: &str) -> rusqlite::Result<Arc<Bans>> {
    let select = "SELECT user_id, username, origin, banned_at_ms FROM room_bans WHERE room_id = ?1 AND NOT lifted";
    let mut select = db.prepare_cached(select)?;
    let rows = select.query_map([room], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
    Ok(bans::bans(rows.collect::<Result<Vec<bans::Row>, _>>()?))
}

static UPDATE_ROOM: LazyLock<String> = LazyLock::new(|| {
    let set = table::assignments::<RoomRow>(&["id"], |place, _| format!("?{place}"));
    format!("UPDATE rooms SET {set} WHERE id = ?{} AND archived_at IS NULL", table::place::<RoomRow>("id"))
});

static UPSERT_ROOM: LazyLock<String> = LazyLock::new(|| {
    let (names, parameters) = (table::names::<RoomRow>(), table::parameters::<RoomRow>());
    let set = table::assignments::<RoomRow>(&["id"], |_, name| format!("excluded.\"{name}\""));
    format!(
        "INSERT INTO rooms ({names}, created_at) VALUES ({parameters}, ?{})
         ON CONFLICT DO UPDATE SET {set}, created_at = excluded.created_at, archived_at = NULL",
        table::place::<RoomRow>("updated_at")
    )
});

fn project_room(batch: &Transaction<'_>, room: &Latest<'_>) -> rusqlite::Result<()> {
    let row = room.row();
    if room.state_version() > 0 {
        // Normally the row exists. An upsert would cost more, and write the index of open rooms each time.
        for sql in [&UPDATE_ROOM, &UPSERT_ROOM] {
            let mut statement = batch.prepare_cached(sql)?;
            row.bind(&mut statement)?;
            if statement.raw_execute()? > 0 {
                break;
            }
        }
    } else if room.film_version() > 0 {
        // Entries arrive in order here: what is not told has not changed.
        batch
            .prepare_cached(
                "UPDATE rooms SET epoch = ?2, version = ?3, updated_at = ?4, \"current_time\" = ?5, is_playing = ?6, rate = ?7,
                     position_at_ms = ?8
                 WHERE id = ?1 AND archived_at IS NULL",
            )?
            .execute(params![
                row.id.as_str(),
                row.epoch,
                row.version,
                iso(row.at),
                row.position,
                row.playing,
                row.rate,
                row.position_at
            ])?;
    } else {
        batch
            .prepare_cached(
                "UPDATE rooms SET epoch = ?2, version = ?3, updated_at = ?4 WHERE id = ?1 AND archived_at IS NULL",
            )?
            .execute(params![row.id.as_str(), row.epoch, row.version, iso(row.at)])?;
    }
    if row.archived {
        batch
            .prepare_cached("UPDATE rooms SET archived_at = ?2, updated_at = ?2, version = ?3 WHERE id = ?1")?
            .execute(params![row.id.as_str(), iso(row.at), row.version])?;
    }
    Ok(())
}

/// Whether the database as a whole fails, and not one entry.
pub(super) fn is_outage(error: &rusqlite::Error) -> bool {
    match error.sqlite_error_code() {
        Some(code) => !matches!(
            code,
            ErrorCode::ConstraintViolation
                | ErrorCode::TypeMismatch
                | ErrorCode::TooBig
                | ErrorCode::ParameterOutOfRange
        ),
        None => false,
    }
}

impl Source for Row<'_> {
    type Error = rusqlite::Error;

    fn text(&self, column: &'static str) -> rusqlite::Result<Option<String>> {
        self.get(column)
    }

    fn integer(&self, column: &'static str) -> rusqlite::Result<Option<i64>> {
        self.get(column)
    }

    fn double(&self, column: &'static str) -> rusqlite::Result<f64> {
        self.get(column)
    }

    fn boolean(&self, column: &'static str) -> rusqlite::Result<bool> {
        self.get(column)
    }

    fn time(&self, column: &'static str) -> rusqlite::Result<Timestamp> {
        self.get::<_, String>(column)?.parse().map_err(|error| unreadable(self, column, error))
    }

    fn iso(&self, column: &'static str) -> rusqlite::Result<String> {
        self.get(column)
    }

    fn id(&self, column: &'static str) -> rusqlite::Result<String> {
        self.get(column)
    }

    fn json(&self, column: &'static str) -> rusqlite::Result<Box<RawValue>> {
        RawValue::from_string(self.get(column)?).map_err(|error| unreadable(self, column, error))
    }
}

fn unreadable(row: &Row<'_>, column: &str, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    let place = row.as_ref().column_index(column).unwrap_or_default();
    rusqlite::Error::FromSqlConversionFailure(place, Type::Text, Box::new(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_thread_that_writes_events_is_trusted_to_write_json() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        let insert = "INSERT INTO room_events VALUES ('1', 'r', 'SEEK', 'ana', ?1, '2026', 1, 1, 'node')";
        let db = open_for_events(&path).unwrap();
        db.execute(insert, ["{"]).unwrap();
        // Types are checked by everybody.
        assert!(db.execute(insert, [b"{}"]).is_err());
        db.execute("DELETE FROM room_events", []).unwrap();
        let others = open(&path).unwrap();
        assert!(others.execute(insert, ["{"]).is_err());
        others.execute(insert, ["{}"]).unwrap();
    }
}
