use std::hint::black_box;

use anyhow::{Context as _, Result, ensure};
use tandem::{
    clock::Clock,
    ledger::{Entry, Writer, events},
};
use uuid::Uuid;

use super::people::{full, node, played};
use crate::step::Step;

/// The ledger entry of a change, and its encoding.
pub(crate) fn steps() -> Vec<Step> {
    vec![
        Step { name: "ledger/entry", times: 1_000, run: noting },
        Step { name: "ledger/entry_to_json", times: 1_000, run: queueing },
        Step { name: "ledger/sqlite", times: 2_000, run: writing },
    ]
}

fn entry() -> Result<Entry> {
    let (update, after) = played(&full(4)?)?;
    Entry::new(&update, events(&update, &node()?), &after).context("nothing for the ledger")
}

fn noting(times: u64) -> Result<()> {
    let (update, after) = played(&full(4)?)?;
    let node = node()?;
    for _ in 0..times {
        black_box(Entry::new(black_box(&update), events(&update, &node), &after));
    }
    Ok(())
}

fn queueing(times: u64) -> Result<()> {
    let entry = entry()?;
    for _ in 0..times {
        black_box(serde_json::to_string(black_box(&entry))?);
    }
    Ok(())
}

/// Into a database, with all that the database does for it.
fn writing(times: u64) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let entry = entry()?;
    let (writer, journal) = Writer::start(&folder.path().join("ledger.db"), Clock::system())?;
    for number in 0..times {
        let mut entry = entry.clone();
        for event in &mut entry.events {
            // Each id after the previous one, as time makes them.
            event.id = Uuid::from_u128(number.into());
        }
        journal.append(entry);
    }
    writer.stop();
    ensure!(journal.written() == times, "{} of {times} were written", journal.written());
    Ok(())
}
