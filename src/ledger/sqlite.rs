//! The ledger's SQL on SQLite.

use std::{collections::HashMap, path::Path, time::Duration};

use rusqlite::{CachedStatement, Connection, ErrorCode, Transaction, params};
use uuid::Uuid;

use super::{
    Entry, Event, EventType, RoomRow,
    column::{self, iso},
};
use crate::{clock::Millis, id::RoomId, room::Member};

/// Forward only; the position in this list is the schema's version (`PRAGMA user_version`).
const MIGRATIONS: &[&str] = &[
    include_str!("../../schema/sqlite/0001_ledger.sql"),
    include_str!("../../schema/sqlite/0002_room_events_by_room.sql"),
];

/// How long SQLite itself waits for a lock before it says so.
const BUSY: Duration = Duration::from_millis(200);

/// Opens the ledger for writing, and brings its schema up to date.
pub(super) fn open(path: &Path) -> rusqlite::Result<Connection> {
    let mut db = Connection::open(path)?;
    db.busy_timeout(BUSY)?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    // With WAL this is safe against a crash of the process, and of the machine but for the last transactions.
    db.pragma_update(None, "synchronous", "NORMAL")?;
    // The ends of a few hundred rooms' lists are written again and again: they should reach the main file seldom (pages).
    db.pragma_update(None, "wal_autocheckpoint", 4_000)?;
    let version: usize = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    for (number, sql) in (1..).zip(MIGRATIONS).skip(version) {
        let step = db.transaction()?;
        step.execute_batch(sql)?;
        step.pragma_update(None, "user_version", number)?;
        step.commit()?;
    }
    Ok(db)
}

/// Writes a batch in one transaction.
pub(super) fn write(db: &mut Connection, entries: &[Entry], now: Millis) -> rusqlite::Result<()> {
    let batch = db.transaction()?;
    // Of each room only its last state matters.
    let mut rooms: HashMap<&RoomId, &RoomRow> = HashMap::new();
    let mut recorder = Recorder::new(&batch)?;
    for entry in entries {
        for event in &entry.events {
            recorder.record(event)?;
        }
        for seat in &entry.seats {
            project_seat(&batch, &entry.room, seat)?;
        }
        rooms.insert(&entry.room.id, &entry.room);
    }
    drop(recorder);
    for row in rooms.into_values() {
        project_room(&batch, row)?;
    }
    alive(&batch, now)?;
    batch.commit()
}

/// Writes events. Its statement is looked up once, not for each of them.
pub(super) struct Recorder<'a> {
    db: &'a Connection,
    insert: CachedStatement<'a>,
}

impl<'a> Recorder<'a> {
    pub(super) fn new(db: &'a Connection) -> rusqlite::Result<Self> {
        let insert = db.prepare_cached(
            "INSERT INTO room_events (id, room_id, event_type, user_id, data, created_at, epoch, version, node_id)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO NOTHING",
        )?;
        Ok(Self { db, insert })
    }

    /// Writes one event, once.
    pub(super) fn record(&mut self, event: &Event) -> rusqlite::Result<()> {
        let mut id = Uuid::encode_buffer();
        let id: &str = event.id.hyphenated().encode_lower(&mut id);
        self.insert.execute(params![
            id,
            event.room.as_str(),
            event.kind.as_str(),
            event.user,
            event.data.0.get(),
            iso(event.at),
            event.epoch,
            event.version,
            event.node.as_str(),
        ])?;
        project_departure(self.db, event)
    }
}

/// Notes that the node runs.
pub(super) fn alive(db: &Connection, now: Millis) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO node_alive (only, at_ms) VALUES (1, ?1) ON CONFLICT DO UPDATE SET at_ms = excluded.at_ms",
    )?
    .execute([now])
    .map(|_| ())
}

fn project_departure(db: &Connection, event: &Event) -> rusqlite::Result<()> {
    if !matches!(event.kind, EventType::UserLeft | EventType::UserKicked) {
        return Ok(());
    }
    db.prepare_cached("UPDATE users SET left_at = ?3, updated_at = ?3 WHERE id = ?1 AND room_id = ?2")?
        .execute(params![event.user, event.room.as_str(), iso(event.at)])
        .map(|_| ())
}

fn project_seat(batch: &Transaction<'_>, row: &RoomRow, seat: &Member) -> rusqlite::Result<()> {
    batch
        .prepare_cached(
            "INSERT INTO users (id, room_id, username, created_at, updated_at, role, seat_order, peer_id, token_digest, origin)
             VALUES (?1, ?2, ?3, ?4, ?4, ?5, ?6, ?7, ?8, ?9)
             ON CONFLICT DO UPDATE SET username = excluded.username, updated_at = excluded.updated_at, left_at = NULL,
                 role = excluded.role, seat_order = excluded.seat_order, peer_id = excluded.peer_id,
                 token_digest = excluded.token_digest, origin = excluded.origin",
        )?
        .execute(params![
            seat.user.as_str(),
            row.id.as_str(),
            seat.username,
            iso(row.at),
            column::role(seat.role),
            seat.order,
            seat.conn.to_string(),
            seat.token.map(String::from),
            String::from(seat.origin),
        ])
        .map(|_| ())
}

fn project_room(batch: &Transaction<'_>, row: &RoomRow) -> rusqlite::Result<()> {
    if row.archived {
        return batch
            .prepare_cached("UPDATE rooms SET archived_at = ?2, updated_at = ?2, version = ?3 WHERE id = ?1")?
            .execute(params![row.id.as_str(), iso(row.at), row.version])
            .map(|_| ());
    }
    let host = row.host.as_ref().map(crate::id::UserId::as_str);
    let (at, pin, host_origin) = (iso(row.at), row.pin.map(String::from), row.host_origin.map(String::from));
    let values = params![
        row.id.as_str(),
        host,
        row.url,
        row.position,
        row.playing,
        row.guest_control,
        at,
        row.epoch,
        row.version,
        row.rate,
        row.position_at,
        row.empty_until,
        pin,
        host_origin,
    ];
    // As a rule it is there. An upsert would cost more, and write the index of rooms that are open anew.
    let known = batch
        .prepare_cached(
            "UPDATE rooms SET host_user_id = ?2, current_url = ?3, \"current_time\" = ?4, is_playing = ?5, guest_control_enabled = ?6,
                 updated_at = ?7, epoch = ?8, version = ?9, rate = ?10, position_at_ms = ?11, empty_until_ms = ?12,
                 pin_digest = ?13, host_origin = ?14
             WHERE id = ?1 AND archived_at IS NULL",
        )?
        .execute(values)?;
    if known > 0 {
        return Ok(());
    }
    batch
        .prepare_cached(
            "INSERT INTO rooms (id, host_user_id, current_url, \"current_time\", is_playing, guest_control_enabled, created_at,
                 updated_at, epoch, version, rate, position_at_ms, empty_until_ms, pin_digest, host_origin)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
             ON CONFLICT DO UPDATE SET host_user_id = excluded.host_user_id, current_url = excluded.current_url,
                 \"current_time\" = excluded.\"current_time\", is_playing = excluded.is_playing,
                 guest_control_enabled = excluded.guest_control_enabled, updated_at = excluded.updated_at, archived_at = NULL,
                 created_at = excluded.created_at, epoch = excluded.epoch, version = excluded.version, rate = excluded.rate,
                 position_at_ms = excluded.position_at_ms, empty_until_ms = excluded.empty_until_ms,
                 pin_digest = excluded.pin_digest, host_origin = excluded.host_origin",
        )?
        .execute(values)
        .map(|_| ())
}

/// Whether the database as a whole is in trouble; otherwise it is one entry that it does not take.
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
