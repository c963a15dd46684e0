//! Fixes for the extension of the first generation that its own server did not have.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use tandem_testkit::{Client, Extension, Frame, TestApp, client::quiet};

const ROOM: &str = "default_room_1795295285521";
const ALICE: &str = "user_c0gch0c";
const BOB: &str = "user_r8vkiq1";

async fn pair(app: &TestApp) -> (Extension, Extension) {
    let mut alice = Extension::join(app, ROOM, ALICE).await;
    let bob = Extension::join(app, ROOM, BOB).await;
    alice.expect("USER_JOINED").await;
    (alice, bob)
}

/// A party of two does not wait seven seconds for the one who sought and never says READY.
#[tokio::test]
async fn the_gate_does_not_wait_for_the_one_who_sought() {
    // Longer than any wait in this test.
    let app = TestApp::start_with(&[("READY_GATE_SECONDS", "60")]).await;
    let (mut alice, mut bob) = pair(&app).await;
    alice.position(15.0, true).await;
    bob.position(15.0, true).await;
    alice.fence().await;
    bob.fence().await;
    alice.seek(300.002_148, true).await;
    bob.expect("SEEK_PAUSE").await;
    bob.ready(300.002_148).await;
    assert_eq!(bob.expect("PLAY_PAUSE").await["userId"], "server");
}

/// The extension gives its `URL_CHANGE` milliseconds and takes seconds.
#[tokio::test]
async fn url_change_turns_milliseconds_into_seconds() {
    let app = TestApp::start().await;
    let (mut alice, mut bob) = pair(&app).await;
    alice.url_change("https://www.netflix.com/watch/100", 310_347.98).await;
    let change = bob.expect("URL_CHANGE").await;
    assert!((change.num("currentTime") - 310.347_98).abs() < 1e-6, "{change:?}");
    // None stays none.
    alice.say(json!({"type": "URL_CHANGE", "url": "https://www.netflix.com/watch/101"})).await;
    let change = bob.expect("URL_CHANGE").await;
    assert!(!change.has("currentTime"), "{change:?}");
    // A client with `features` sends seconds.
    let mut carol = Client::join(&app, ROOM, "carol").await;
    alice.say(json!({"type": "SET_ROLE", "targetUserId": "carol", "role": "co-host"})).await;
    carol.until("ROLE_CHANGED").await;
    carol.send(json!({"type": "URL_CHANGE", "url": "https://example.org/a", "currentTime": 310.25})).await;
    let change = bob.until("URL_CHANGE").await;
    assert_eq!(change.exact("currentTime").to_bits(), 310.25_f64.to_bits());
}

/// A new film starts at 0 and paused, whatever the old one did.
#[tokio::test]
async fn a_new_url_starts_at_the_beginning() {
    let app = TestApp::start().await;
    let (mut alice, mut bob) = pair(&app).await;
    alice.url_change("https://www.netflix.com/watch/100", 0.0).await;
    alice.play_pause("play", 1000.0).await;
    alice.say(json!({"type": "URL_CHANGE", "url": "https://www.netflix.com/watch/101"})).await;
    bob.until("PLAY_PAUSE").await;
    let change = bob.expect("URL_CHANGE").await;
    assert_eq!(change["timeline"]["playing"], false);
    let sync = bob.sync().await;
    assert_eq!(sync["url"], "https://www.netflix.com/watch/101");
    assert!(sync.num("currentTime") < 1.0, "{sync:?}");
    assert_eq!(sync["isPlaying"], false);
}

/// A host that gets the old url of the room would return to it.
#[tokio::test]
async fn the_host_is_told_no_url() {
    let app = TestApp::start().await;
    let (mut alice, mut bob) = pair(&app).await;
    alice.url_change("https://www.netflix.com/watch/100", 0.0).await;
    bob.expect("URL_CHANGE").await;
    assert!(alice.sync().await["url"].is_null());
    assert_eq!(bob.sync().await["url"], "https://www.netflix.com/watch/100");
    // It goes with the role.
    alice.say(json!({"type": "TRANSFER_HOST", "targetUserId": BOB})).await;
    bob.until("HOST_CHANGED").await;
    alice.until("HOST_CHANGED").await;
    assert_eq!(alice.sync().await["url"], "https://www.netflix.com/watch/100");
    assert!(bob.sync().await["url"].is_null());
}

/// Reports positions twice a second and, when asked for, heartbeats; returns what came meanwhile.
async fn watch(host: &mut Extension, rounds: u32, heartbeats: bool) -> Vec<(u32, Frame)> {
    let mut frames = Vec::new();
    for round in 0..rounds {
        let time = 10.0 + f64::from(round) * 0.5;
        if heartbeats {
            host.heartbeat(time, true).await;
        }
        host.position(time, true).await;
        let came = host.during(Duration::from_millis(500)).await;
        frames.extend(came.into_iter().map(|frame| (round, frame)));
    }
    frames
}

/// The timer of the extension's heartbeat dies at the start of a party; `HOST_CHANGED` revives it.
#[tokio::test]
async fn a_host_without_a_heartbeat_is_nudged() {
    let app = TestApp::start().await;
    let mut alice = Extension::open(&app, ROOM, ALICE).await;
    alice.send_join().await;
    let state = alice.expect("ROOM_STATE").await;
    let mut bob = Extension::join(&app, ROOM, BOB).await;
    alice.expect("USER_JOINED").await;
    // By the server's own clock: 1.5 s after the JOIN, and again 5 s later, as far as there are reports then.
    let mut nudges = Vec::new();
    let begun = Instant::now();
    while nudges.len() < 2 {
        assert!(begun.elapsed() < Duration::from_secs(30), "{nudges:?}");
        for (_, frame) in watch(&mut alice, 1, false).await {
            assert!(frame.is("HOST_CHANGED") && frame["hostUserId"] == ALICE, "{frame:?}");
            nudges.push(frame.int("timestamp") - state.int("serverTime"));
        }
    }
    assert!(nudges[0] >= 1_500 && nudges[1] - nudges[0] >= 5_000, "{nudges:?}");
    // Only the host is nudged.
    quiet(&mut [&mut bob]).await;
}

#[tokio::test]
async fn a_host_with_a_heartbeat_and_a_guest_are_left_alone() {
    let app = TestApp::start().await;
    let (mut alice, mut bob) = pair(&app).await;
    let (host, guest) = tokio::join!(watch(&mut alice, 12, true), watch(&mut bob, 12, false));
    assert!(host.is_empty(), "{host:?}");
    assert!(guest.iter().all(|(_, frame)| frame.is("HOST_HEARTBEAT")), "{guest:?}");
}

/// The extension tears a peer connection down at LEAVE only.
#[tokio::test]
async fn a_departure_is_said_in_both_words() {
    let app = TestApp::start().await;
    let (mut alice, bob) = pair(&app).await;
    let (mut modern, _) = Client::join_with(&app, ROOM, "modern", json!({"features": []})).await;
    alice.expect("USER_JOINED").await;
    bob.client.reset();
    assert_eq!(alice.expect("USER_LEFT").await["userId"], BOB);
    assert_eq!(alice.expect("LEAVE").await["userId"], BOB);
    modern.expect("USER_LEFT").await;
    quiet(&mut [&mut modern]).await;
}

/// Without it the extension repeats its command after three seconds.
#[tokio::test]
async fn a_play_pause_is_acknowledged() {
    let app = TestApp::start().await;
    let (mut alice, mut bob) = pair(&app).await;
    for control in ["play", "pause"] {
        alice.play_pause(control, 14.368).await;
        let ack = alice.until("PLAYBACK_ACK").await;
        assert_eq!((ack.str("to"), ack.str("control")), (ALICE, control));
        assert_eq!(bob.expect("PLAY_PAUSE").await["control"], control);
    }
    quiet(&mut [&mut bob]).await;
    // Not to clients with `features`.
    let mut carol = Client::join(&app, "modern", "carol").await;
    carol.send(json!({"type": "PLAY_PAUSE", "control": "play"})).await;
    carol.expect("PLAY_PAUSE").await;
    quiet(&mut [&mut carol]).await;
}

/// A heartbeat would set the waiting guests playing.
#[tokio::test]
async fn heartbeats_are_held_back_while_the_gate_is_open() {
    let app = TestApp::start().await;
    let (mut alice, mut bob) = pair(&app).await;
    bob.position(15.0, true).await;
    bob.fence().await;
    alice.seek(300.0, true).await;
    bob.expect("SEEK_PAUSE").await;
    alice.heartbeat(300.5, true).await;
    alice.fence().await;
    bob.ready(300.0).await;
    assert_eq!(bob.expect("PLAY_PAUSE").await["userId"], "server");
    alice.until("PLAY_PAUSE").await;
    alice.heartbeat(301.0, true).await;
    bob.expect("HOST_HEARTBEAT").await;
}
