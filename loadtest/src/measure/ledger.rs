//! Compares the ledger in PostgreSQL with what was done.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::time::{sleep, timeout};
use tokio_postgres::NoTls;

use crate::{
    report::Sheet,
    servers::{Postgres, Redis},
    units::float,
};

/// The worker is stuck if the streams do not change for so long.
const STUCK: Duration = Duration::from_secs(30);

const COUNT: Duration = Duration::from_mins(2);

const LOOK: Duration = Duration::from_millis(200);

/// A type of events, and how many of them there should be.
pub(crate) type Done = (&'static str, u64);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Audit {
    /// Entries that are still in Redis.
    pub(crate) waiting: u64,
    /// All events.
    pub(crate) rows: u64,
    /// Events with the version of another event.
    pub(crate) doubled: u64,
    /// By type: the events that there should be, and how many there are.
    found: Vec<(Done, u64)>,
}

/// Waits until the worker has written all entries, and counts the events.
pub(crate) async fn audit(redis: &Redis, postgres: &Postgres, done: &[Done]) -> Result<Audit> {
    let (mut waiting, mut since) = (redis.waiting_entries().await?, Instant::now());
    while waiting > 0 && since.elapsed() < STUCK {
        sleep(LOOK).await;
        let now = redis.waiting_entries().await?;
        if now != waiting {
            (waiting, since) = (now, Instant::now());
        }
    }
    let (client, connection) = tokio_postgres::connect(&postgres.url(), NoTls).await?;
    let connection = tokio::spawn(connection);
    let count = async {
        // Each change of a room has its own version.
        let all = "SELECT count(*), count(DISTINCT (room_id, epoch, version)) FROM room_events";
        let all = client.query_one(all, &[]).await?;
        let (rows, changes) = (unsigned(all.try_get(0)?), unsigned(all.try_get(1)?));
        let mut found = Vec::new();
        for (event, times) in done {
            let of_type = "SELECT count(*) FROM room_events WHERE event_type = $1";
            let row = client.query_one(of_type, &[event]).await?;
            found.push(((*event, *times), unsigned(row.try_get(0)?)));
        }
        anyhow::Ok(Audit { waiting, rows, doubled: rows - changes.min(rows), found })
    };
    let audit = timeout(COUNT, count).await.context("counting the ledger takes too long")??;
    drop(client);
    connection.await??;
    Ok(audit)
}

fn unsigned(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

impl Audit {
    /// Figures that are zero for a correct ledger.
    pub(crate) const CORRECT: [&str; 4] = ["ledger_lost", "ledger_doubled", "ledger_unsent", "ledger_waiting"];

    /// Reports the figures; returns a line for each type of events with a difference.
    pub(crate) fn report(&self, sheet: &mut Sheet, column: &str) -> Vec<String> {
        let lost = self.found.iter().map(|((_, times), rows)| times.saturating_sub(*rows)).sum();
        let unsent = self.found.iter().map(|((_, times), rows)| rows.saturating_sub(*times)).sum();
        for (figure, value) in [
            ("ledger_rows", self.rows),
            ("ledger_lost", lost),
            ("ledger_doubled", self.doubled),
            ("ledger_unsent", unsent),
            ("ledger_waiting", self.waiting),
        ] {
            sheet.set(column, figure, float(value));
        }
        let wrong = self.found.iter().filter(|((_, times), rows)| times != rows);
        wrong.map(|((event, times), rows)| format!("ledger: {rows} events {event} instead of {times}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{report::Report, scenario::zero};

    #[test]
    fn a_difference_breaks_a_rule() {
        let judged = |audit: &Audit| {
            let (mut report, mut sheet) = (Report::new("control"), Sheet::new(""));
            let lines = audit.report(&mut sheet, "");
            report.sheets.push(sheet);
            (report.judge(&zero("", &Audit::CORRECT)), lines.len())
        };
        let found = |rows| vec![(("PLAY_PAUSE", 10), rows)];
        let good = Audit { waiting: 0, rows: 12, doubled: 0, found: found(10) };
        assert_eq!(judged(&good), (vec![true, true, true, true], 0));
        assert_eq!(judged(&Audit { found: found(9), ..good }), (vec![false, true, true, true], 1));
        let bad = Audit { waiting: 1, rows: 12, doubled: 2, found: found(12) };
        assert_eq!(judged(&bad), (vec![true, false, false, false], 1));
    }
}
