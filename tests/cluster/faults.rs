//! A crowd on three nodes, and what goes wrong meanwhile.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::time::sleep;

use crate::{
    backing::{NO_DATABASE, connect, events},
    crowd::{Crowd, Diary, PIN, Plan, Row, URL, Verdict, judge, room},
    kit::redis::Redis,
    nodes::Nodes,
    support::Client,
};

/// Everything goes through one Redis.
struct Stage {
    redis: Redis,
    nodes: Nodes,
}

impl Stage {
    async fn set(redis: Redis, settings: &[(&str, &str)]) -> Self {
        let url = redis.url();
        let settings: Vec<_> = [("REDIS_URL", url.as_str()), ("DATABASE_URL", NO_DATABASE)]
            .into_iter()
            .chain(settings.iter().copied())
            .collect();
        let nodes = Nodes::start(3, &settings).await;
        Self { redis, nodes }
    }

    async fn crowd(&self, rooms: usize, size: usize) -> Crowd {
        let plan = Plan {
            nodes: self.nodes.addrs(),
            pause: Duration::from_secs(6),
            modern: true,
            closing: false.into(),
            over: false.into(),
            arrivals: std::sync::Mutex::default(),
        };
        Crowd::gather(rooms, size, plan).await
    }

    /// The end of the crowd, and what is to be said of it.
    async fn end(&self, crowd: Crowd) -> (Verdict, Vec<Diary>) {
        let diaries = crowd.disperse(Duration::from_secs(30)).await;
        // The ledger is complete when it has what was told last.
        let mut redis = connect(&self.redis.url()).await;
        let rows: Vec<_> = events(&mut redis).await.iter().map(row).collect();
        let verdict = judge(&diaries, &rows);
        println!(
            "{} versions, {} deliveries, {} rows; {} resumed, {} joined anew, {} discontinuities",
            verdict.versions,
            verdict.deliveries,
            rows.len(),
            diaries.iter().map(|diary| diary.resumed).sum::<usize>(),
            diaries.iter().map(|diary| diary.rejoined).sum::<usize>(),
            diaries.iter().map(|diary| diary.discontinuities).sum::<usize>(),
        );
        (verdict, diaries)
    }
}

fn row(event: &serde_json::Value) -> Row {
    let text = |field: &str| event[field].as_str().unwrap().to_owned();
    Row {
        id: text("id"),
        room: text("room_id"),
        kind: text("event_type"),
        epoch: event["epoch"].as_u64().unwrap(),
        version: event["version"].as_u64().unwrap(),
    }
}

/// Every room is there, as it was made: its url, its PIN.
async fn no_room_is_lost(nodes: &Nodes, rooms: usize) {
    for number in 0..rooms {
        let mut late = Client::connect_to(nodes.addr(number % nodes.len())).await;
        late.send_join(&room(number), "stranger", json!({"features": [], "pin": "wrong"})).await;
        assert_eq!(late.expect("ERROR").await.str("code"), "invalid_pin");
        let state = late.enter(&room(number), "late", json!({"features": [], "pin": PIN})).await;
        assert_eq!(state.str("url"), URL, "{number}");
    }
}

fn nobody_left(diaries: &[Diary]) {
    let left: Vec<_> = diaries.iter().flat_map(|diary| diary.departures.iter().map(|(_, user)| user)).collect();
    assert!(left.is_empty(), "{} were announced as left, such as {:?}", left.len(), left.first());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_tell_two_hundred_rooms_the_same() {
    let stage = Stage::set(Redis::start(), &[]).await;
    let crowd = stage.crowd(200, 5).await;
    sleep(Duration::from_secs(30)).await;
    no_room_is_lost(&stage.nodes, 20).await;
    let (verdict, diaries) = stage.end(crowd).await;
    verdict.assert_good();
    assert!(diaries.iter().all(|diary| diary.errors.is_empty() && diary.discontinuities == 0));
    assert!(diaries.iter().map(|diary| diary.signals).sum::<usize>() > 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rolling_through_all_nodes_is_no_news_to_anybody() {
    let mut stage = Stage::set(Redis::start(), &[("DRAIN_SECONDS", "3")]).await;
    let crowd = stage.crowd(40, 5).await;
    for number in 0..3 {
        sleep(Duration::from_secs(2)).await;
        let took = stage.nodes.drain(number).await;
        assert!(took < Duration::from_secs(15), "{took:?}");
        stage.nodes.launch(number);
        stage.nodes.until_ready(number).await;
    }
    let (verdict, diaries) = stage.end(crowd).await;
    verdict.assert_good();
    nobody_left(&diaries);
    no_room_is_lost(&stage.nodes, 40).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_node_is_replaced_and_its_ghosts_go() {
    let mut stage = Stage::set(Redis::start(), &[]).await;
    // Somebody who can not come back: of the first generation, on the node that dies, host of a room that others watch.
    let mut ghost = Client::connect_to(stage.nodes.addr(1)).await;
    ghost.enter("haunted", "ghost", json!({})).await;
    let mut witness = Client::connect_to(stage.nodes.addr(0)).await;
    witness.enter("haunted", "witness", json!({"features": ["resume"]})).await;
    let crowd = stage.crowd(40, 5).await;
    sleep(Duration::from_secs(3)).await;
    stage.nodes.kill(1);
    let begun = Instant::now();
    let left = witness.until_within("USER_LEFT", Duration::from_secs(15)).await;
    assert_eq!(left.str("userId"), "ghost");
    println!("the ghost was gone after {:?}", begun.elapsed());
    let host = witness.until_within("HOST_CHANGED", Duration::from_secs(20)).await;
    assert_eq!(host.str("hostUserId"), "witness");
    stage.nodes.launch(1);
    stage.nodes.until_ready(1).await;
    let (verdict, diaries) = stage.end(crowd).await;
    verdict.assert_good();
    nobody_left(&diaries);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_pubsub_connections_are_no_gap() {
    let stage = Stage::set(Redis::start(), &[]).await;
    let crowd = stage.crowd(40, 5).await;
    for _ in 0..4 {
        sleep(Duration::from_secs(2)).await;
        assert!(stage.redis.command("CLIENT KILL TYPE pubsub").contains(":3"), "three links were cut");
    }
    let (verdict, _) = stage.end(crowd).await;
    verdict.assert_good();
    let mut replayed = 0.0;
    for number in 0..3 {
        assert!(stage.nodes.metric(number, "tandem_link_restarts_total").await >= 4.0);
        replayed += stage.nodes.metric(number, "tandem_gaps_total{outcome=\"replayed\"}").await;
    }
    println!("{replayed} rooms got what they had missed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_that_stands_still_for_ten_seconds_loses_nothing() {
    let stage = Stage::set(Redis::start(), &[]).await;
    let crowd = stage.crowd(40, 5).await;
    sleep(Duration::from_secs(3)).await;
    stage.redis.pause();
    stage.nodes.until_status(0, "/ready", 503).await;
    assert_eq!(stage.nodes.status(0, "/health").await, Some(200), "liveness looks at nothing else");
    sleep(Duration::from_secs(8)).await;
    stage.redis.resume();
    for number in 0..3 {
        stage.nodes.until_ready(number).await;
    }
    sleep(Duration::from_secs(3)).await;
    let (verdict, diaries) = stage.end(crowd).await;
    verdict.assert_good();
    nobody_left(&diaries);
    no_room_is_lost(&stage.nodes, 40).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_that_comes_back_with_its_data_loses_nothing() {
    let mut stage = Stage::set(Redis::durable(), &[]).await;
    let crowd = stage.crowd(40, 5).await;
    sleep(Duration::from_secs(3)).await;
    stage.redis.kill();
    sleep(Duration::from_secs(10)).await;
    stage.redis.restart();
    for number in 0..3 {
        stage.nodes.until_ready(number).await;
    }
    sleep(Duration::from_secs(3)).await;
    let (verdict, diaries) = stage.end(crowd).await;
    verdict.assert_good();
    nobody_left(&diaries);
    no_room_is_lost(&stage.nodes, 40).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_that_comes_back_empty_gets_everything_from_the_nodes() {
    let mut stage = Stage::set(Redis::start(), &[]).await;
    let crowd = stage.crowd(40, 5).await;
    sleep(Duration::from_secs(3)).await;
    stage.redis.kill();
    sleep(Duration::from_secs(5)).await;
    stage.redis.restart_empty();
    for number in 0..3 {
        stage.nodes.until_ready(number).await;
    }
    sleep(Duration::from_secs(3)).await;
    let (verdict, diaries) = stage.end(crowd).await;
    verdict.assert_good();
    nobody_left(&diaries);
    assert!(diaries.iter().all(|diary| diary.discontinuities > 0), "everybody was told that the rooms began anew");
    no_room_is_lost(&stage.nodes, 40).await;
}
