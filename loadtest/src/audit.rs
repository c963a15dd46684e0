//! Is everything that was done in the ledger, once?

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Serialize;
use tokio::time::{sleep, timeout};
use tokio_postgres::NoTls;

use crate::{
    backing::{Postgres, Redis},
    findings::Findings,
    units::float,
};

/// How long the streams may stay as they are: the worker is stuck.
const STUCK: Duration = Duration::from_secs(30);

/// How long counting may take.
const COUNT: Duration = Duration::from_mins(2);

/// Between two looks.
const LOOK: Duration = Duration::from_millis(200);

/// How often something was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Done {
    /// The type of its events.
    pub(crate) event: &'static str,
    /// So often for sure: somebody heard of it.
    pub(crate) heard: u64,
    /// So often at the most: it was asked for.
    pub(crate) asked: u64,
}

impl Done {
    /// What was done exactly so often.
    pub(crate) fn times(event: &'static str, times: u64) -> Self {
        Self { event, heard: times, asked: times }
    }

    /// What there are too few of, and too many.
    fn differ(&self, rows: u64) -> (u64, u64) {
        (self.heard.saturating_sub(rows), rows.saturating_sub(self.asked))
    }
}

/// What is in the ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Audit {
    /// Entries that are still in Redis.
    pub(crate) waiting: u64,
    /// All events.
    pub(crate) rows: u64,
    /// Events of a change that others tell of, too.
    pub(crate) doubled: u64,
    /// By type: what was to be there, and what is.
    found: Vec<(Done, u64)>,
}

/// Waits until all has gone from Redis into PostgreSQL, and counts it.
pub(crate) async fn audit(redis: &Redis, postgres: &Postgres, done: &[Done]) -> Result<Audit> {
    let (mut waiting, mut since) = (redis.waiting().await?, Instant::now());
    while waiting > 0 && since.elapsed() < STUCK {
        sleep(LOOK).await;
        let now = redis.waiting().await?;
        if now != waiting {
            (waiting, since) = (now, Instant::now());
        }
    }
    let (client, connection) = tokio_postgres::connect(&postgres.url(), NoTls).await?;
    let connection = tokio::spawn(connection);
    let count = async {
        // Each change of a room has a version of its own.
        let all = "SELECT count(*), count(DISTINCT (room_id, epoch, version)) FROM room_events";
        let all = client.query_one(all, &[]).await?;
        let (rows, changes) = (unsigned(all.try_get(0)?), unsigned(all.try_get(1)?));
        let mut found = Vec::new();
        for done in done {
            let of_type = "SELECT count(*) FROM room_events WHERE event_type = $1";
            let row = client.query_one(of_type, &[&done.event]).await?;
            found.push((*done, unsigned(row.try_get(0)?)));
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
    /// What must hold where there is a ledger.
    pub(crate) const RULES: [&str; 4] = ["ledger_lost=0", "ledger_doubled=0", "ledger_unasked=0", "ledger_waiting=0"];

    /// What was done and is not there, and what is there and was not done.
    pub(crate) fn differ(&self) -> (u64, u64) {
        let of_each = self.found.iter().map(|(done, rows)| done.differ(*rows));
        of_each.fold((0, 0), |(lost, unasked), (less, more)| (lost + less, unasked + more))
    }

    /// Whether everything is there, once.
    pub(crate) fn correct(&self) -> bool {
        self.differ() == (0, 0) && self.doubled == 0 && self.waiting == 0
    }

    /// Says it in figures.
    pub(crate) fn report(&self, findings: &mut Findings) {
        findings.add("ledger_rows", float(self.rows));
        findings.add("ledger_waiting", float(self.waiting));
        findings.add("ledger_doubled", float(self.doubled));
        let (lost, unasked) = self.differ();
        findings.add("ledger_lost", float(lost));
        findings.add("ledger_unasked", float(unasked));
        for (done, rows) in &self.found {
            let (lost, unasked) = done.differ(*rows);
            if lost + unasked > 0 {
                let Done { event, heard, asked } = done;
                findings.complaints.push(format!("ledger: {rows} rows of {event}, {heard} to {asked} were done"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_held_against_what_was_done() {
        let done = Done { event: "SEEK", heard: 5, asked: 7 };
        assert_eq!([4, 5, 7, 9].map(|rows| done.differ(rows)), [(1, 0), (0, 0), (0, 0), (0, 2)]);
        assert_eq!(Done::times("SEEK", 3).differ(2), (1, 0));
    }

    #[test]
    fn a_difference_breaks_a_rule() {
        let judged = |audit: &Audit| {
            let mut findings = Findings::new("control");
            audit.report(&mut findings);
            findings.judge(Audit::RULES.iter().map(|rule| rule.parse().unwrap()));
            findings.verdicts.iter().map(|verdict| verdict.passed).collect::<Vec<_>>()
        };
        let found = |rows| vec![(Done::times("PLAY_PAUSE", 10), rows)];
        let good = Audit { waiting: 0, rows: 12, doubled: 0, found: found(10) };
        assert!(good.correct());
        for bad in [
            Audit { waiting: 1, ..good.clone() },
            Audit { doubled: 1, ..good.clone() },
            Audit { found: found(9), ..good.clone() },
            Audit { found: found(11), ..good.clone() },
        ] {
            assert!(!bad.correct(), "{bad:?}");
        }
        assert_eq!(judged(&good), [true, true, true, true]);
        assert_eq!(judged(&Audit { found: found(9), ..good }), [false, true, true, true]);
        let odd = Audit { waiting: 1, rows: 12, doubled: 2, found: found(12) };
        assert_eq!(judged(&odd), [true, false, false, false]);
    }
}
