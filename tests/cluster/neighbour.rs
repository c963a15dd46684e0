//! Somebody else writes into the same Redis: garbage in the channels of rooms and nodes, in the queue of the ledger, and keys of another type.

use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use serde_json::json;
use tandem::{
    backend::Layout,
    id::{NodeId, RoomId, UserId},
};

use crate::{backing::connect, stage::Stage};
use tandem_testkit::{Client, Incoming, http, process::DEADLINE, redis::Redis};

/// Messages to each channel, and entries.
const MANY: usize = 3_000;
/// Rooms of a node beside the two of the story.
const CROWD: usize = 250;

fn room(name: &str) -> RoomId {
    RoomId::parse(name).unwrap()
}

/// What is no message of a node, or one of a release that there is not yet.
fn garbage() -> impl Iterator<Item = &'static [u8]> {
    let all: [&[u8]; 8] = [
        b"hello",
        b"{}",
        b"1",
        b"1\x84",
        b"1\x84\x01\x02\x03\x81\x82\x18\x63\x80",
        b"9\x84\x00",
        b"1?{\"Ask\":1}",
        b"\xff\xfe",
    ];
    all.into_iter().cycle()
}

async fn flood(redis: &mut MultiplexedConnection, channel: &str, times: usize) {
    let all: Vec<&[u8]> = garbage().take(times).collect();
    for some in all.chunks(500) {
        let mut pipe = redis::pipe();
        for message in some {
            pipe.cmd("SPUBLISH").arg(channel).arg(*message).ignore();
        }
        pipe.exec_async(redis).await.unwrap();
    }
}

/// A message from one to the other, and back.
async fn talk(one: &mut Client, other: &mut Client) -> Duration {
    let begun = Instant::now();
    one.send(json!({"type": "BROADCAST", "event": "there"})).await;
    other.until("BROADCAST").await;
    other.send(json!({"type": "OFFER", "to": "cem", "offer": {}})).await;
    one.until("OFFER").await;
    begun.elapsed()
}

/// Whether the last message was passed on, or refused.
async fn is_answered(client: &mut Client) -> bool {
    loop {
        let came = client.poll(DEADLINE).await;
        let Some(Incoming::Frame(frame)) = came else { panic!("{came:?}") };
        if frame.is("BROADCAST") && frame["event"] == "again" {
            return true;
        }
        if frame.is("ERROR") && frame["id"] == 7 {
            return false;
        }
    }
}

async fn metric(stage: &Stage, node: usize, name: &str) -> u64 {
    let text = http::request(stage.nodes.addr(node), "GET", "/metrics", &[]).await.body;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in\n{text}")).parse().unwrap()
}

/// Lines of warnings and errors.
fn complaints(log: &str) -> Vec<&str> {
    let is_loud = |line: &&str| line.contains("\"level\":40") || line.contains("\"level\":50");
    log.lines().filter(is_loud).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_writes_garbage_into_redis_is_counted_and_harms_one_room_at_most() {
    let begun = Instant::now();
    let stage = Stage::set(Redis::start(), &[]).await;
    let layout = Layout::new("tandem:", 16);
    let mut redis = connect(&stage.redis.url()).await;
    let mut ana = Client::connect_to(stage.nodes.addr(0)).await;
    ana.enter("victim", "ana", json!({"features": ["resume"]})).await;
    let mut ben = Client::connect_to(stage.nodes.addr(1)).await;
    ben.enter("victim", "ben", json!({"features": ["resume"]})).await;
    let mut cem = Client::connect_to(stage.nodes.addr(0)).await;
    cem.enter("bystander", "cem", json!({"features": []})).await;
    let mut dan = Client::connect_to(stage.nodes.addr(1)).await;
    dan.enter("bystander", "dan", json!({"features": []})).await;
    let mut crowd = Vec::new();
    for number in 0..CROWD {
        let mut client = Client::connect_to(stage.nodes.addr(0)).await;
        client.enter(&format!("crowd-{number}"), "eve", json!({"features": []})).await;
        crowd.push(client);
    }

    // While the channels are flooded, the other room goes on.
    let (url, channels) = (stage.redis.url(), {
        let nodes = ["node-0", "node-1"].map(|name| layout.node(&NodeId::parse(name).unwrap()));
        let rooms = (0..CROWD).map(|number| layout.channel(&room(&format!("crowd-{number}"))));
        let mut all = vec![(layout.channel(&room("victim")), MANY)];
        all.extend(nodes.map(|channel| (channel, MANY)));
        all.extend(rooms.map(|channel| (channel, 8)));
        all
    });
    let flooding = tokio::spawn(async move {
        let mut redis = connect(&url).await;
        for (channel, times) in channels {
            flood(&mut redis, &channel, times).await;
        }
    });
    let mut slowest = Duration::ZERO;
    while !flooding.is_finished() {
        slowest = slowest.max(talk(&mut cem, &mut dan).await);
    }
    flooding.await.unwrap();

    // Keys of the room of another type, and entries that are none.
    let (key, history, inbox) = (
        layout.room(&room("victim")),
        layout.history(&room("victim")),
        layout.inbox(&room("victim"), &UserId::parse("ben").unwrap()),
    );
    let mut pipe = redis::pipe();
    for key in [&key, &history, &inbox] {
        pipe.cmd("DEL").arg(key).ignore();
        pipe.cmd("SET").arg(key).arg("mine").ignore();
    }
    let stream = layout.events(layout.partition(&room("victim")));
    for (number, message) in garbage().take(500).enumerate() {
        pipe.cmd("XADD").arg(&stream).arg("*").arg(if number % 2 == 0 { "e" } else { "f" }).arg(message).ignore();
    }
    pipe.exec_async(&mut redis).await.unwrap();
    for _ in 0..10 {
        slowest = slowest.max(talk(&mut cem, &mut dan).await);
        ana.send(json!({"type": "BROADCAST", "event": "anybody?"})).await;
    }
    println!("the slowest talk of the others took {slowest:?}");
    assert!(slowest < DEADLINE / 4, "{slowest:?}");

    // What was removed can be put back, so the room goes on, too.
    redis::cmd("DEL").arg(&history).arg(&inbox).exec_async(&mut redis).await.unwrap();
    let until = Instant::now() + DEADLINE;
    loop {
        ana.send(json!({"type": "BROADCAST", "event": "again", "id": 7})).await;
        if is_answered(&mut ana).await {
            break;
        }
        assert!(Instant::now() < until, "{}", stage.nodes.log(0));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    let rows = stage.ledger().await;
    assert!(rows.iter().any(|row| row.event == "there"));
    let letters = stage.postgres.number("SELECT count(*) FROM dead_letters");
    assert_eq!(letters, 500);
    // A burst, one a second, and what nodes have to say besides.
    let most = 60 + usize::try_from(begun.elapsed().as_secs()).unwrap() * 2;
    for node in 0..2 {
        let corrupt = metric(&stage, node, "tandem_state_errors_total{cause=\"corrupt\"}").await;
        assert!(corrupt > MANY as u64, "{corrupt} on node {node}");
        let log = stage.nodes.log(node);
        assert!(!log.contains("panic"), "{log}");
        let lines = complaints(&log);
        assert!((1..most).contains(&lines.len()), "{} lines:\n{}", lines.len(), lines.join("\n"));
    }
    let log = stage.worker_log();
    let lines = complaints(&log);
    assert!((1..most).contains(&lines.len()), "{} lines:\n{}", lines.len(), lines.join("\n"));
    drop(crowd);
}
