//! Timers of rooms fire once, on whichever node, even if the node that started them is dead.

use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use crate::stage::Stage;
use tandem_testkit::{Client, redis::Redis};

async fn seat(stage: &Stage, node: usize, user: &str) -> Client {
    let mut client = Client::connect_to(stage.nodes.addr(node)).await;
    client.enter("room", user, json!({"features": ["resume"]})).await;
    client
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gate_opens_once_though_its_node_died() {
    let mut stage = Stage::set(Redis::start(), &[("READY_GATE_SECONDS", "3")]).await;
    let mut ana = seat(&stage, 0, "ana").await;
    let mut others = [seat(&stage, 1, "ben").await, seat(&stage, 2, "cem").await];
    for other in &mut others {
        other.send(json!({"type": "POSITION_UPDATE", "currentTime": 5.0, "isPlaying": true})).await;
    }
    sleep(Duration::from_millis(300)).await;
    ana.send(json!({"type": "SEEK", "currentTime": 100.0, "isPlaying": true})).await;
    for other in &mut others {
        other.until("SEEK_PAUSE").await;
    }
    stage.nodes.kill(0);
    for other in &mut others {
        let opened = other.until("PLAY_PAUSE").await;
        assert_eq!((opened.str("userId"), opened.num("currentTime")), ("server", 100.0));
        let more = other.during(Duration::from_secs(2)).await;
        assert!(more.iter().all(|frame| !frame.is("PLAY_PAUSE")), "{more:?}");
    }
    stage.ledger().await;
    let gates = "SELECT count(*) FROM room_events WHERE event_type = 'PLAY_PAUSE' AND data->>'gate' = 'true'";
    assert_eq!(stage.postgres.number(gates), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rooms_of_a_dead_node_come_to_their_end() {
    let settings = [("LEASE_SECONDS", "4"), ("RESUME_WINDOW_SECONDS", "2"), ("EMPTY_ROOM_SECONDS", "2")];
    let mut stage = Stage::set(Redis::start(), &settings).await;
    // No other member is in these rooms, so other nodes do not know them.
    let mut clients = Vec::new();
    for (number, features) in [json!({"features": ["resume"]}), json!({})].into_iter().enumerate() {
        let mut client = Client::connect_to(stage.nodes.addr(0)).await;
        client.enter(&format!("lonely-{number}"), "ana", features).await;
        clients.push(client);
    }
    stage.nodes.kill(0);
    let closed = || stage.postgres.number("SELECT count(*) FROM room_events WHERE event_type = 'ROOM_CLOSED'");
    tandem_testkit::process::wait_for("the rooms are not closed", || closed() == 2);
    let left =
        stage.postgres.sql("SELECT data->>'reason' FROM room_events WHERE event_type = 'USER_LEFT' ORDER BY room_id");
    assert_eq!(left.split_whitespace().collect::<Vec<_>>(), ["expired", "disconnected"]);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(closed(), 2, "once each");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_earlier_process_of_its_name_left_behind_is_put_in_order() {
    let mut stage = Stage::set(Redis::start(), &[("LEASE_SECONDS", "60")]).await;
    let mut ben = seat(&stage, 1, "ben").await;
    let _ana = seat(&stage, 0, "ana").await;
    stage.nodes.kill(0);
    stage.nodes.launch(0);
    // Those that come back have some seconds to do so; this is long before its lease expires.
    assert_eq!(ben.until_within("MEMBER_AWAY", Duration::from_secs(40)).await.str("userId"), "ana");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nor_is_it_forgotten_by_a_process_that_is_stopped_before_it_has_come_to_it() {
    let mut stage = Stage::set(Redis::start(), &[("LEASE_SECONDS", "8")]).await;
    let mut ben = seat(&stage, 1, "ben").await;
    let _ana = seat(&stage, 0, "ana").await;
    stage.nodes.kill(0);
    stage.nodes.launch(0);
    stage.nodes.until_ready(0).await;
    stage.nodes.drain(0).await;
    assert!(stage.nodes.log(0).contains("seats of an earlier process are left"), "{}", stage.nodes.log(0));
    assert_eq!(ben.until_within("MEMBER_AWAY", Duration::from_secs(40)).await.str("userId"), "ana");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nor_if_the_node_is_full_for_a_while() {
    let settings = [("LEASE_SECONDS", "4"), ("EMPTY_ROOM_SECONDS", "1"), ("RESUME_WINDOW_SECONDS", "60")];
    let mut stage = Stage::set(Redis::start(), &settings).await;
    let mut ben = seat(&stage, 1, "ben").await;
    let _ana = seat(&stage, 0, "ana").await;
    stage.nodes.kill(0);
    stage.nodes.set(0, "MAX_ROOMS", "1");
    stage.nodes.launch(0);
    stage.nodes.until_ready(0).await;
    let mut cem = Client::connect_to(stage.nodes.addr(0)).await;
    cem.enter("another", "cem", json!({})).await;
    // Longer than seats of an earlier process are kept: the room with ana's has been tried, and there was no place for it.
    let early = ben.during(Duration::from_secs(8)).await;
    assert!(early.iter().all(|frame| !frame.is("MEMBER_AWAY")), "{early:?}");
    drop(cem);
    assert_eq!(ben.until_within("MEMBER_AWAY", Duration::from_secs(40)).await.str("userId"), "ana");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_comes_back_after_its_node_was_restarted_was_not_away_for_the_others() {
    comes_back_to(2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nor_if_it_comes_back_to_that_node() {
    comes_back_to(0).await;
}

async fn comes_back_to(node: usize) {
    let mut stage = Stage::set(Redis::start(), &[]).await;
    let mut ben = seat(&stage, 1, "ben").await;
    let mut ana = Client::connect_to(stage.nodes.addr(0)).await;
    let state = ana.enter("room", "ana", json!({"features": ["resume"]})).await;
    stage.nodes.kill(0);
    stage.nodes.launch(0);
    stage.nodes.until_ready(0).await;
    let mut ana = Client::connect_to(stage.nodes.addr(node)).await;
    ana.send(json!({
        "type": "RESUME", "roomId": "room", "userId": "ana", "resumeToken": state.str("resumeToken"),
        "epoch": state.int("epoch"), "version": state.version(), "features": ["resume"],
    }))
    .await;
    ana.until("RESUMED").await;
    ben.send(json!({"type": "BROADCAST", "event": "seen", "data": {}})).await;
    ana.until("BROADCAST").await;
    let seen = ben.during(Duration::from_secs(1)).await;
    assert!(seen.iter().all(|frame| !frame.is("MEMBER_AWAY") && !frame.is("MEMBER_BACK")), "{seen:?}");
}
