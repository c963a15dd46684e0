use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use jiff::{Timestamp, civil, tz::TimeZone};

use super::{Database, LedgerError, Lock, LockSession};

/// Number of months ahead for which tables are created.
const AHEAD: u32 = 2;
/// How long a change of tables may wait for readers.
const PATIENCE: Duration = Duration::from_secs(2);

/// A month in UTC, the range of one partition of `room_events`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Month(civil::Date);

impl fmt::Debug for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.table())
    }
}

impl Month {
    pub(super) fn of(at: Timestamp) -> Self {
        Self(at.to_zoned(TimeZone::UTC).date().first_of_month())
    }

    /// The month of a table such as `room_events_2026_11`; `None` for other tables, which must not be dropped.
    fn of_table(name: &str) -> Option<Self> {
        let (year, month) = name.strip_prefix("room_events_")?.split_once('_')?;
        civil::Date::new(year.parse().ok()?, month.parse().ok()?, 1).ok().map(Self)
    }

    fn table(self) -> String {
        format!("room_events_{:04}_{:02}", self.0.year(), self.0.month())
    }

    /// The month `months` later, at most the last one of the calendar.
    fn plus(self, months: u32) -> Self {
        let span = jiff::Span::new().try_months(months);
        Self(span.and_then(|span| self.0.checked_add(span)).unwrap_or(civil::Date::MAX.first_of_month()))
    }

    fn minus(self, months: u32) -> Self {
        let span = jiff::Span::new().try_months(months);
        Self(span.and_then(|span| self.0.checked_sub(span)).unwrap_or(civil::Date::MIN))
    }

    fn create(self) -> String {
        let bound = |month: Self| format!("'{:04}-{:02}-01 00:00:00+00'", month.0.year(), month.0.month());
        // No event is later than the last month of the calendar.
        let next = if self.plus(1) == self { "MAXVALUE".to_owned() } else { bound(self.plus(1)) };
        format!(
            "CREATE TABLE IF NOT EXISTS {} PARTITION OF room_events FOR VALUES FROM ({}) TO ({next})",
            self.table(),
            bound(self)
        )
    }
}

impl Database {
    pub(super) async fn make_partitions(&self, months: &BTreeSet<Month>) -> Result<(), LedgerError> {
        let client = self.lend().await?;
        let work = async {
            create(&client, months.iter().copied()).await.map_err(|error| match error {
                LedgerError::Postgres(source) => LedgerError::Partition { months: format!("{months:?}"), source },
                error => error,
            })
        };
        let outcome = self.within(work).await;
        self.return_client(client, outcome)
    }
}

async fn create(client: &tokio_postgres::Client, months: impl Iterator<Item = Month>) -> Result<(), LedgerError> {
    // Under a lock, because IF NOT EXISTS alone does not keep two workers from creating the same table.
    let lock = Lock::Partitions.key();
    let tables: Vec<String> = months.map(Month::create).collect();
    change(client, &format!("SELECT pg_advisory_xact_lock({lock}); {}", tables.join("; "))).await
}

/// Creates or drops a table, or gives up soon: a statement that waits behind a long reader blocks all later ones.
async fn change(client: &tokio_postgres::Client, sql: &str) -> Result<(), LedgerError> {
    let sql = format!("BEGIN; SET LOCAL lock_timeout = {}; {sql}; COMMIT", PATIENCE.as_millis());
    if let Err(error) = client.batch_execute(&sql).await {
        client.batch_execute("ROLLBACK").await?;
        return Err(error.into());
    }
    Ok(())
}

impl LockSession {
    /// Creates the tables of this month and the next ones. Returns the names of new tables.
    pub async fn make_partitions_ahead(&self) -> Result<Vec<String>, LedgerError> {
        let work = async {
            let before = partitions(self.client()).await?;
            let now = Month::of(self.client().query_one("SELECT now()", &[]).await?.try_get(0)?);
            let missing: Vec<Month> =
                (0..=AHEAD).map(|months| now.plus(months)).filter(|month| !before.contains_key(month)).collect();
            if !missing.is_empty() {
                create(self.client(), missing.iter().copied()).await?;
            }
            Ok(missing.into_iter().map(Month::table).collect())
        };
        self.within(work).await
    }

    /// Drops the tables of months that ended more than `keep` months ago. Returns their names.
    pub async fn drop_partitions(&self, keep: u16) -> Result<Vec<String>, LedgerError> {
        let work = async {
            let now = Month::of(self.client().query_one("SELECT now()", &[]).await?.try_get(0)?);
            let oldest = now.minus(keep.into());
            let mut dropped = Vec::new();
            for (month, table) in partitions(self.client()).await? {
                if month < oldest {
                    change(self.client(), &format!("DROP TABLE IF EXISTS \"{table}\"")).await?;
                    dropped.push(table);
                }
            }
            Ok(dropped)
        };
        self.within(work).await
    }
}

async fn partitions(client: &tokio_postgres::Client) -> Result<BTreeMap<Month, String>, LedgerError> {
    let rows = client
        .query(
            "SELECT relname::text FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
             WHERE inhparent = 'room_events'::regclass",
            &[],
        )
        .await?;
    let names = rows.iter().map(|row| row.try_get::<_, String>(0)).collect::<Result<Vec<_>, _>>()?;
    Ok(names.into_iter().filter_map(|name| Some((Month::of_table(&name)?, name))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_have_tables() {
        let month = Month::of("2026-12-31T23:59:59.999Z".parse().unwrap());
        assert_eq!(month.table(), "room_events_2026_12");
        assert_eq!(month.plus(1).table(), "room_events_2027_01");
        assert_eq!(month.minus(12).table(), "room_events_2025_12");
        assert_eq!(Month::of_table(&month.table()), Some(month));
        assert_eq!(Month::of_table("room_events_old"), None);
        assert!(month.create().ends_with("FROM ('2026-12-01 00:00:00+00') TO ('2027-01-01 00:00:00+00')"));
        assert!(Month::of(Timestamp::MAX).create().ends_with("TO (MAXVALUE)"));
    }
}
