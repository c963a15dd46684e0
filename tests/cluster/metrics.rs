//! Metrics that only nodes of a cluster count.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::time::sleep;

use crate::stage::Stage;
use tandem_testkit::{Client, process::DEADLINE, redis::Redis};

/// Waits until a metric of both nodes is at least this.
async fn until(stage: &Stage, name: &str, least: f64) {
    let begun = Instant::now();
    for node in 0..2 {
        loop {
            let is = stage.nodes.metric(node, name).await;
            if is >= least {
                break;
            }
            assert!(begun.elapsed() < DEADLINE, "{name} of node {node} is {is}, never {least}");
            sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_from_another_node_is_counted_apart() {
    const COMMITS: &str = "tandem_commit_seconds_count";
    const OWN: &str = "tandem_relay_seconds_count";
    const REMOTE: &str = "tandem_relay_remote_seconds_count";
    let stage = Stage::set(Redis::start(), &[]).await;
    let mut ana = Client::connect_to(stage.nodes.addr(0)).await;
    ana.enter("room", "ana", json!({"features": []})).await;
    let mut ben = Client::connect_to(stage.nodes.addr(1)).await;
    ben.enter("room", "ben", json!({"features": []})).await;
    ana.until("USER_JOINED").await;
    ana.fence().await;
    ben.fence().await;

    let all = async || {
        let mut all = Vec::new();
        for name in [COMMITS, OWN, REMOTE] {
            all.push([stage.nodes.metric(0, name).await, stage.nodes.metric(1, name).await]);
        }
        all
    };
    let before = all().await;
    let moved = async || {
        let now = all().await;
        let differ = |(now, before): (&[f64; 2], &[f64; 2])| [now[0] - before[0], now[1] - before[1]];
        now.iter().zip(&before).map(differ).collect::<Vec<_>>()
    };
    for position in 0..5 {
        ana.send(json!({"type": "PLAY_PAUSE", "control": "play", "currentTime": position})).await;
        ben.until("PLAY_PAUSE").await;
    }
    ana.fence().await;
    ben.fence().await;
    assert_eq!(moved().await, [[5.0, 0.0], [5.0, 0.0], [0.0, 5.0]]);
    // A frame without a commit, and without a time.
    ben.send(json!({"type": "OFFER", "to": "ana", "offer": {}})).await;
    ana.until("OFFER").await;
    ben.fence().await;
    assert_eq!(moved().await, [[5.0, 0.0], [5.0, 1.0], [0.0, 5.0]]);
    assert_eq!(stage.nodes.metric(0, "tandem_frames_sent_total{type=\"OFFER\"}").await, 1.0);
    assert_eq!(stage.nodes.metric(1, "tandem_frames_received_total{type=\"OFFER\"}").await, 1.0);
    for node in 0..2 {
        assert_eq!(stage.nodes.metric(node, "tandem_members{state=\"present\"}").await, 1.0);
        assert!(stage.nodes.metric(node, "tandem_postgres_pool_max").await >= 1.0);
    }
    // A JOIN looks the room up in the ledger.
    assert!(stage.nodes.metric(0, "tandem_postgres_pool_size").await >= 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_is_made_anew_listens_again_and_its_age_is_seen() {
    let stage = Stage::set(Redis::start(), &[]).await;
    let mut ana = Client::connect_to(stage.nodes.addr(0)).await;
    ana.enter("room", "ana", json!({"features": []})).await;
    let mut ben = Client::connect_to(stage.nodes.addr(1)).await;
    ben.enter("room", "ben", json!({"features": []})).await;
    until(&stage, "tandem_redis_probe_seconds", f64::MIN_POSITIVE).await;
    for node in 0..2 {
        assert_eq!(stage.nodes.metric(node, "tandem_resubscribed_rooms_total").await, 0.0);
    }
    stage.redis.command("CLIENT KILL TYPE pubsub");
    until(&stage, "tandem_resubscribed_rooms_total", 1.0).await;
    until(&stage, "tandem_link_up", 1.0).await;
    for node in 0..2 {
        assert_eq!(stage.nodes.metric(node, "tandem_resubscribed_rooms_total").await, 1.0);
        assert!(stage.nodes.metric(node, "tandem_link_restarts_total").await >= 1.0);
    }
    stage.redis.pause();
    // Probed each second, and replaced after two: the age of a lost link grows, too.
    until(&stage, "tandem_redis_probe_age_seconds", 2.5).await;
    stage.redis.resume();
    stage.all_ready().await;
    let begun = Instant::now();
    while stage.nodes.metric(0, "tandem_redis_probe_age_seconds").await > 2.0 {
        assert!(begun.elapsed() < DEADLINE, "it hears itself, but its age grows");
        sleep(Duration::from_millis(50)).await;
    }
}
