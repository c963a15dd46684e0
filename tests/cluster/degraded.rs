//! The service while Redis or PostgreSQL is unreachable.

use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use crate::{backing::NO_DATABASE, nodes::Nodes, stage::Stage};
use tandem_testkit::{
    Client,
    client::Connect,
    process::{free_port, wait_for},
    proxy::{Mode, Proxy},
    redis::Redis,
};

async fn seat(stage: &Stage, node: usize, user: &str) -> Client {
    let mut client = Client::connect_to(stage.nodes.addr(node)).await;
    client.enter("room", user, json!({"features": ["resume", "ack"]})).await;
    client
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_redis_is_away_sockets_stay_and_signals_of_one_node_flow() {
    let mut stage = Stage::set(Redis::durable(), &[]).await;
    let mut ana = seat(&stage, 0, "ana").await;
    let mut ben = seat(&stage, 0, "ben").await;
    let mut cem = seat(&stage, 1, "cem").await;
    ana.until("USER_JOINED").await;
    ana.until("USER_JOINED").await;
    ben.until("USER_JOINED").await;
    stage.redis.kill();
    // Directed signals between members of one node.
    ana.send(json!({"type": "OFFER", "to": "ben", "offer": {"sdp": "x"}, "id": 1})).await;
    assert_eq!(ben.until("OFFER").await.str("from"), "ana");
    ana.until("ACK").await;
    // Signals to other nodes, and changes, are refused with an error.
    for frame in [
        json!({"type": "OFFER", "to": "cem", "offer": {"sdp": "x"}, "id": 2}),
        json!({"type": "BROADCAST", "event": "x", "id": 3}),
        json!({"type": "PLAY_PAUSE", "control": "play", "id": 4}),
    ] {
        let id = frame["id"].clone();
        ana.send(frame).await;
        let error = ana.until("ERROR").await;
        assert_eq!((error.str("code"), &error["retryable"], &error["id"]), ("unavailable", &json!(true), &id));
        assert!(error.int("retryAfterMs") > 0);
    }
    ana.send(json!({"type": "PING", "t0": 1})).await;
    ana.until("PONG").await;
    ana.send(json!({"type": "REQUEST_SYNC"})).await;
    ana.until("SYNC_RESPONSE").await;
    // After a grace time new clients are refused; the process must not be killed.
    stage.nodes.until_status(0, "/ready", 503).await;
    assert_eq!(stage.nodes.status(0, "/health").await, Some(200));
    let refused = Client::try_connect_to(stage.nodes.addr(0), Connect::default()).await.err().unwrap();
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    stage.redis.restart();
    stage.all_ready().await;
    ana.send(json!({"type": "BROADCAST", "event": "again", "id": 5})).await;
    for client in [&mut ana, &mut ben, &mut cem] {
        assert_eq!(client.until("BROADCAST").await.str("event"), "again", "on the same sockets");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_never_had_redis_was_never_ready() {
    let nobody = format!("redis://127.0.0.1:{}", free_port());
    for _ in 0..5 {
        let nodes = Nodes::launched(1, &[("REDIS_URL", &nobody), ("DATABASE_URL", NO_DATABASE)]);
        let first = loop {
            if let Some(status) = nodes.status(0, "/ready").await {
                break status;
            }
        };
        assert_eq!(first, 503);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_redis_is_away_a_first_generation_client_is_told_to_come_back() {
    let mut stage = Stage::set(Redis::durable(), &[]).await;
    let mut old = Client::connect_to(stage.nodes.addr(0)).await;
    let mut new = Client::connect_to(stage.nodes.addr(0)).await;
    stage.redis.kill();
    old.send_join("room", "old", json!({})).await;
    let error = old.until("ERROR").await;
    assert_eq!(error.str("message"), "Processing error");
    // It does not understand an ERROR, but reconnects when it is closed.
    assert_eq!(old.closed().await.1, Some(1013));
    new.send_join("room", "new", json!({"features": []})).await;
    assert_eq!(new.until("ERROR").await.str("code"), "unavailable");
    stage.nodes.until_status(0, "/ready", 503).await;
    stage.redis.restart();
    stage.all_ready().await;
    new.enter("room", "new", json!({"features": []})).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_goes_while_redis_is_away_is_gone_when_it_is_back() {
    let mut stage = Stage::set(Redis::durable(), &[]).await;
    let mut ana = seat(&stage, 0, "ana").await;
    let ben = seat(&stage, 1, "ben").await;
    let mut old = Client::connect_to(stage.nodes.addr(1)).await;
    old.enter("room", "old", json!({})).await;
    stage.redis.kill();
    sleep(Duration::from_millis(300)).await;
    drop((ben, old));
    sleep(Duration::from_secs(1)).await;
    stage.redis.restart();
    let mut seen = Vec::new();
    while seen.len() < 2 {
        let frame = ana.next().await;
        if frame.is("MEMBER_AWAY") || frame.is("USER_LEFT") {
            seen.push(format!("{} {}", frame.str("type"), frame.str("userId")));
        }
    }
    seen.sort();
    assert_eq!(seen, ["MEMBER_AWAY ben", "USER_LEFT old"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_that_nobody_writes_stops_changes_before_it_loses_any() {
    let mut stage = Stage::set(Redis::start(), &[("LEDGER_STREAM_MAX", "20"), ("RESUME_WINDOW_SECONDS", "60")]).await;
    stage.kill_workers();
    let mut ana = seat(&stage, 0, "ana").await;
    let mut done = 0;
    let refused = loop {
        ana.send(json!({"type": "BROADCAST", "event": "x", "id": done})).await;
        let answer = ana.collect_until(|frame| frame.is("ACK") || frame.is("ERROR"), "an answer").await.pop().unwrap();
        if answer.is("ERROR") {
            break answer;
        }
        done += 1;
        assert!(done < 100, "it takes more and more");
    };
    assert_eq!(refused.str("code"), "unavailable");
    wait_for("there was no alarm", || stage.nodes.log(0).contains("the ledger's queue grows"));
    stage.start_worker();
    let rows = stage.ledger().await;
    assert_eq!(rows.iter().filter(|row| row.kind == "BROADCAST").count(), done, "what was confirmed, once each");
    ana.send(json!({"type": "BROADCAST", "event": "x", "id": "again"})).await;
    ana.until("ACK").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_came_in_while_the_answer_got_lost_and_went_is_no_ghost() {
    let mut stage = Stage::set(Redis::start(), &[]).await;
    let proxy = Proxy::start(stage.redis.port()).await;
    stage.nodes.set(0, "REDIS_URL", &proxy.url());
    stage.nodes.drain(0).await;
    stage.nodes.launch(0);
    stage.nodes.until_ready(0).await;
    // Redis must know the script: its NOSCRIPT answer would be lost as well, and no member could join.
    seat(&stage, 1, "first").await;
    // Each is the first member of its room on this node, and has gone before the node knows that the JOIN was committed.
    for (room, user, features) in [("old", "old", json!({})), ("modern", "ana", json!({"features": ["resume"]}))] {
        let mut client = Client::connect_to(stage.nodes.addr(0)).await;
        proxy.set(Mode::MuteFromJoin);
        client.send_join(room, user, features).await;
        assert_eq!(client.until("ERROR").await.str("code"), "unavailable");
        drop(client);
        proxy.set(Mode::Pass);
        // No client uses the room meanwhile: the node itself has to notice.
        let gone = format!(
            "SELECT count(*) FROM room_events WHERE event_type IN ('USER_LEFT', 'MEMBER_AWAY') AND user_id = '{user}'"
        );
        wait_for("nobody noticed the ghost", || stage.postgres.number(&gone) == 1);
        let mut late = Client::connect_to(stage.nodes.addr(1)).await;
        let state = late.enter(room, "late", json!({"features": []})).await;
        let present: Vec<_> = state["users"].as_array().unwrap().iter().filter(|it| it["state"] == "present").collect();
        assert_eq!(present.len(), 1, "{user} haunts {room}: {state:?}\n{}", stage.nodes.log(0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_lets_go_of_rooms_that_its_members_have_left_for_another() {
    let stage = Stage::set(Redis::start(), &[]).await;
    for number in 0..5 {
        let mut client = Client::connect_to(stage.nodes.addr(0)).await;
        let state = client.enter(&format!("room-{number}"), "ana", json!({"features": ["resume"]})).await;
        drop(client);
        let mut client = Client::connect_to(stage.nodes.addr(1)).await;
        let resume = json!({
            "type": "RESUME", "roomId": format!("room-{number}"), "userId": "ana", "epoch": state.int("epoch"),
            "resumeToken": state.str("resumeToken"), "version": state.version(),
        });
        client.send(resume).await;
        client.until("RESUMED").await;
        // The room continues there.
        tokio::spawn(async move { client.during(Duration::from_secs(20)).await });
    }
    let begun = std::time::Instant::now();
    while stage.nodes.metric(0, "tandem_rooms").await > 0.0 {
        assert!(begun.elapsed() < Duration::from_secs(15), "it holds them still");
        sleep(Duration::from_millis(200)).await;
    }
    assert!(stage.nodes.metric(1, "tandem_rooms").await >= 5.0);
}
