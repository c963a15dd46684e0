use std::path::Path;

use rusqlite::{Row, params};

use super::{WriterError, sqlite};
use crate::{
    clock::Millis,
    id::{RoomId, UserId},
    room::{Digest, Policy, Room, Timeline, Vacancy},
};

/// The rooms that outlive a restart: those that were open when the node last ran, if that is not longer ago than an empty room is kept. They
/// come back empty, with the host's role kept for it; everything else is archived.
pub fn restore(path: &Path, policy: &Policy, now: Millis) -> Result<Vec<Room>, WriterError> {
    read(path, policy, now).map_err(|source| WriterError { path: path.to_owned(), source })
}

fn read(path: &Path, policy: &Policy, now: Millis) -> rusqlite::Result<Vec<Room>> {
    let db = sqlite::open(path)?;
    let last_alive: Millis = db.query_row("SELECT coalesce(max(at_ms), 0) FROM node_alive", [], |row| row.get(0))?;
    db.execute(
        "UPDATE rooms SET archived_at = ?1, updated_at = ?1
         WHERE archived_at IS NULL AND coalesce(empty_until_ms, ?2) <= ?3",
        params![sqlite::iso(now), last_alive + policy.empty_grace, now],
    )?;
    db.execute("UPDATE users SET left_at = ?1, updated_at = ?1 WHERE left_at IS NULL", [sqlite::iso(now)])?;
    let mut select = db.prepare("SELECT * FROM rooms WHERE archived_at IS NULL")?;
    let rooms = select.query_map([], |row| room(row, policy, now))?;
    rooms.filter_map(Result::transpose).collect()
}

/// Nothing for a row that no room of ours has written.
fn room(row: &Row<'_>, policy: &Policy, now: Millis) -> rusqlite::Result<Option<Room>> {
    let Ok(id) = RoomId::parse(&row.get::<_, String>("id")?) else { return Ok(None) };
    let digest = |column: &str| -> rusqlite::Result<Option<Digest>> {
        Ok(row.get::<_, Option<String>>(column)?.and_then(|hex| Digest::try_from(hex).ok()))
    };
    let host: Option<String> = row.get("host_user_id")?;
    let origin = digest("host_origin")?;
    let vacancy = host.and_then(|host| UserId::parse(&host).ok()).map(|user| Vacancy {
        user,
        origin,
        until: now + policy.host_grace,
    });
    let empty_until: Option<Millis> = row.get("empty_until_ms")?;
    Ok(Some(Room {
        // A new incarnation: the last versions of the old one may not have reached the ledger.
        epoch: now,
        version: row.get("version")?,
        pin: digest("pin_digest")?,
        vacancy,
        guest_control: row.get("guest_control_enabled")?,
        url: row.get::<_, Option<String>>("current_url")?.map(Into::into),
        timeline: Timeline {
            position: row.get("current_time")?,
            playing: row.get("is_playing")?,
            rate: row.get("rate")?,
            at: row.get("position_at_ms")?,
            by: None,
        },
        empty_until: Some(empty_until.unwrap_or(now + policy.empty_grace)),
        ..Room::vacant(id)
    }))
}
