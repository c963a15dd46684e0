//! Thousands of frames that are nearly right, from a seed that is printed (`TANDEM_FUZZ_SEED` sets it).

use std::{collections::BTreeSet, time::Duration};

use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde_json::{Value, json};

use tandem_testkit::{Client, Incoming, TestApp, client::quiet, schema::types};

const FRAMES: usize = 3_000;

fn seed() -> u64 {
    let seed = std::env::var("TANDEM_FUZZ_SEED").map_or_else(|_| rand::random(), |seed| seed.parse().unwrap());
    println!("TANDEM_FUZZ_SEED={seed}");
    seed
}

fn valid() -> Vec<Value> {
    let mut all = vec![
        json!({"type": "JOIN", "roomId": "room", "userId": "fuzz", "username": "Fuzz", "features": ["ack", "resume"]}),
        json!({"type": "JOIN", "roomId": "elsewhere", "userId": "fuzz", "pin": "123456"}),
        json!({"type": "RESUME", "roomId": "room", "userId": "fuzz", "resumeToken": "0123456789abcdef",
            "epoch": 1, "version": 3, "features": []}),
        json!({"type": "PING", "t0": 1_795_295_285_653_u64}),
        json!({"type": "UPDATE_USERNAME", "username": "Fuzz"}),
        json!({"type": "PLAY_PAUSE", "control": "play", "currentTime": 1.5, "eventTimestamp": 1, "rate": 1}),
        json!({"type": "SEEK", "currentTime": 300.5, "isPlaying": true, "eventTimestamp": 1}),
        json!({"type": "READY", "targetTime": 300.5}),
        json!({"type": "POSITION_UPDATE", "currentTime": 3.25, "isPlaying": true}),
        json!({"type": "HOST_HEARTBEAT", "currentTime": 3.25, "isPlaying": true}),
        json!({"type": "URL_CHANGE", "url": "https://example.org/film", "currentTime": 2}),
        json!({"type": "REQUEST_SYNC", "respectAutoPlay": false}),
        json!({"type": "BROADCAST", "event": "e", "data": {"a": [1, "x", null]}, "to": "calm"}),
        json!({"type": "BROADCAST", "event": "e", "data": [[[]]]}),
        json!({"type": "TOGGLE_GUEST_CONTROL", "enabled": true}),
        json!({"type": "TRANSFER_HOST", "targetUserId": "fuzz"}),
        json!({"type": "SET_ROLE", "targetUserId": "fuzz", "role": "co-host"}),
        json!({"type": "KICK", "targetUserId": "calm", "reason": "r"}),
        json!({"type": "SET_PIN", "pin": "123456"}),
        json!({"type": "LOCK_ROOM", "locked": false}),
        json!({"type": "BAN", "targetUserId": "fuzz", "reason": "r"}),
        json!({"type": "UNBAN", "targetUserId": "fuzz"}),
        json!({"type": "LIST_BANS"}),
        json!({"type": "REFRESH_TOKEN", "token": "t"}),
        json!({"type": "PLAYBACK_ACK", "to": "calm", "control": "play"}),
        json!({"type": "SYNC_RESPONSE", "to": "calm", "currentTime": 1}),
        json!({"type": "SYNC_PLAYBACK", "currentTime": 1, "isPlaying": true}),
        json!({"type": "LEAVE"}),
    ];
    let signals =
        [("OFFER", "offer"), ("ANSWER", "answer"), ("ICE_CANDIDATE", "candidate"), ("RENEGOTIATE", "x"), ("BYE", "x")];
    for (kind, payload) in signals {
        let mut frame = json!({"type": kind, "to": "calm", "negotiationId": 1});
        frame[payload] = json!({"sdp": "v=0"});
        all.push(frame);
    }
    all
}

#[test]
fn every_type_is_fuzzed() {
    let fuzzed = valid().into_iter().map(|frame| frame["type"].as_str().unwrap().to_owned());
    assert_eq!(fuzzed.collect::<BTreeSet<_>>(), types("client").into_iter().collect());
}

fn odd_value(random: &mut StdRng) -> Value {
    let values = [
        Value::Null,
        json!(true),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(1e308),
        json!(""),
        json!("x"),
        json!("calm"),
        json!("\u{0}"),
        json!("é🦀\u{202e}"),
        json!("x".repeat(200)),
        json!([]),
        json!({}),
        json!([[1], {"a": null}]),
        json!({"userId": "calm", "type": "HOST_CHANGED"}),
    ];
    values.choose(random).unwrap().clone()
}

/// One to three small changes to a frame, and sometimes some to its text.
fn mutated(frames: &[Value], random: &mut StdRng) -> String {
    let mut frame = frames.choose(random).unwrap().clone();
    let other = frames.choose(random).unwrap();
    for _ in 0..random.random_range(0..3) {
        let fields: Vec<String> = frame.as_object().unwrap().keys().cloned().collect();
        let field = fields.choose(random).cloned().unwrap_or_default();
        match random.random_range(0..5) {
            0 => {
                frame.as_object_mut().unwrap().remove(&field);
            }
            1 => frame["type"] = other["type"].clone(),
            2 => {
                let extra =
                    other.as_object().unwrap().iter().nth(random.random_range(0..other.as_object().unwrap().len()));
                let (key, value) = extra.unwrap();
                frame[key] = value.clone();
            }
            3 => frame["id"] = odd_value(random),
            _ => frame[&field] = odd_value(random),
        }
    }
    let mut text = frame.to_string();
    if random.random_bool(0.2) {
        let mut chars: Vec<char> = text.chars().collect();
        let place = random.random_range(0..chars.len());
        match random.random_range(0..4) {
            0 => chars.truncate(place),
            1 => chars[place] = *['{', '"', '\\', ',', '9', '\u{0}', ']'].choose(random).unwrap(),
            2 => {
                chars.remove(place);
            }
            _ => chars.insert(place, *['{', '"', '-', 'e', '[', '\u{7f}'].choose(random).unwrap()),
        }
        text = chars.into_iter().collect();
    }
    text
}

/// A JOIN with the user id of the calm client takes its seat, as a reload does. That is not a fault.
fn takes_the_calm_ones_place(text: &str) -> bool {
    serde_json::from_str::<Value>(text).is_ok_and(|frame| frame["type"] == "JOIN" && frame["userId"] == "calm")
}

async fn rejoin(app: &TestApp) -> Client {
    let mut client = Client::connect(app).await;
    client.send_join("room", "fuzz", json!({})).await;
    client
}

#[tokio::test]
async fn nearly_valid_frames_harm_nobody() {
    let app = TestApp::start_with(&[("MESSAGES_PER_SECOND", "1000000"), ("MESSAGE_BURST", "1000000")]).await;
    let mut app = app;
    let mut random = StdRng::seed_from_u64(seed());
    let frames = valid();
    let mut calm = Client::join(&app, "room", "calm").await;
    let mut aside = Client::join(&app, "aside", "aside").await;
    let mut fuzz = rejoin(&app).await;
    let mut closes = 0;
    for number in 0..FRAMES {
        let text = mutated(&frames, &mut random);
        if takes_the_calm_ones_place(&text) {
            continue;
        }
        let mut open = fuzz.try_send_text(&text).await;
        // Answers are read now and then, so that no outbox fills.
        if number % 20 == 19 {
            while open {
                match fuzz.poll(Duration::from_millis(2)).await {
                    Some(Incoming::Frame(_)) => {}
                    Some(Incoming::Closed(_)) => open = false,
                    None => break,
                }
            }
            calm.fence().await;
        }
        if !open {
            closes += 1;
            fuzz = rejoin(&app).await;
        }
    }
    println!("{closes} times closed");
    assert!(app.is_running(), "{}", app.log());
    app.log_is_whole().await;
    assert!(!app.log().contains("panic"), "{}", app.log());
    fuzz.vanish();

    // The rooms are what they were.
    quiet(&mut [&mut aside]).await;
    calm.send_join("room", "calm", json!({"features": []})).await;
    let state = calm.until("ROOM_STATE").await;
    assert_eq!(state["hostUserId"], "calm");
    assert_eq!(state["guestControlEnabled"], false);
    assert_eq!(state["url"], "");
    let (mut late, seen) = Client::join_with(&app, "room", "late", json!({"features": []})).await;
    assert_eq!(seen["hostUserId"], "calm");
    calm.collect_until(|frame| frame.is("USER_JOINED") && frame["userId"] == "late", "the late one").await;
    let change = calm.acked(json!({"type": "PLAY_PAUSE", "control": "play", "currentTime": 5})).await;
    assert_eq!(late.until("PLAY_PAUSE").await.version(), change.version());
}
