use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Serialize;

use super::{Database, LedgerError, without_nul};
use crate::ledger::{Entry, cell};

/// An entry that could not be written, and the reason.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// The stream in Redis.
    pub stream: String,
    /// The id of the entry in the stream.
    pub entry_id: String,
    /// The payload: the JSON of an [`Entry`], or anything else.
    pub payload: String,
    pub error: String,
}

/// The prefix of a payload that was encoded to be kept. No entry begins like this.
const ARMOUR: &str = "base64:";

impl DeadLetter {
    /// A text is kept unchanged, anything else in base64.
    pub fn new(stream: String, entry_id: String, payload: &[u8], error: String) -> Self {
        let payload = std::str::from_utf8(payload).map_or_else(|_| armour(payload), str::to_owned);
        Self { stream, entry_id, payload, error }
    }

    /// The dead letter, encoded in letters that every database accepts.
    #[must_use]
    pub fn armoured(&self) -> Self {
        let payload =
            if self.payload.starts_with(ARMOUR) { self.payload.clone() } else { armour(self.payload.as_bytes()) };
        Self { payload, error: self.error.escape_default().to_string(), ..self.clone() }
    }
}

fn armour(bytes: &[u8]) -> String {
    format!("{ARMOUR}{}", STANDARD.encode(bytes))
}

/// The original payload.
pub(super) fn unarmoured(payload: &str) -> Cow<'_, [u8]> {
    let bytes = payload.strip_prefix(ARMOUR).and_then(|text| STANDARD.decode(text).ok());
    bytes.map_or(Cow::Borrowed(payload.as_bytes()), Cow::Owned)
}

/// A row of `dead_letters`.
#[derive(Debug, Clone, Serialize)]
#[allow(missing_docs, reason = "the columns of schema/")]
pub struct DeadRow {
    pub id: i64,
    pub failed_at: String,
    pub tried_at: String,
    pub tries: i32,
    pub stream: String,
    pub entry_id: String,
    pub error: String,
    pub payload: String,
}

impl Database {
    /// Adds a dead letter. Adding it again has no effect.
    pub async fn add_dead_letter(&self, letter: &DeadLetter) -> Result<(), LedgerError> {
        let payload = letter.payload.replace('\0', "\u{FFFD}");
        let error = letter.error.replace('\0', "\u{FFFD}");
        let client = self.lend().await?;
        let work = async {
            let insert = client
                .prepare_cached(
                    "INSERT INTO dead_letters (stream, entry_id, payload, error) SELECT $1, $2, $3, $4
                     WHERE NOT EXISTS (SELECT FROM dead_letters WHERE stream = $1 AND entry_id = $2 AND payload = $3)",
                )
                .await?;
            client.execute(&insert, &[&letter.stream, &letter.entry_id, &payload, &error]).await?;
            Ok(())
        };
        let outcome = self.within(work).await;
        self.return_client(client, outcome)
    }

    /// Up to `limit` dead letters after the id `after`, oldest first.
    pub async fn dead_letters(&self, after: i64, limit: u32) -> Result<Vec<DeadRow>, LedgerError> {
        let client = self.lend().await?;
        let work = async {
            let rows = client
                .query(
                    "SELECT id, failed_at, tried_at, tries, stream, entry_id, error, payload FROM dead_letters WHERE id > $1
                     ORDER BY id LIMIT $2",
                    &[&after, &i64::from(limit)],
                )
                .await?;
            let read = |row: tokio_postgres::Row| -> Result<DeadRow, LedgerError> {
                Ok(DeadRow {
                    id: row.try_get(0)?,
                    failed_at: cell::iso_of(row.try_get(1)?),
                    tried_at: cell::iso_of(row.try_get(2)?),
                    tries: row.try_get(3)?,
                    stream: row.try_get(4)?,
                    entry_id: row.try_get(5)?,
                    error: row.try_get(6)?,
                    payload: row.try_get(7)?,
                })
            };
            rows.into_iter().map(read).collect()
        };
        let outcome = self.within(work).await;
        self.return_client(client, outcome)
    }

    /// Writes an entry as the worker would. On success it is removed from the table; otherwise the reason is stored there and returned.
    pub async fn replay(&self, row: &DeadRow) -> Result<Result<(), String>, LedgerError> {
        let payload = unarmoured(&row.payload);
        let payload = std::str::from_utf8(&payload).unwrap_or(&row.payload);
        let text = without_nul(payload);
        let why = match serde_json::from_str::<Entry>(text.as_deref().unwrap_or(payload)) {
            Err(error) => Some(format!("it is no entry: {error}")),
            Ok(entry) => match self.write(&[&entry]).await {
                Ok(_) => None,
                Err(error) if error.is_about_data() => Some(error.to_string()),
                Err(error) => return Err(error),
            },
        };
        let client = self.lend().await?;
        let work = async {
            let (now_gone, noted) = (
                "DELETE FROM dead_letters WHERE id = $1",
                "UPDATE dead_letters SET tries = tries + 1, tried_at = now(), error = $2 WHERE id = $1",
            );
            match &why {
                None => client.execute(now_gone, &[&row.id]).await?,
                Some(why) => client.execute(noted, &[&row.id, why]).await?,
            };
            Ok(())
        };
        let outcome = self.within(work).await;
        self.return_client(client, outcome)?;
        Ok(why.map_or(Ok(()), Err))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn armour_keeps_what_is_in_it() {
        let letter =
            DeadLetter::new("s".into(), "1-0".into(), "{\"a\":\"\u{1F3AC}\"}".as_bytes(), "kein \u{20AC}".into());
        let armoured = letter.armoured();
        assert!(armoured.payload.is_ascii() && armoured.error.is_ascii(), "{armoured:?}");
        assert_eq!(*unarmoured(&armoured.payload), *letter.payload.as_bytes());
        assert_eq!(armoured.armoured().payload, armoured.payload, "once is enough");
        let bytes = DeadLetter::new("s".into(), "1-0".into(), b"\xff", String::new());
        assert!(bytes.payload.starts_with(ARMOUR));
        assert_eq!(*unarmoured(&bytes.payload), *b"\xff");
        assert_eq!(*unarmoured("{}"), *b"{}");
    }
}
