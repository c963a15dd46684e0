//! The ledger has every audited change exactly once, with the limits that are stated for a node that is killed.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, timeout},
};

use tandem_testkit::{Client, Incoming, TestApp};

const PLENTY: [(&str, &str); 2] = [("MESSAGES_PER_SECOND", "100000"), ("MESSAGE_BURST", "100000")];

fn play(time: u64) -> Value {
    json!({"type": "PLAY_PAUSE", "control": "play", "currentTime": time, "id": time})
}

/// Every acknowledged version, once each.
fn assert_all(events: &[Value], acknowledged: &[u64]) {
    let mut count: BTreeMap<u64, usize> = BTreeMap::new();
    let mut ids = HashSet::new();
    for event in events {
        *count.entry(event["version"].as_u64().unwrap()).or_default() += 1;
        assert!(ids.insert(event["id"].as_str().unwrap().to_owned()), "twice the id of {event}");
    }
    let twice: Vec<_> = count.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "more than once: {twice:?}");
    let missing: Vec<_> = acknowledged.iter().filter(|version| !count.contains_key(version)).collect();
    assert!(missing.is_empty(), "{} of {} are missing: {missing:?}", missing.len(), acknowledged.len());
}

#[tokio::test]
async fn nothing_is_lost_in_a_drain() {
    let mut settings = PLENTY.to_vec();
    settings.push(("DRAIN_SECONDS", "1"));
    let mut app = TestApp::start_with(&settings).await;
    // Talking all the way to the end.
    let mut tasks = JoinSet::new();
    let talked = Arc::new(Semaphore::new(0));
    for number in 0..4 {
        let room = format!("room{number}");
        let mut host = Client::join(&app, &room, "host").await;
        let talked = Arc::clone(&talked);
        tasks.spawn(async move {
            let mut versions = Vec::new();
            for time in 0.. {
                if !host.try_send_text(&play(time).to_string()).await {
                    break;
                }
                loop {
                    match host.poll(Duration::from_secs(10)).await {
                        Some(Incoming::Frame(frame)) if frame.is("ACK") => {
                            versions.push(frame.version());
                            if versions.len() == 100 {
                                talked.add_permits(1);
                            }
                            break;
                        }
                        Some(Incoming::Frame(frame)) if frame.is("ERROR") => break,
                        Some(Incoming::Frame(_)) => {}
                        Some(Incoming::Closed(_)) => return (room, versions),
                        None => panic!("neither answered nor closed; so far:\n{}", host.history()),
                    }
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            (room, versions)
        });
    }
    let all_talk = timeout(Duration::from_mins(1), talked.acquire_many(4)).await;
    assert!(all_talk.is_ok(), "they hardly get a word in");
    app.sigterm().await;
    let rooms = tasks.join_all().await;
    assert_eq!(app.exit(Duration::from_secs(15)).await.code(), Some(0));
    for (room, versions) in rooms {
        println!("{room}: {} acknowledged", versions.len());
        let events = app.audit(&["--room", &room, "--type", "PLAY_PAUSE", "--limit", "100000"]).await;
        assert_all(&events, &versions);
    }
}

#[tokio::test]
async fn a_kill_loses_the_last_moment_at_most() {
    let mut app = TestApp::start_with(&PLENTY).await;
    let mut host = Client::join(&app, "room", "host").await;
    let mut acknowledged = Vec::new();
    let begun = Instant::now();
    for time in 0.. {
        host.send(play(time)).await;
        let version = host.until("ACK").await.version();
        acknowledged.push((version, Instant::now()));
        if begun.elapsed() > Duration::from_secs(3) {
            break;
        }
        // Busy, but not more so than a debug build on a machine with other things to do can follow.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let killed = Instant::now();
    app.kill9().await;
    let events = app.audit(&["--room", "room", "--type", "PLAY_PAUSE", "--limit", "100000"]).await;
    let kept: Vec<u64> = events.iter().map(|event| event["version"].as_u64().unwrap()).collect();
    let lost: Vec<Duration> =
        acknowledged.iter().filter(|(version, _)| !kept.contains(version)).map(|(_, at)| killed - *at).collect();
    println!("{} acknowledged, {} lost, the oldest {:?} old", acknowledged.len(), lost.len(), lost.iter().max());
    let safe: Vec<u64> = acknowledged
        .iter()
        // 300 ms where there is nothing else to do (README); a thread that has to wait for a processor may take longer.
        .filter(|(_, at)| killed - *at > Duration::from_secs(1))
        .map(|(version, _)| *version)
        .collect();
    assert!(safe.len() > 20);
    assert_all(&events, &safe);
    // And what is lost is the end of it, not something in between.
    assert!(lost.windows(2).all(|pair| pair[0] >= pair[1]));
    let newest = kept.iter().max().unwrap();
    assert!(acknowledged.iter().filter(|(version, _)| version <= newest).all(|(version, _)| kept.contains(version)));
}

#[tokio::test]
async fn rooms_go_on_while_the_ledger_is_locked() {
    let app = TestApp::start_with(&PLENTY).await;
    let mut host = Client::join(&app, "room", "host").await;
    let mut guest = Client::join(&app, "room", "guest").await;
    host.expect("USER_JOINED").await;
    app.audit_until(&["--room", "room"], 3).await;

    let file = app.ledger_file();
    let (locked, wait) = tokio::sync::oneshot::channel();
    let holder = std::thread::spawn(move || {
        let ledger = rusqlite::Connection::open(file).unwrap();
        ledger.busy_timeout(Duration::from_secs(5)).unwrap();
        ledger.execute_batch("BEGIN EXCLUSIVE").unwrap();
        locked.send(()).unwrap();
        std::thread::sleep(Duration::from_secs(4));
        ledger.execute_batch("COMMIT").unwrap();
    });
    wait.await.unwrap();
    let mut versions = Vec::new();
    let mut slowest = Duration::ZERO;
    for time in 0.. {
        let begun = Instant::now();
        host.send(play(time)).await;
        versions.push(host.until("ACK").await.version());
        guest.expect("PLAY_PAUSE").await;
        slowest = slowest.max(begun.elapsed());
        if time == 20 {
            Client::join(&app, "another", "ana").await;
        }
        if holder.is_finished() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    println!("{} changes meanwhile, the slowest took {slowest:?}", versions.len());
    // One that waits would wait for most of the four seconds.
    assert!(versions.len() > 30 && slowest < Duration::from_secs(3), "the rooms waited for the ledger");
    holder.join().unwrap();
    let events =
        app.audit_until(&["--room", "room", "--type", "PLAY_PAUSE", "--limit", "100000"], versions.len()).await;
    assert_all(&events, &versions);
    app.audit_until(&["--room", "another"], 2).await;
    assert_eq!(app.get("/ready").await.status, 200);
}

#[tokio::test]
async fn rooms_go_on_while_the_ledger_is_locked_for_longer_than_a_retry() {
    let mut app = TestApp::start_with(&PLENTY).await;
    let mut host = Client::join(&app, "room", "host").await;
    app.audit_until(&["--room", "room"], 2).await;
    let ledger = rusqlite::Connection::open(app.ledger_file()).unwrap();
    ledger.busy_timeout(Duration::from_secs(5)).unwrap();
    ledger.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let mut versions = Vec::new();
    let begun = Instant::now();
    for time in 0.. {
        host.send(play(time)).await;
        versions.push(host.until("ACK").await.version());
        tokio::time::sleep(Duration::from_millis(20)).await;
        if begun.elapsed() > Duration::from_secs(7) {
            break;
        }
    }
    ledger.execute_batch("COMMIT").unwrap();
    drop(ledger);
    let args = ["--room", "room", "--type", "PLAY_PAUSE", "--limit", "100000"];
    let events = app.audit_until(&args, versions.len()).await;
    assert_all(&events, &versions);
    host.close().await;
    app.sigterm().await;
    assert_eq!(app.exit(Duration::from_secs(15)).await.code(), Some(0));
    assert_all(&app.audit(&args).await, &versions);
}

#[tokio::test]
async fn rooms_go_on_while_the_disk_is_full() {
    let app = TestApp::start_with(&PLENTY).await;
    let mut host = Client::join(&app, "room", "host").await;
    app.audit_until(&["--room", "room"], 2).await;
    let mut versions = Vec::new();
    let log = app.ledger_file().with_extension("db-wal");
    app.limit_files(Some(std::fs::metadata(log).unwrap().len())).await;
    let begun = Instant::now();
    for time in 0.. {
        host.send(play(time)).await;
        versions.push(host.until("ACK").await.version());
        tokio::time::sleep(Duration::from_millis(10)).await;
        let said = app.log().contains("the ledger cannot be written");
        if said && versions.len() > 100 {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "nobody was told:\n{}", app.log());
    }
    let args = ["--room", "room", "--type", "PLAY_PAUSE", "--limit", "100000"];
    let written = app.audit(&args).await.len();
    assert!(written < versions.len(), "the disk was not full");
    assert_eq!(app.get("/health").await.status, 200);
    app.limit_files(None).await;
    assert_all(&app.audit_until(&args, versions.len()).await, &versions);
    app.until_it_says("the ledger can be written again").await;
}
