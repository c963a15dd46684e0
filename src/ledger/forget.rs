//! Erases a person in the ledger of a single node.

use std::path::Path;

use rusqlite::{Connection, params};

use super::{Erased, Person, WriterError, cell::iso, sqlite};
use crate::clock::Millis;

/// How long SQLite waits for the node, which writes for some milliseconds at a time.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

/// The ledger of a single node, which may be running.
#[derive(Debug)]
pub struct LocalLedger {
    db: Connection,
}

impl LocalLedger {
    /// Opens the ledger, and brings its schema up to date.
    pub fn open(path: &Path) -> Result<Self, WriterError> {
        let open = || {
            let db = sqlite::open(path)?;
            db.busy_timeout(PATIENCE)?;
            // Pages that are no longer needed are overwritten, too.
            db.pragma_update(None, "secure_delete", true)?;
            Ok(Self { db })
        };
        open().map_err(|source| WriterError { path: path.to_owned(), source })
    }

    /// The open rooms in which a person has a seat.
    pub fn seats_of(&self, person: &Person) -> rusqlite::Result<Vec<String>> {
        let mut select = self.db.prepare(
            "SELECT room_id FROM users JOIN rooms ON rooms.id = room_id
             WHERE users.id = ?1 AND left_at IS NULL AND archived_at IS NULL",
        )?;
        select.query_map([person.user.as_str()], |row| row.get(0))?.collect()
    }

    /// When somebody with this keyed hash was erased, oldest first.
    pub fn erasures_of(&self, subject: &str) -> rusqlite::Result<Vec<String>> {
        let mut select = self.db.prepare("SELECT erased_at FROM erasures WHERE subject = ?1 ORDER BY erased_at")?;
        select.query_map([subject], |row| row.get(0))?.collect()
    }

    /// Counts what [`LocalLedger::erase`] would erase.
    pub fn survey(&mut self, person: &Person) -> rusqlite::Result<Erased> {
        let trial = self.db.transaction()?;
        let found = erase(&trial, person)?;
        trial.rollback()?;
        Ok(found)
    }

    /// Erases a person, writes down that somebody was erased, and returns how much there was.
    pub fn erase(&mut self, person: &Person, subject: &str, now: Millis) -> rusqlite::Result<Erased> {
        let step = self.db.transaction()?;
        let erased = erase(&step, person)?;
        let json = serde_json::to_string(&erased).unwrap_or_else(|_| "{}".to_owned());
        step.execute(
            "INSERT INTO erasures (erased_at, subject, erased) VALUES (?1, ?2, ?3)",
            params![iso(now), subject, json],
        )?;
        step.commit()?;
        // The names are in the write-ahead log as long as it is not cut off. A node that reads meanwhile puts that off.
        self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(erased)
    }
}

fn erase(db: &Connection, person: &Person) -> rusqlite::Result<Erased> {
    let user = person.user.as_str();
    let mut erased = Erased::default();
    let mentions: Vec<(String, String)> = db
        .prepare("SELECT id, data FROM room_events WHERE user_id <> ?1 AND instr(data, ?2) > 0")?
        .query_map([user, person.quoted()], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    for (id, data) in mentions {
        let scrubbed = person.scrubbed(&data);
        if *scrubbed != data {
            db.execute("UPDATE room_events SET data = ?2 WHERE id = ?1", [&id, &*scrubbed])?;
            erased.mentions += 1;
        }
    }
    let count = |sql: &str| db.execute(sql, [user]).map(|rows| rows as u64);
    erased.events = count("DELETE FROM room_events WHERE user_id = ?1")?;
    erased.users = count("DELETE FROM users WHERE id = ?1")? + count("DELETE FROM room_bans WHERE user_id = ?1")?;
    erased.rooms = count("UPDATE rooms SET host_user_id = NULL, host_origin = NULL WHERE host_user_id = ?1")?;
    Ok(erased)
}
