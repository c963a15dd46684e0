use std::hint::black_box;

use anyhow::{Result, ensure};
use tandem::{
    backend::records::Codec,
    protocol::{Stamp, announce, encode},
    room::{Command, Policy, decide},
};

use super::people::{NOW, conn, full, play, played, user};
use crate::step::Step;

/// The rules, and the announcement of changes to members and other nodes.
pub(crate) fn steps() -> Vec<Step> {
    vec![
        Step { name: "decide/play_of_4", times: 2_000, run: |times| deciding(4, times) },
        Step { name: "decide/play_of_100", times: 2_000, run: |times| deciding(100, times) },
        Step { name: "apply/play_of_4", times: 20_000, run: |times| applying(4, times) },
        Step { name: "apply/play_of_100", times: 20_000, run: |times| applying(100, times) },
        Step { name: "announce/play_pause", times: 2_000, run: announcing },
        Step { name: "update/encode", times: 2_000, run: telling },
        Step { name: "update/decode", times: 2_000, run: hearing },
    ]
}

fn deciding(members: u64, times: u64) -> Result<()> {
    let room = full(members)?;
    let command = Command::Act { user: user(0)?, conn: conn(0), action: play() };
    let policy = Policy::default();
    for _ in 0..times {
        let draft = black_box(decide(black_box(&room), &command, &policy, NOW))?;
        ensure!(!draft.changes.is_empty(), "nothing follows");
    }
    Ok(())
}

fn applying(members: u64, times: u64) -> Result<()> {
    let mut room = full(members)?;
    let (update, _) = played(&room)?;
    for _ in 0..times {
        for change in &update.changes {
            room.apply(black_box(change), NOW);
        }
    }
    black_box(room);
    Ok(())
}

fn announcing(times: u64) -> Result<()> {
    let (update, _) = played(&full(4)?)?;
    let stamp = Stamp { epoch: update.epoch, version: update.version(), timestamp: NOW };
    for _ in 0..times {
        for change in black_box(&update.changes) {
            announce(change, stamp, |_, frame| drop(black_box(encode(&frame))));
        }
    }
    Ok(())
}

fn telling(times: u64) -> Result<()> {
    let codec = Codec::default();
    let (update, _) = played(&full(4)?)?;
    for _ in 0..times {
        black_box(codec.encode_update(black_box(&update)));
    }
    Ok(())
}

fn hearing(times: u64) -> Result<()> {
    let codec = Codec::default();
    let (update, _) = played(&full(4)?)?;
    let record = codec.encode_update(&update);
    for _ in 0..times {
        black_box(codec.decode_update(&update.room, black_box(&record))?);
    }
    Ok(())
}
