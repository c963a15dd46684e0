//! What an event costs in PostgreSQL: `cargo test --release --test postgres cost -- --ignored --nocapture`. `RUNS` is how often it is measured,
//! and `GATHER_MS` how long a worker gathers.

use std::{sync::Arc, time::Instant};

use tandem::{
    clock::Millis,
    id::{NodeId, UserId},
    ledger::Entry,
    room::{Change, Playback, Sent, Update},
};

use crate::{
    entries::{now, room},
    projection::{block, database},
    support::Cluster,
};

const ROOMS: u64 = 500;
const EVENTS: u64 = 60_000;
const GATHER: u64 = 500;

/// The CPU time of this process, and of a server with its parent and children, in milliseconds.
fn cpu(server: Option<u32>) -> u64 {
    let of = |pid: u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields: Vec<String> = stat.rsplit(") ").next().unwrap().split(' ').map(str::to_owned).collect();
        let number = |place: usize| fields.get(place).and_then(|it| it.parse::<u64>().ok()).unwrap_or_default();
        (number(1), number(11) + number(12))
    };
    let Some(server) = server else { return of(std::process::id()).1 * 10 };
    let (parent, _) = of(server);
    let all = std::fs::read_dir("/proc").unwrap().filter_map(|it| it.unwrap().file_name().to_str()?.parse().ok());
    let all = all.map(of).filter(|(ppid, _)| *ppid == parent).map(|(_, time)| time).sum::<u64>();
    (all + of(u32::try_from(parent).unwrap()).1) * 10
}

fn name(kind: char, number: u64) -> String {
    format!("{kind}{number:015x}")
}

/// The batches of `rate` events a second that wait for `gather` milliseconds.
fn batches(rate: u64, gather: u64) -> Vec<Vec<Entry>> {
    let begun = now();
    let entry = |number: u64| {
        let (which, version) = (number.wrapping_mul(0x9E37_79B9) % ROOMS, number + 10);
        play(&name('r', which), version, &name('u', which * 4 + number % 4), begun + number * 1_000 / rate)
    };
    let all: Vec<Entry> = (0..EVENTS).map(entry).collect();
    all.chunks(usize::try_from(rate * gather / 1_000).unwrap()).map(<[Entry]>::to_vec).collect()
}

#[test]
#[ignore = "a measurement"]
fn cost() {
    let env = |name: &str, usual: u64| std::env::var(name).map_or(usual, |it| it.parse().unwrap());
    for rate in [3_000, 10_000] {
        let gather = env("GATHER_MS", GATHER);
        let mut rows = Vec::new();
        for _ in 0..env("RUNS", 5) {
            let cluster = Cluster::start();
            let database = database(&cluster);
            let first: Vec<Entry> = (0..ROOMS).map(|number| begin(&name('r', number))).collect();
            let batches = batches(rate, gather);
            let sql = |sql: &str| cluster.postgres.sql(sql);
            block(async {
                database.write(&first.iter().collect::<Vec<_>>()).await.unwrap();
                sql("VACUUM ANALYZE");
                sql("CHECKPOINT");
                let lsn = sql("SELECT pg_current_wal_lsn()");
                let pid = sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'").parse().unwrap();
                let (server, own, began) = (cpu(Some(pid)), cpu(None), Instant::now());
                for batch in &batches {
                    database.write(&batch.iter().collect::<Vec<_>>()).await.unwrap();
                }
                let took = began.elapsed();
                let (server, own) = (cpu(Some(pid)) - server, cpu(None) - own);
                let wal: u64 = sql(&format!("SELECT (pg_current_wal_lsn() - '{lsn}')::bigint")).parse().unwrap();
                let written = sql("SELECT count(*) FROM room_events");
                std::thread::sleep(std::time::Duration::from_millis(1_500));
                let hot = sql(
                    "SELECT n_tup_upd || ', HOT ' || n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'rooms'",
                );
                let each = |number: u64| number as f64 / EVENTS as f64;
                let row = [each(server * 1_000), each(own * 1_000), each(wal)];
                println!(
                    "{rate}/s, batches of {}: {row:.1?}; {took:?}; {written} events; updates of rooms: {hot}",
                    batches[0].len()
                );
                rows.push(row);
            });
        }
        let median = |place: usize| {
            let mut all: Vec<f64> = rows.iter().map(|row| row[place]).collect();
            all.sort_by(f64::total_cmp);
            format!("{:.1} ({:.1} to {:.1})", all[all.len() / 2], all[0], all[all.len() - 1])
        };
        println!("{rate}/s: PostgreSQL {} us, writer {} us, WAL {} bytes an event", median(0), median(1), median(2));
    }
}

fn begin(room: &str) -> Entry {
    of(
        room,
        1,
        now(),
        Change::UrlChanged {
            by: UserId::parse("ana").unwrap(),
            url: "https://films.example.org/watch/123456789".into(),
            time: None,
            playback: Playback { position: 0.0, playing: false, rate: 1.0 },
        },
    )
}

fn play(room: &str, version: u64, user: &str, at: Millis) -> Entry {
    let by = UserId::parse(user).unwrap();
    let position = version as f64 * 0.37;
    let playback = Playback { position, playing: version.is_multiple_of(2), rate: 1.0 };
    let sent = Sent { position: true, rate: false };
    let event = Some(at as f64);
    of(room, version, at, Change::PlayPause { by, event, playback, sent })
}

fn of(name: &str, version: u64, at: Millis, change: Change) -> Entry {
    let mut after = tandem::room::Room::vacant(room(name));
    (after.epoch, after.version, after.url) = (1, version, Some("https://films.example.org/watch/123456789".into()));
    let update = Arc::new(Update { room: room(name), epoch: 1, base: version - 1, at, changes: vec![change] });
    Entry::new(&update, &NodeId::parse("tandem-7f9c4-abcde").unwrap(), &after).unwrap()
}
