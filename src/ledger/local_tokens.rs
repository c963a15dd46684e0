use std::{path::Path, time::Duration};

use rusqlite::{Connection, OptionalExtension as _, Row, TransactionBehavior, params};

use super::{WriterError, sqlite};
use crate::{
    clock::Millis,
    id::{RoomId, UserId},
    token::{Revocation, Revocations, RevocationsFull, Target},
};

/// How long one process waits for another that writes.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many revocations are read at once.
const PAGE: u32 = 500;

/// What a single node keeps of tokens and invitations, in the file of its ledger.
#[derive(Debug)]
pub struct LocalTokens {
    /// `None` is a state that is not kept, as long as nothing has been written: to make its tables costs more than all else in memory.
    db: Option<Connection>,
}

/// Why revocations could not be written.
#[derive(Debug, thiserror::Error)]
pub enum LocalTokensError {
    /// SQLite returned an error.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// There are too many already.
    #[error(transparent)]
    Full(#[from] RevocationsFull),
}

impl LocalTokens {
    /// Opens the ledger, and brings its schema up to date.
    pub fn open(path: &Path) -> Result<Self, WriterError> {
        let open = || {
            let db = sqlite::open(path)?;
            db.busy_timeout(PATIENCE)?;
            Ok(Self { db: Some(db) })
        };
        open().map_err(|source| WriterError { path: path.to_owned(), source })
    }

    /// For a state that is not kept.
    pub fn in_memory() -> Self {
        Self { db: None }
    }

    /// The database to write to.
    fn tables(&mut self) -> rusqlite::Result<&mut Connection> {
        match &mut self.db {
            Some(db) => Ok(db),
            none => Ok(none.insert(sqlite::open_in_memory()?)),
        }
    }

    /// Adds revocations, and forgets those that are over.
    pub fn revoke(&mut self, revocations: &[Revocation], now: Millis) -> Result<(), LocalTokensError> {
        let step = self.tables()?.transaction_with_behavior(TransactionBehavior::Immediate)?;
        step.execute("DELETE FROM revocations WHERE until_ms <= ?1", [now])?;
        let count: usize = step.query_row("SELECT count(*) FROM revocations", [], |row| row.get(0))?;
        if count + revocations.len() > Revocations::MOST {
            return Err(RevocationsFull.into());
        }
        for Revocation { target, issued_before, until } in revocations {
            let (kind, target) = match target {
                Target::Token(jti) => ("token", &**jti),
                Target::User(user) => ("user", user.as_str()),
                Target::Room(room) => ("room", room.as_str()),
            };
            step.prepare_cached(
                "INSERT INTO revocations (kind, target, issued_before_ms, until_ms) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![kind, target, issued_before, until])?;
        }
        Ok(step.commit()?)
    }

    /// Revocations after the one with this number, oldest first, with their numbers. There may be more.
    pub fn revocations(&self, after: u64) -> rusqlite::Result<Vec<(u64, Revocation)>> {
        let Some(db) = &self.db else { return Ok(Vec::new()) };
        let mut select = db.prepare_cached(
            "SELECT id, kind, target, issued_before_ms, until_ms FROM revocations WHERE id > ?1 ORDER BY id LIMIT ?2",
        )?;
        select.query_map([after, PAGE.into()], read)?.collect()
    }

    /// Whether there is one with this number.
    pub fn has(&self, number: u64) -> rusqlite::Result<bool> {
        let Some(db) = &self.db else { return Ok(false) };
        db.prepare_cached("SELECT 1 FROM revocations WHERE id = ?1")?.exists([number])
    }

    /// Counts a use of an invitation: `Some(true)` if it is a new one, `Some(false)` if it was counted before, `None` if there is none left.
    pub fn claim_use(
        &mut self,
        invitation: &str,
        by: &str,
        uses: u32,
        until: Millis,
    ) -> rusqlite::Result<Option<bool>> {
        let step = self.tables()?.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let known: Option<i64> = step
            .prepare_cached("SELECT 1 FROM invitation_uses WHERE invitation = ?1 AND used_by = ?2")?
            .query_row([invitation, by], |row| row.get(0))
            .optional()?;
        if known.is_some() {
            return Ok(Some(false));
        }
        let count: u32 = step
            .prepare_cached("SELECT count(*) FROM invitation_uses WHERE invitation = ?1")?
            .query_row([invitation], |row| row.get(0))?;
        if count >= uses {
            return Ok(None);
        }
        step.prepare_cached("INSERT INTO invitation_uses (invitation, used_by, until_ms) VALUES (?1, ?2, ?3)")?
            .execute(params![invitation, by, until])?;
        step.commit()?;
        Ok(Some(true))
    }

    /// Takes a use back.
    pub fn release_use(&self, invitation: &str, by: &str) -> rusqlite::Result<()> {
        let Some(db) = &self.db else { return Ok(()) };
        let delete = "DELETE FROM invitation_uses WHERE invitation = ?1 AND used_by = ?2";
        db.prepare_cached(delete)?.execute([invitation, by]).map(|_| ())
    }

    /// Forgets who has used invitations that have expired.
    pub fn forget_uses(&self, now: Millis) -> rusqlite::Result<()> {
        let Some(db) = &self.db else { return Ok(()) };
        db.prepare_cached("DELETE FROM invitation_uses WHERE until_ms <= ?1")?.execute([now]).map(|_| ())
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<(u64, Revocation)> {
    let (kind, target): (String, String) = (row.get(1)?, row.get(2)?);
    let wrong = |error: &dyn std::fmt::Display| {
        rusqlite::Error::FromSqlConversionFailure(2, rusqlite::types::Type::Text, error.to_string().into())
    };
    let target = match kind.as_str() {
        "user" => Target::User(UserId::parse(&target).map_err(|error| wrong(&error))?),
        "room" => Target::Room(RoomId::parse(&target).map_err(|error| wrong(&error))?),
        _ => Target::Token(target.into()),
    };
    Ok((row.get(0)?, Revocation { target, issued_before: row.get(3)?, until: row.get(4)? }))
}
