//! Frames from one member to another, and BROADCAST.

use serde_json::{Value, json};

use tandem_testkit::{
    Client, TestApp,
    client::{fence_all, quiet},
};

async fn pair(app: &TestApp, features: Value) -> (Client, Client) {
    let mut ana = Client::join_with(app, "room", "ana", json!({"features": features})).await.0;
    let mut ben = Client::join_with(app, "room", "ben", json!({"features": features})).await.0;
    fence_all(&mut [&mut ana, &mut ben]).await;
    (ana, ben)
}

#[tokio::test]
async fn signals_carry_their_payload_and_their_sender() {
    let app = TestApp::start().await;
    let (mut ana, mut ben) = pair(&app, json!([])).await;
    let mut ids = std::collections::HashSet::new();
    for (kind, field, payload) in [
        ("OFFER", "offer", json!({"type": "offer", "sdp": "v=0 \u{1f980}", "more": [1, 2.5, null]})),
        ("ANSWER", "answer", json!({"type": "answer", "sdp": ""})),
        ("ICE_CANDIDATE", "candidate", json!({"candidate": "c", "sdpMLineIndex": 0})),
        ("ICE_CANDIDATE", "candidate", Value::Null),
        ("RENEGOTIATE", "", Value::Null),
        ("BYE", "", Value::Null),
    ] {
        let mut frame = json!({"type": kind, "to": "ben", "negotiationId": "n-1", "from": "x", "userId": "x",
            "nodeId": "x", "signalId": "x", "roomId": "x", "secret": "x"});
        if !field.is_empty() {
            frame[field] = payload.clone();
        }
        ana.send(frame).await;
        let signal = ben.expect(kind).await;
        assert_eq!((signal.str("from"), signal.str("userId"), signal.str("to")), ("ana", "ana", "ben"));
        assert_eq!(signal["negotiationId"], "n-1");
        if !field.is_empty() {
            assert_eq!(signal[field], payload);
        }
        assert!(ids.insert(signal.str("signalId").to_owned()), "twice the same signalId: {signal:?}");
        assert_ne!(signal["nodeId"], "x");
    }
    quiet(&mut [&mut ana, &mut ben]).await;
}

#[tokio::test]
async fn signals_of_a_pair_keep_their_order() {
    let app = TestApp::start_with(&[("MESSAGES_PER_SECOND", "10000"), ("MESSAGE_BURST", "10000")]).await;
    let (mut ana, mut ben) = pair(&app, json!([])).await;
    for number in 0..500 {
        ana.send(json!({"type": "ICE_CANDIDATE", "to": "ben", "candidate": {"n": number}})).await;
        ben.send(json!({"type": "ICE_CANDIDATE", "to": "ana", "candidate": {"n": number}})).await;
    }
    for number in 0..500 {
        assert_eq!(ben.expect("ICE_CANDIDATE").await["candidate"]["n"], number);
        assert_eq!(ana.expect("ICE_CANDIDATE").await["candidate"]["n"], number);
    }
}

#[tokio::test]
async fn signals_never_leave_the_room() {
    let app = TestApp::start().await;
    let (mut ana, mut ben) = pair(&app, json!(["ack"])).await;
    let mut eve = Client::join_with(&app, "elsewhere", "eve", json!({"features": ["ack"]})).await.0;
    for frame in [
        json!({"type": "OFFER", "to": "ben", "offer": {}}),
        json!({"type": "OFFER", "to": "ben", "offer": {}, "roomId": "room"}),
        json!({"type": "ANSWER", "to": "ben", "answer": {}, "roomId": "room", "userId": "ana", "from": "ana"}),
        json!({"type": "ICE_CANDIDATE", "to": "ben", "candidate": {}}),
        json!({"type": "RENEGOTIATE", "to": "ben"}),
        json!({"type": "BYE", "to": "ben"}),
        json!({"type": "BROADCAST", "to": "ben", "event": "e", "roomId": "room"}),
        json!({"type": "PLAYBACK_ACK", "to": "ben", "control": "play", "roomId": "room"}),
    ] {
        // Without an `id` too: that is what the feature asks for.
        eve.send(frame).await;
        eve.expect_error("not_joined").await;
    }
    eve.send(json!({"type": "BROADCAST", "event": "e", "data": 1, "roomId": "room"})).await;
    eve.expect("BROADCAST").await;
    quiet(&mut [&mut ana, &mut ben]).await;
}

#[tokio::test]
async fn without_the_feature_nothing_is_said_about_a_missing_target() {
    let app = TestApp::start().await;
    let (mut ana, mut ben) = pair(&app, json!([])).await;
    ana.send(json!({"type": "OFFER", "to": "nobody", "offer": {}})).await;
    ana.send(json!({"type": "BROADCAST", "to": "nobody", "event": "e"})).await;
    quiet(&mut [&mut ana, &mut ben]).await;
}

#[tokio::test]
async fn a_signal_without_its_parts_is_refused() {
    let app = TestApp::start().await;
    let (mut ana, mut ben) = pair(&app, json!([])).await;
    for frame in [
        json!({"type": "OFFER", "offer": {}}),
        json!({"type": "OFFER", "to": "ben"}),
        json!({"type": "ANSWER", "to": "ben", "offer": {}}),
        json!({"type": "ICE_CANDIDATE", "to": "ben"}),
        json!({"type": "OFFER", "to": ["ben"], "offer": {}}),
        json!({"type": "OFFER", "to": "", "offer": {}}),
        json!({"type": "BYE"}),
    ] {
        ana.refused(frame, "invalid_message").await;
    }
    quiet(&mut [&mut ana, &mut ben]).await;
}

#[tokio::test]
async fn broadcast_goes_to_all_or_to_one() {
    let app = TestApp::start().await;
    let (mut ana, mut ben) = pair(&app, json!([])).await;
    let mut carl = Client::join(&app, "room", "carl").await;
    fence_all(&mut [&mut ana, &mut ben, &mut carl]).await;
    let data = json!({"deep": [1, {"x": null}, "\u{0}\u{2028}", 1.5e300, -0.0], "userId": "eve"});
    ben.send(json!({"type": "BROADCAST", "event": "reaction", "data": data, "userId": "eve"})).await;
    for member in [&mut ana, &mut ben, &mut carl] {
        let frame = member.expect("BROADCAST").await;
        assert_eq!((frame.str("userId"), frame.str("event")), ("ben", "reaction"));
        assert_eq!(frame["data"], data);
        assert!(!frame.has("to"));
    }
    ben.send(json!({"type": "BROADCAST", "event": "whisper", "data": 7, "to": "carl"})).await;
    let frame = carl.expect("BROADCAST").await;
    assert_eq!((frame.str("userId"), frame.str("to")), ("ben", "carl"));
    // No data is data too.
    ben.send(json!({"type": "BROADCAST", "event": "wave"})).await;
    for member in [&mut ana, &mut ben, &mut carl] {
        assert_eq!(member.expect("BROADCAST").await["event"], "wave");
    }
    for event in [json!(""), json!("x".repeat(65)), json!(1), Value::Null] {
        ben.refused(json!({"type": "BROADCAST", "event": event, "data": 1}), "invalid_message").await;
    }
    quiet(&mut [&mut ana, &mut ben, &mut carl]).await;
}

#[tokio::test]
async fn big_data_comes_through_whole() {
    let app = TestApp::start().await;
    let (mut ana, mut ben) = pair(&app, json!([])).await;
    // Up to the limit for a frame, which counts everything.
    let frame = |data: &str| json!({"type": "BROADCAST", "event": "e", "data": data});
    let room = 65_536 - frame("").to_string().len();
    let data = "x".repeat(room);
    ana.send(frame(&data)).await;
    assert_eq!(ben.expect("BROADCAST").await["data"], data);
    ana.send(frame(&"x".repeat(room + 1))).await;
    ana.until("BROADCAST").await;
    ana.expect_error("too_large").await;
    quiet(&mut [&mut ana, &mut ben]).await;
}
