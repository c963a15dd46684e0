//! Rooms that Redis has lost and that are on no node are restored from PostgreSQL.

use std::time::Instant;

use serde_json::json;

use crate::{
    backing::{connect, events},
    stage::Stage,
};
use tandem_testkit::{Client, process::DEADLINE, redis::Redis};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_that_nobody_holds_comes_back_with_the_next_join() {
    let mut stage = Stage::set(Redis::start(), &[]).await;
    let mut ana = Client::connect_to(stage.nodes.addr(0)).await;
    ana.enter("room", "ana", json!({"features": ["ack"], "pin": "1234"})).await;
    for (number, frame) in [
        json!({"type": "URL_CHANGE", "url": "https://films.example.org/7"}),
        json!({"type": "TOGGLE_GUEST_CONTROL", "enabled": true}),
        json!({"type": "PLAY_PAUSE", "control": "pause", "currentTime": 321.5}),
    ]
    .into_iter()
    .enumerate()
    {
        let mut frame = frame;
        frame["id"] = json!(number);
        ana.send(frame).await;
        ana.until("ACK").await;
    }
    stage.ledger().await;
    // All at once: the nodes, and the memory of Redis.
    (0..3).for_each(|number| stage.nodes.kill(number));
    stage.redis.kill();
    stage.redis.restart_empty();
    (0..3).for_each(|number| stage.nodes.launch(number));
    stage.all_ready().await;
    let mut ben = Client::connect_to(stage.nodes.addr(1)).await;
    ben.send_join("room", "ben", json!({"features": [], "pin": "9999"})).await;
    assert_eq!(ben.until("ERROR").await.str("code"), "invalid_pin");
    let state = ben.enter("room", "ben", json!({"features": [], "pin": "1234"})).await;
    assert_eq!(state.str("url"), "https://films.example.org/7");
    assert!((state.num("currentTime") - 321.5).abs() < f64::EPSILON);
    assert_eq!(state["guestControlEnabled"], true);
    assert_eq!(state["hostUserId"], "ana", "her role is kept for a while");
    let mut ana = Client::connect_to(stage.nodes.addr(2)).await;
    let state = ana.enter("room", "ana", json!({"features": [], "pin": "1234"})).await;
    assert_eq!(state["hostUserId"], "ana");
    stage.ledger().await;
    assert_eq!(stage.postgres.sql("SELECT archived_at IS NULL FROM rooms WHERE id = 'room'").trim(), "t");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_that_was_closed_does_not_come_back() {
    let stage = Stage::set(Redis::start(), &[("EMPTY_ROOM_SECONDS", "1")]).await;
    let mut ana = Client::connect_to(stage.nodes.addr(0)).await;
    ana.enter("room", "ana", json!({"features": [], "pin": "1234"})).await;
    ana.send(json!({"type": "LEAVE"})).await;
    ana.closed().await;
    let closed = || stage.postgres.number("SELECT count(*) FROM room_events WHERE event_type = 'ROOM_CLOSED'");
    tandem_testkit::process::wait_for("the room is not closed", || closed() == 1);
    let mut redis = connect(&stage.redis.url()).await;
    // Its node drops the replica a moment later.
    let mut left: Vec<String> = Vec::new();
    let begun = Instant::now();
    while left.len() != 1 {
        assert!(begun.elapsed() < DEADLINE, "more is left than that it was closed: {left:?}");
        left = redis::cmd("KEYS").arg("*room*").query_async(&mut redis).await.unwrap();
    }
    let life: i64 = redis::cmd("TTL").arg(&left[0]).query_async(&mut redis).await.unwrap();
    assert!((1..=3_600).contains(&life), "and not for ever: {life}");
    let mut ben = Client::connect_to(stage.nodes.addr(1)).await;
    let state = ben.enter("room", "ben", json!({"features": [], "pin": "5678"})).await;
    assert_eq!(state["hostUserId"], "ben");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nor_does_it_when_the_ledger_is_late() {
    let mut stage = Stage::set(Redis::start(), &[("EMPTY_ROOM_SECONDS", "1")]).await;
    let mut ana = Client::connect_to(stage.nodes.addr(0)).await;
    ana.enter("room", "ana", json!({"features": [], "pin": "1234"})).await;
    stage.ledger().await;
    stage.kill_workers();
    ana.send(json!({"type": "LEAVE"})).await;
    ana.closed().await;
    let mut redis = connect(&stage.redis.url()).await;
    let begun = Instant::now();
    while !events(&mut redis).await.iter().any(|event| event["event_type"] == "ROOM_CLOSED") {
        assert!(begun.elapsed() < DEADLINE, "the room is not closed");
    }
    assert_eq!(stage.postgres.sql("SELECT archived_at IS NULL FROM rooms").trim(), "t", "the ledger does not know yet");
    let mut ben = Client::connect_to(stage.nodes.addr(1)).await;
    let state = ben.enter("room", "ben", json!({"features": [], "pin": "5678"})).await;
    assert_eq!(state["hostUserId"], "ben");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_redis_loses_twice_comes_back_twice() {
    let stage = Stage::set(Redis::start(), &[]).await;
    let mut ana = Client::connect_to(stage.nodes.addr(0)).await;
    let joined = ana.enter("room", "ana", json!({"features": ["ack"]})).await;
    ana_changes(&mut ana, "https://films.example.org/a").await;
    let mut redis = connect(&stage.redis.url()).await;
    let keys: Vec<String> = redis::cmd("KEYS").arg("*:room:room").query_async(&mut redis).await.unwrap();
    let early: Vec<u8> = redis::cmd("DUMP").arg(&keys[0]).query_async(&mut redis).await.unwrap();
    ana_changes(&mut ana, "https://films.example.org/b").await;
    let mut epoch = joined["epoch"].as_u64().unwrap();
    for _ in 0..2 {
        let mut lose = redis::pipe();
        lose.cmd("RESTORE").arg(&keys[0]).arg(0).arg(&early[..]).arg("REPLACE");
        // The nodes restore their rooms when they are connected again.
        lose.cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal").arg("SKIPME").arg("yes");
        lose.cmd("CLIENT").arg("KILL").arg("TYPE").arg("pubsub");
        lose.query_async::<()>(&mut redis).await.unwrap();
        assert_eq!(ana.until("DISCONTINUITY").await.str("reason"), "epoch_changed");
        let state = ana.until("ROOM_STATE").await;
        assert_eq!(state.str("url"), "https://films.example.org/b");
        assert!(state["epoch"].as_u64().unwrap() > epoch, "{state:?}");
        epoch = state["epoch"].as_u64().unwrap();
    }
    ana_changes(&mut ana, "https://films.example.org/c").await;
    stage.ledger().await;
    let url = stage.postgres.sql("SELECT current_url FROM rooms WHERE id = 'room'");
    assert_eq!(url.trim(), "https://films.example.org/c");
    let same = "SELECT count(*) - count(DISTINCT (epoch, version)) FROM room_events WHERE room_id = 'room'";
    assert_eq!(stage.postgres.number(same), 0, "epoch and version give the order");
}

async fn ana_changes(ana: &mut Client, url: &str) {
    ana.send(json!({"type": "URL_CHANGE", "url": url, "id": url})).await;
    ana.until("ACK").await;
}
