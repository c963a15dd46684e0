//! Erases a person. Everything here can be done again, and is done piece by piece, because a table may be large.

use serde_json::value::to_raw_value;

use super::{Database, LedgerError, dead::unarmoured};
use crate::ledger::{Erased, Person, cell};

/// The number of rows that are erased at once.
const BATCH: i64 = 5_000;
/// The number of dead letters that are read at once.
const PAGE: u32 = 200;

impl Database {
    /// The rooms in which a person has left a trace.
    pub async fn rooms_of(&self, person: &Person) -> Result<Vec<String>, LedgerError> {
        self.texts(
            "SELECT room_id FROM users WHERE id = $1 UNION SELECT room_id FROM room_events WHERE user_id = $1
             UNION SELECT id FROM rooms WHERE host_user_id = $1",
            person.user.as_str(),
        )
        .await
    }

    /// When somebody with this keyed hash was erased, oldest first.
    pub async fn erasures_of(&self, subject: &str) -> Result<Vec<String>, LedgerError> {
        let client = self.lend().await?;
        let work = async {
            let rows = client
                .query("SELECT erased_at FROM erasures WHERE subject = $1 ORDER BY erased_at", &[&subject])
                .await?;
            rows.into_iter().map(|row| Ok(cell::iso_of(row.try_get(0)?))).collect()
        };
        let outcome = self.within(work).await;
        self.return_client(client, outcome)
    }

    async fn texts(&self, sql: &str, about: &str) -> Result<Vec<String>, LedgerError> {
        let client = self.lend().await?;
        let work = async {
            let rows = client.query(sql, &[&about]).await?;
            rows.into_iter().map(|row| Ok(row.try_get(0)?)).collect()
        };
        let outcome = self.within(work).await;
        self.return_client(client, outcome)
    }

    /// Counts what [`Database::erase`] would erase.
    pub async fn survey(&self, person: &Person, rooms: &[String]) -> Result<Erased, LedgerError> {
        let user = person.user.as_str();
        let mut found = Erased {
            events: self.count("SELECT count(*) FROM room_events WHERE user_id = $1", user).await?,
            users: self.count("SELECT count(*) FROM users WHERE id = $1", user).await?
                + self.count("SELECT count(*) FROM room_bans WHERE user_id = $1", user).await?,
            rooms: self.count("SELECT count(*) FROM rooms WHERE host_user_id = $1", user).await?,
            dead_letters: self.dead_letters_of(person).await?.len() as u64,
            ..Erased::default()
        };
        for room in rooms {
            found.mentions += self.mentions(person, room, false).await?;
        }
        Ok(found)
    }

    /// Erases a person in all tables, and returns how much there was.
    pub async fn erase(&self, person: &Person, rooms: &[String]) -> Result<Erased, LedgerError> {
        let user = person.user.as_str();
        let mut erased = Erased::default();
        for room in rooms {
            erased.mentions += self.mentions(person, room, true).await?;
        }
        erased.events = self
            .change(
                "DELETE FROM room_events WHERE (room_id, created_at, epoch, version) IN (
                     SELECT room_id, created_at, epoch, version FROM room_events WHERE user_id = $1 LIMIT $2)",
                user,
            )
            .await?;
        erased.users = self
            .change(
                "DELETE FROM users WHERE id = $1 AND room_id IN (SELECT room_id FROM users WHERE id = $1 LIMIT $2)",
                user,
            )
            .await?;
        erased.users += self
            .change(
                "DELETE FROM room_bans WHERE user_id = $1
                     AND room_id IN (SELECT room_id FROM room_bans WHERE user_id = $1 LIMIT $2)",
                user,
            )
            .await?;
        erased.rooms = self
            .change(
                "UPDATE rooms SET host_user_id = NULL, host_origin = NULL
                 WHERE id IN (SELECT id FROM rooms WHERE host_user_id = $1 LIMIT $2)",
                user,
            )
            .await?;
        let letters = self.dead_letters_of(person).await?;
        let client = self.lend().await?;
        let work = async { Ok(client.execute("DELETE FROM dead_letters WHERE id = ANY($1)", &[&letters]).await?) };
        let outcome = self.within(work).await;
        erased.dead_letters = self.return_client(client, outcome)?;
        Ok(erased)
    }

    /// Writes down that somebody was erased.
    pub async fn prove_erasure(&self, subject: &str, erased: &Erased) -> Result<(), LedgerError> {
        let client = self.lend().await?;
        let work = async {
            let erased = to_raw_value(erased).map_or_else(|_| "{}".to_owned(), |json| json.get().to_owned());
            client
                .execute("INSERT INTO erasures (subject, erased) VALUES ($1, $2::text::json)", &[&subject, &erased])
                .await?;
            Ok(())
        };
        let outcome = self.within(work).await;
        self.return_client(client, outcome)
    }

    async fn count(&self, sql: &str, user: &str) -> Result<u64, LedgerError> {
        let client = self.lend().await?;
        let work = async {
            let count: i64 = client.query_one(sql, &[&user]).await?.try_get(0)?;
            Ok(u64::try_from(count).unwrap_or_default())
        };
        let outcome = self.within(work).await;
        self.return_client(client, outcome)
    }

    /// Runs a statement for [`BATCH`] rows at a time until there are no more, and returns how many there were.
    async fn change(&self, sql: &str, user: &str) -> Result<u64, LedgerError> {
        let mut changed = 0;
        loop {
            let client = self.lend().await?;
            let work = async { Ok(client.execute(sql, &[&user, &BATCH]).await?) };
            let outcome = self.within(work).await;
            match self.return_client(client, outcome)? {
                0 => return Ok(changed),
                more => changed += more,
            }
        }
    }

    /// The events of others in a room that name a person; with `scrub` they name them no more.
    async fn mentions(&self, person: &Person, room: &str, scrub: bool) -> Result<u64, LedgerError> {
        let client = self.lend().await?;
        let work = async {
            let rows = client
                .query(
                    "SELECT created_at, epoch, version, data::text FROM room_events
                     WHERE room_id = $1 AND user_id <> $2 AND position($3 IN data::text) > 0",
                    &[&room, &person.user.as_str(), &person.quoted()],
                )
                .await?;
            let mut mentions = 0;
            for row in rows {
                let (at, epoch, version): (jiff::Timestamp, i64, i64) =
                    (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
                let data: String = row.try_get(3)?;
                let scrubbed = person.scrubbed(&data);
                if *scrubbed == data {
                    continue;
                }
                mentions += 1;
                if scrub {
                    client
                        .execute(
                            "UPDATE room_events SET data = $5::text::json
                             WHERE room_id = $1 AND created_at = $2 AND epoch = $3 AND version = $4",
                            &[&room, &at, &epoch, &version, &&*scrubbed],
                        )
                        .await?;
                }
            }
            Ok(mentions)
        };
        let outcome = self.within(work).await;
        self.return_client(client, outcome)
    }

    /// The ids of the dead letters that name a person. What is in base64 is looked into as well.
    async fn dead_letters_of(&self, person: &Person) -> Result<Vec<i64>, LedgerError> {
        let (mut found, mut after) = (Vec::new(), 0);
        loop {
            let letters = self.dead_letters(after, PAGE).await?;
            let Some(last) = letters.last() else { return Ok(found) };
            after = last.id;
            for letter in &letters {
                let payload = unarmoured(&letter.payload);
                let is_named = match serde_json::from_slice(&payload) {
                    Ok(value) => person.is_in(&value),
                    Err(_) => person.is_in_bytes(&payload),
                };
                // A message of PostgreSQL shows the row that it does not take.
                if is_named || letter.error.contains(person.user.as_str()) {
                    found.push(letter.id);
                }
            }
        }
    }
}
