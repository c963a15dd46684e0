use std::{path::Path, sync::LazyLock};

use rusqlite::{Connection, Row, params};
use uuid::Builder;

use super::{
    Event, EventType, RoomRow, WriterError, cell, sqlite,
    table::{self, Stored as _},
    trace::ended_by_restart,
};
use crate::{
    clock::Millis,
    id::{NodeId, RoomId},
    room::{Member, Policy, Presence, Room, UnknownFields},
};

/// Restores the rooms that were open when the node last ran, unless that is longer ago than an empty room is kept. Members that can resume
/// come back as away; of the others only the role of the host is kept. All other rooms are archived.
pub fn restore(path: &Path, node: &NodeId, policy: &Policy, now: Millis) -> Result<Vec<Room>, WriterError> {
    read(path, node, policy, now).map_err(|source| WriterError { path: path.to_owned(), source })
}

fn read(path: &Path, node: &NodeId, policy: &Policy, now: Millis) -> rusqlite::Result<Vec<Room>> {
    let mut db = sqlite::open(path)?;
    let last_alive: Millis = db.query_row("SELECT coalesce(max(at_ms), 0) FROM node_alive", [], |row| row.get(0))?;
    let step = db.transaction()?;
    for event in lost(&step, node, policy, last_alive, now)? {
        sqlite::Recorder::new(&step)?.record(&event)?;
        if event.kind == EventType::RoomClosed {
            let archive = "UPDATE rooms SET archived_at = ?2, updated_at = ?2 WHERE id = ?1";
            step.prepare_cached(archive)?.execute(params![event.room.as_str(), cell::iso(now)])?;
            sqlite::end_bans(&step, event.room.as_str(), event.epoch)?;
        }
    }
    step.commit()?;
    let mut select =
        db.prepare(&format!("SELECT {} FROM rooms WHERE archived_at IS NULL", table::names::<RoomRow>()))?;
    let archived = false;
    let rows = select.query_map([], |row| {
        let bans = sqlite::bans_of(&db, &row.get::<_, String>("id")?)?;
        RoomRow::read(row, (archived, bans))
    })?;
    // `None` for a row that tandem did not write.
    let rows: Vec<RoomRow> = rows.filter_map(Result::transpose).collect::<Result<_, _>>()?;
    let mut rooms: Vec<Room> = rows.into_iter().filter_map(|row| row.into_room(policy, now)).collect();
    for room in &mut rooms {
        seat_members(&db, room, node, policy, now)?;
    }
    Ok(rooms)
}

/// The events of what a restart ends: members that cannot resume, and rooms that were empty for too long.
fn lost(
    db: &Connection,
    node: &NodeId,
    policy: &Policy,
    last_alive: Millis,
    now: Millis,
) -> rusqlite::Result<Vec<Event>> {
    let event = |row: &Row<'_>, kind: EventType| -> rusqlite::Result<Option<Event>> {
        let Ok(room) = RoomId::parse(&row.get::<_, String>("room_id")?) else { return Ok(None) };
        Ok(Some(Event {
            id: Builder::from_unix_timestamp_millis(now, &rand::random()).into_uuid(),
            room,
            kind,
            user: row.get::<_, String>("user_id")?.into(),
            data: ended_by_restart(),
            at: now,
            epoch: row.get("epoch")?,
            version: row.get("version")?,
            node: node.clone(),
        }))
    };
    let closed = "coalesce(rooms.empty_until_ms, ?1) <= ?2";
    let (until, resumable) = (last_alive + policy.empty_grace, last_alive + policy.resume_window > now);
    let mut members = db.prepare(&format!(
        "SELECT users.id AS user_id, room_id, epoch, version FROM users JOIN rooms ON rooms.id = room_id
         WHERE left_at IS NULL AND archived_at IS NULL AND (NOT ?3 OR token_digest IS NULL OR {closed})"
    ))?;
    let members = members.query_map(params![until, now, resumable], |row| event(row, EventType::UserLeft))?;
    let mut events: Vec<Event> = members.filter_map(Result::transpose).collect::<Result<_, _>>()?;
    let mut rooms = db.prepare(&format!(
        "SELECT 'server' AS user_id, id AS room_id, epoch, version FROM rooms WHERE archived_at IS NULL AND {closed}"
    ))?;
    for room in rooms.query_map([until, now], |row| event(row, EventType::RoomClosed))? {
        events.extend(room?);
    }
    Ok(events)
}

static SELECT_SEATS: LazyLock<String> = LazyLock::new(|| {
    let names = table::names::<Member>();
    format!("SELECT {names} FROM users WHERE room_id = ?1 AND left_at IS NULL ORDER BY seat_order")
});

/// Restores the members that have a token.
fn seat_members(db: &Connection, room: &mut Room, node: &NodeId, policy: &Policy, now: Millis) -> rusqlite::Result<()> {
    let mut select = db.prepare_cached(&SELECT_SEATS)?;
    let presence = Presence::away(now, now);
    let beside = || {
        let (token_before, token_beside, shown_at, watching) = (None, None, None, false);
        (node.clone(), token_before, token_beside, shown_at, presence, watching, None, UnknownFields::default())
    };
    let rows = select.query_map([room.id.as_str()], |row| Member::read(row, beside()))?;
    let members: Vec<Member> = rows.filter_map(Result::transpose).collect::<Result<_, _>>()?;
    room.readmit(members, policy, now);
    Ok(())
}
