use std::path::Path;

use rusqlite::{Connection, OpenFlags};
use serde::Serialize;
use serde_json::value::RawValue;

use super::{
    EventType, cell,
    table::{self, Stored as _, Table as _, columns},
};
use crate::clock::Millis;

/// A query for events. Without conditions it matches all of them.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs, reason = "the options of `tandem audit events`")]
pub struct Query {
    pub room: Option<String>,
    pub user: Option<String>,
    pub kind: Option<EventType>,
    pub since: Option<Millis>,
    pub until: Option<Millis>,
    /// Maximum number of events, the newest ones.
    pub limit: u32,
}

/// A row of `room_events`, with the column names of the table.
#[derive(Debug, Clone, Serialize)]
#[allow(missing_docs, reason = "the columns of schema/")]
pub struct EventRow {
    pub id: String,
    pub created_at: String,
    pub room_id: String,
    pub event_type: String,
    pub user_id: String,
    pub data: Box<RawValue>,
    pub epoch: u64,
    pub version: u64,
    pub node_id: String,
}

columns! {
    read EventRow {
        id => "id" Id,
        created_at => "created_at" Time,
        room_id => "room_id" Text,
        event_type => "event_type" Text,
        user_id => "user_id" Text,
        data => "data" Json,
        epoch => "epoch" BigInt,
        version => "version" BigInt,
        node_id => "node_id" Text,
    }
}

impl EventRow {
    /// The names of the columns.
    pub fn columns() -> impl Iterator<Item = &'static str> {
        Self::COLUMNS.iter().map(|column| column.name)
    }
}

/// The shard of the index `room_events_by_room` (`schema/sqlite`) that a room is in.
const LIST: &str = "list = unicode(substr(?, -1)) % 16";

/// Reads events, oldest first. This is possible while a node writes.
pub fn query(path: &Path, query: &Query) -> rusqlite::Result<Vec<EventRow>> {
    let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    db.busy_timeout(std::time::Duration::from_secs(5))?;
    // The statement has only the conditions that are used, so that SQLite can use its indexes.
    let wanted: [(&str, Option<String>); 6] = [
        (LIST, query.room.clone()),
        ("room_id = ?", query.room.clone()),
        ("user_id = ?", query.user.clone()),
        ("event_type = ?", query.kind.map(|kind| kind.as_str().to_owned())),
        ("created_at >= ?", query.since.map(cell::iso)),
        ("created_at < ?", query.until.map(cell::iso)),
    ];
    let (conditions, values): (Vec<_>, Vec<_>) =
        wanted.into_iter().filter_map(|(condition, value)| Some((condition, value?))).unzip();
    let filter = if conditions.is_empty() { String::new() } else { format!("WHERE {}", conditions.join(" AND ")) };
    let mut select = db.prepare(&format!(
        "SELECT * FROM (
             SELECT {} FROM room_events {filter}
             ORDER BY created_at DESC, epoch DESC, version DESC LIMIT {})
         ORDER BY created_at, epoch, version",
        table::names::<EventRow>(),
        query.limit
    ))?;
    let rows = select.query_map(rusqlite::params_from_iter(values), |row| EventRow::read(row, ()))?;
    rows.filter_map(Result::transpose).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::sqlite;

    #[test]
    fn a_database_of_the_first_schema_is_searched_by_room() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        let old = Connection::open(&path).unwrap();
        old.execute_batch(include_str!("../../schema/sqlite/0001_ledger.sql")).unwrap();
        old.pragma_update(None, "user_version", 1).unwrap();
        // Some of them share a list.
        for room in ["a", "q", "raum-ä", "qA", "z"] {
            let insert = "INSERT INTO room_events VALUES (?1, ?1, 'SEEK', 'ana', '{}', '2026', 1, 1, 'node')";
            old.execute(insert, [room]).unwrap();
        }
        drop(old);
        let db = sqlite::open(&path).unwrap();
        for room in ["a", "q", "raum-ä", "qA", "z"] {
            let rows = query(&path, &Query { room: Some(room.into()), limit: 10, ..Query::default() }).unwrap();
            assert_eq!(rows.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), [room]);
        }
        let plan =
            format!("EXPLAIN QUERY PLAN SELECT * FROM room_events WHERE {LIST} AND room_id = ? ORDER BY created_at");
        let plan: String = db.query_row(&plan, ["a", "a"], |row| row.get("detail")).unwrap();
        assert!(plan.starts_with("SEARCH room_events USING INDEX room_events_by_room (list=?"), "{plan}");
    }
}
