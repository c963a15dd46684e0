use std::{hint::black_box, sync::Arc};

use anyhow::{Context as _, Result, ensure};
use tandem::{
    backend::records::{Codec, decode_entry, encode_entry},
    clock::Clock,
    ledger::{Entry, Writer},
};

use super::people::{full, node, played};
use crate::step::Step;

/// The ledger entry of a change, and its encoding.
pub(crate) fn steps() -> Vec<Step> {
    vec![
        Step { name: "ledger/entry", times: 1_000, run: noting },
        Step { name: "ledger/entry_encode", times: 1_000, run: queueing },
        Step { name: "ledger/entry_decode", times: 1_000, run: reading },
        Step { name: "ledger/sqlite", times: 2_000, run: writing },
    ]
}

fn entry() -> Result<Entry> {
    let (update, after) = played(&full(4)?)?;
    Entry::new(&Arc::new(update), &node()?, &after).context("nothing for the ledger")
}

fn noting(times: u64) -> Result<()> {
    let (update, after) = played(&full(4)?)?;
    let (update, node) = (Arc::new(update), node()?);
    for _ in 0..times {
        black_box(Entry::new(black_box(&update), &node, &after));
    }
    Ok(())
}

fn queueing(times: u64) -> Result<()> {
    let (codec, entry) = (Codec::default(), entry()?);
    for _ in 0..times {
        black_box(encode_entry(black_box(&entry), &codec));
    }
    Ok(())
}

fn reading(times: u64) -> Result<()> {
    let record = encode_entry(&entry()?, &Codec::default());
    for _ in 0..times {
        black_box(decode_entry(black_box(&record))?);
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
        let update = Arc::make_mut(&mut entry.update);
        // Each id after the previous one, as time makes them.
        (update.base, update.at) = (update.base + number, update.at + number);
        journal.append(entry);
    }
    writer.stop();
    ensure!(journal.written() == times, "{} of {times} were written", journal.written());
    Ok(())
}
