//! The ready gate: a seek while playing waits for those who watch, and never for long.

use std::time::Duration;

use serde_json::json;

use tandem_testkit::{
    Client, Frame, TestApp,
    client::{fence_all, quiet},
};

const TARGET: f64 = 300.002_148;

async fn watching(client: &mut Client) {
    client.send(json!({"type": "POSITION_UPDATE", "currentTime": 15, "isPlaying": true})).await;
    client.fence().await;
}

async fn ready(client: &mut Client, target: f64) {
    client.acked(json!({"type": "READY", "targetTime": target})).await;
}

async fn seek(client: &mut Client, target: f64) {
    client.send(json!({"type": "SEEK", "currentTime": target, "isPlaying": true})).await;
}

/// A host and watchers, with nothing left to read.
async fn party(app: &TestApp, watchers: usize) -> Vec<Client> {
    let mut all = vec![Client::join(app, "room", "host").await];
    for number in 0..watchers {
        all.push(Client::join(app, "room", &format!("watcher{number}")).await);
    }
    for one in &mut all {
        watching(one).await;
    }
    fence_all(&mut all.iter_mut().collect::<Vec<_>>()).await;
    all
}

fn releases(frames: &[Frame]) -> usize {
    frames.iter().filter(|frame| frame.is("PLAY_PAUSE") && frame["userId"] == "server").count()
}

#[tokio::test]
async fn sixty_percent_of_the_watching_open_it() {
    let app = TestApp::start().await;
    let mut all = party(&app, 5).await;
    // A member that does not watch is not counted.
    all.push(Client::join(&app, "room", "idle").await);
    fence_all(&mut all.iter_mut().collect::<Vec<_>>()).await;
    seek(&mut all[0], TARGET).await;
    for one in &mut all {
        let pause = one.expect("SEEK_PAUSE").await;
        assert_eq!(pause["isPlaying"], true);
        assert_eq!(pause.int("deadline") - pause.int("timestamp"), 7_000);
    }
    // Two of five, one of them twice, and the one who sought.
    ready(&mut all[1], TARGET).await;
    ready(&mut all[1], TARGET).await;
    ready(&mut all[2], TARGET).await;
    ready(&mut all[0], TARGET).await;
    quiet(&mut all.iter_mut().collect::<Vec<_>>()).await;
    ready_and_release(&mut all, 3).await;
}

async fn ready_and_release(all: &mut [Client], who: usize) {
    all[who].send(json!({"type": "READY", "targetTime": TARGET})).await;
    for one in all {
        let play = one.expect("PLAY_PAUSE").await;
        assert_eq!((play.str("userId"), play.str("control")), ("server", "play"));
        assert_eq!(play["timeline"]["playing"], true);
    }
}

#[tokio::test]
async fn the_deadline_opens_it() {
    let app = TestApp::start_with(&[("READY_GATE_SECONDS", "0.5")]).await;
    let mut all = party(&app, 2).await;
    seek(&mut all[0], TARGET).await;
    let deadline = all[1].expect("SEEK_PAUSE").await.int("deadline");
    let play = all[1].expect("PLAY_PAUSE").await;
    assert_eq!(play["userId"], "server");
    // Two nodes, two clocks.
    assert!(play.int("timestamp") + 50 >= deadline, "{play:?} before {deadline}");
    // Once.
    ready(&mut all[2], TARGET).await;
    assert_eq!(releases(&all[1].during(Duration::from_millis(700)).await), 0);
}

#[tokio::test]
async fn a_pause_cancels_it() {
    let app = TestApp::start_with(&[("READY_GATE_SECONDS", "2")]).await;
    let mut all = party(&app, 2).await;
    seek(&mut all[0], TARGET).await;
    all[0].send(json!({"type": "PLAY_PAUSE", "control": "pause", "currentTime": TARGET})).await;
    for one in &mut all {
        one.expect("SEEK_PAUSE").await;
        assert_eq!(one.expect("PLAY_PAUSE").await["control"], "pause");
    }
    ready(&mut all[1], TARGET).await;
    ready(&mut all[2], TARGET).await;
    assert_eq!(releases(&all[1].during(Duration::from_millis(2_500)).await), 0);
    let sync = {
        all[1].send(json!({"type": "REQUEST_SYNC"})).await;
        all[1].until("SYNC_RESPONSE").await
    };
    assert_eq!(sync["isPlaying"], false);
}

#[tokio::test]
async fn a_play_opens_it_and_the_server_says_nothing_more() {
    let app = TestApp::start_with(&[("READY_GATE_SECONDS", "2")]).await;
    let mut all = party(&app, 2).await;
    seek(&mut all[0], TARGET).await;
    all[0].send(json!({"type": "PLAY_PAUSE", "control": "play", "currentTime": TARGET})).await;
    all[1].until("PLAY_PAUSE").await;
    assert_eq!(releases(&all[1].during(Duration::from_millis(2_500)).await), 0);
}

#[tokio::test]
async fn a_new_seek_replaces_it_and_the_old_target_counts_no_more() {
    let app = TestApp::start_with(&[("READY_GATE_SECONDS", "5")]).await;
    let mut all = party(&app, 2).await;
    seek(&mut all[0], TARGET).await;
    let first = all[1].expect("SEEK_PAUSE").await;
    seek(&mut all[0], TARGET + 1.0).await;
    let second = all[1].expect("SEEK_PAUSE").await;
    assert!(second.int("deadline") >= first.int("deadline"));
    ready(&mut all[1], TARGET).await;
    ready(&mut all[2], TARGET).await;
    // The neighbouring double is another number.
    ready(&mut all[1], f64::from_bits((TARGET + 1.0).to_bits() + 1)).await;
    ready(&mut all[2], f64::from_bits((TARGET + 1.0).to_bits() + 1)).await;
    let frames = all[1].fence().await;
    assert_eq!(releases(&frames), 0, "{frames:?}");
    all[1].send(json!({"type": "READY", "targetTime": TARGET + 1.0})).await;
    all[2].send(json!({"type": "READY", "targetTime": TARGET + 1.0})).await;
    all[1].until("PLAY_PAUSE").await;
    assert_eq!(releases(&all[1].during(Duration::from_millis(5_500)).await), 0, "the first gate is gone");
}

#[tokio::test]
async fn a_paused_seek_opens_none() {
    let app = TestApp::start_with(&[("READY_GATE_SECONDS", "2")]).await;
    let mut all = party(&app, 1).await;
    // It even ends one.
    seek(&mut all[0], TARGET).await;
    all[1].expect("SEEK_PAUSE").await;
    all[0].send(json!({"type": "SEEK", "currentTime": 5, "isPlaying": false})).await;
    assert!(!all[1].expect("SEEK_PAUSE").await.has("deadline"));
    ready(&mut all[1], 5.0).await;
    assert_eq!(all[1].during(Duration::from_millis(2_500)).await.len(), 0);
}

#[tokio::test]
async fn a_latecomer_learns_of_it_and_lands_where_the_film_is() {
    let app = TestApp::start().await;
    let mut all = party(&app, 2).await;
    seek(&mut all[0], TARGET).await;
    let deadline = all[1].expect("SEEK_PAUSE").await["deadline"].clone();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let (_, state) = Client::join_with(&app, "room", "late", json!({"features": []})).await;
    assert_eq!(state["gate"]["deadline"], deadline);
    assert!((state["gate"]["targetTime"].as_f64().unwrap() - TARGET).abs() < 1e-9);
    assert!((TARGET + 0.1..TARGET + 7.0).contains(&state.num("currentTime")), "runs on: {state:?}");
    ready(&mut all[1], TARGET).await;
    all[2].send(json!({"type": "READY", "targetTime": TARGET})).await;
    all[0].until("PLAY_PAUSE").await;
    let (_, state) = Client::join_with(&app, "room", "later", json!({"features": []})).await;
    assert!(!state.has("gate"));
}

#[tokio::test]
async fn it_does_not_wait_for_those_who_left() {
    let app = TestApp::start().await;
    let mut all = party(&app, 2).await;
    seek(&mut all[0], TARGET).await;
    all[1].expect("SEEK_PAUSE").await;
    ready(&mut all[1], TARGET).await;
    quiet(&mut all[1..2].iter_mut().collect::<Vec<_>>()).await;
    all.pop().unwrap().vanish();
    let play = all[1].until("PLAY_PAUSE").await;
    assert_eq!(play["userId"], "server");
    let left = all[0].collect_until(|frame| frame.is("PLAY_PAUSE"), "PLAY_PAUSE").await;
    assert!(left.len() < 6, "{left:?}");
}
