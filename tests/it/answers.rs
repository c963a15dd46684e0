//! Every frame with an `id` is answered, and frames beyond the budget are late, not lost.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::time::Instant;

use tandem_testkit::{
    Client, DEADLINE, Frame, TestApp,
    client::{Incoming, fence_all},
};

fn numbered(count: usize) -> impl Iterator<Item = Value> {
    (0..count).map(|number| json!({"type": "READY", "targetTime": 1, "id": number}))
}

/// The answers to this number of frames with an `id`, by type: each comes once.
async fn answers(client: &mut Client, count: usize) -> BTreeMap<String, usize> {
    let (mut by_word, mut answered) = (BTreeMap::new(), BTreeSet::new());
    let until = Instant::now() + 3 * DEADLINE;
    while answered.len() < count {
        let frame = match client.poll(until.saturating_duration_since(Instant::now())).await {
            Some(Incoming::Frame(frame)) => frame,
            other => panic!("{other:?} after {} of {count} answers: {by_word:?}", answered.len()),
        };
        if frame.has("id") {
            assert!(answered.insert(frame.int("id")), "answered twice: {frame:?}");
            let word = if frame.is("ERROR") { frame.str("code") } else { frame.kind() };
            *by_word.entry(word.to_owned()).or_default() += 1;
        }
    }
    by_word
}

#[tokio::test]
async fn candidates_of_a_full_room_all_arrive() {
    let app = TestApp::start().await;
    let mut members = Vec::new();
    for number in 0..8 {
        members.push(Client::join(&app, "room", &format!("m{number}")).await);
    }
    fence_all(&mut members.iter_mut().collect::<Vec<_>>()).await;
    let (first, others) = members.split_first_mut().unwrap();
    let candidate =
        |number: usize, to: usize| json!({"type": "ICE_CANDIDATE", "to": format!("m{to}"), "candidate": {"n": number}});
    first.send_at_once((0..60).flat_map(|number| (1..8).map(move |to| candidate(number, to)))).await;
    first.send_at_once((60..70).flat_map(|number| (1..8).map(move |to| candidate(number, to)))).await;
    for other in others {
        for number in 0..70 {
            assert_eq!(other.expect("ICE_CANDIDATE").await["candidate"]["n"], number);
        }
    }
    assert!(first.fence().await.is_empty(), "nothing was refused");
}

#[tokio::test]
async fn a_frame_for_somebody_who_is_not_there_is_counted_though_nobody_is_told() {
    let app = TestApp::start().await;
    let mut ana = Client::join(&app, "room", "ana").await;
    for (number, frame) in [
        json!({"type": "OFFER", "to": "nobody", "offer": {}}),
        json!({"type": "ICE_CANDIDATE", "to": "nobody", "candidate": null}),
        json!({"type": "BROADCAST", "to": "nobody", "event": "e"}),
        json!({"type": "BYE", "to": "nobody", "id": 1}),
    ]
    .into_iter()
    .enumerate()
    {
        ana.send(frame).await;
        let told = ana.fence().await;
        assert_eq!(told.len(), usize::from(number == 3), "{told:?}");
        let metrics = app.get("/metrics").await.body;
        let name = "tandem_signals_dropped_total{why=\"nobody\"} ";
        let dropped = metrics.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        assert_eq!(dropped.parse::<f64>().unwrap(), 1.0 + f64::from(u32::try_from(number).unwrap()));
    }
}

#[tokio::test]
async fn two_seconds_beyond_the_budget_are_only_late() {
    let app = TestApp::start().await;
    let mut ana = Client::join(&app, "room", "ana").await;
    ana.send_at_once(numbered(400)).await;
    assert_eq!(answers(&mut ana, 400).await, BTreeMap::from([("ACK".to_owned(), 400)]));
    let metrics = app.get("/metrics").await.body;
    let delayed = metrics.lines().find_map(|line| line.strip_prefix("tandem_reads_delayed_total ")).unwrap();
    assert!(delayed.parse::<f64>().unwrap() >= 1.0, "{delayed}");
}

#[tokio::test]
async fn what_is_more_than_two_seconds_late_is_refused_each_time() {
    let app = TestApp::start().await;
    let mut ana = Client::join(&app, "room", "ana").await;
    ana.send_at_once(numbered(1_500)).await;
    let by_word = answers(&mut ana, 1_500).await;
    println!("{by_word:?}");
    assert_eq!(by_word.keys().collect::<Vec<_>>(), ["ACK", "rate_limited"]);
    assert!(by_word["ACK"] >= 400, "{by_word:?}");
    // After that it is served as before.
    tokio::time::sleep(Duration::from_millis(100)).await;
    ana.acked(json!({"type": "REQUEST_SYNC"})).await;
}

#[tokio::test]
async fn a_ping_is_answered_however_loud_its_sender_is() {
    let app = TestApp::start().await;
    let mut ana = Client::join(&app, "room", "ana").await;
    let noise = (0..1_000).map(|_| json!({"type": "READY", "targetTime": 1}));
    ana.send_at_once(noise.chain([json!({"type": "PING", "t0": 7})])).await;
    let frames = ana.collect_until(|frame| frame.is("PONG"), "PONG").await;
    assert_eq!(frames.last().unwrap()["t0"], 7);
    let told = frames.iter().filter(|frame| frame.is("ERROR")).count();
    assert!((1..=3).contains(&told), "not for each: {told}");
}

/// A client that each frame holds back for a second.
const SLOW: [(&str, &str); 2] = [("MESSAGES_PER_SECOND", "1"), ("MESSAGE_BURST", "10")];

#[tokio::test]
async fn who_is_held_back_is_written_to() {
    let app = TestApp::start_with(&SLOW).await;
    let mut calm = Client::join(&app, "room", "calm").await;
    let mut loud = Client::join(&app, "room", "loud").await;
    loud.send_at_once((0..2).map(|number| json!({"type": "READY", "targetTime": 1, "id": number}))).await;
    calm.expect("USER_JOINED").await;
    // The node has read up to there, and reads the next frame a second later.
    assert_eq!(loud.expect("ACK").await["id"], 0);
    calm.send(json!({"type": "BROADCAST", "event": "e"})).await;
    loud.expect("BROADCAST").await;
    assert_eq!(loud.expect("ACK").await["id"], 1);
}

#[tokio::test]
async fn silence_is_not_counted_while_nothing_is_read() {
    let mut settings = SLOW.to_vec();
    settings.extend([("PING_INTERVAL_SECONDS", "0.3"), ("PING_TIMEOUT_SECONDS", "1")]);
    let app = TestApp::start_with(&settings).await;
    let mut loud = Client::join(&app, "room", "loud").await;
    // The first frame costs twice as much: nothing is read for two seconds.
    let frame =
        |number: usize, size: usize| json!({"type": "READY", "targetTime": 1, "id": number, "x": "x".repeat(size)});
    loud.send_at_once([frame(0, 5_000), frame(1, 0)]).await;
    for number in 0..2 {
        assert_eq!(loud.expect("ACK").await["id"], number);
    }
}

#[tokio::test]
async fn a_drain_does_not_wait_for_the_debt_and_leaves_no_id_unanswered() {
    let app = TestApp::start_with(&SLOW).await;
    let mut loud = Client::join(&app, "room", "loud").await;
    loud.send_at_once((0..3).map(|number| json!({"type": "READY", "targetTime": 1, "id": number}))).await;
    assert_eq!(loud.expect("ACK").await["id"], 0);
    app.sigterm().await;
    let (frames, code) = loud.closed().await;
    assert_eq!(code, Some(1012));
    let told: Vec<_> = frames.iter().filter(|frame| frame.has("id")).map(|frame| frame.int("id")).collect();
    assert_eq!(told, [1, 2], "{frames:?}");
    assert!(frames.iter().any(|frame| frame.is("ERROR") && frame["code"] == "unavailable"), "{frames:?}");
}

/// The answer to a frame with this id, written by hand.
async fn answer(client: &mut Client, text: &str) -> Frame {
    client.send_text(text).await;
    client.collect_until(|frame| frame["id"] == "mine", "the answer").await.pop().unwrap()
}

fn word(frame: &Frame) -> &str {
    if frame.is("ERROR") { frame.str("code") } else { frame.kind() }
}

#[tokio::test]
#[allow(clippy::too_many_lines, reason = "one table")]
async fn every_frame_with_an_id_is_answered() {
    let app = TestApp::start().await;
    let mut host = Client::join_with(&app, "room", "host", json!({"features": [], "pin": "123456"})).await.0;
    let mut ana = Client::join_with(&app, "room", "ana", json!({"features": [], "pin": "123456"})).await.0;
    let mut outside = Client::connect(&app).await;
    let (wide, deep) = ("x".repeat(70_000), "[".repeat(40));
    let nested = format!(r#"{{"type":"READY","targetTime":1,"x":{deep}{},"id":"mine"}}"#, "]".repeat(40));
    let large = format!(r#"{{"type":"READY","targetTime":1,"x":"{wide}","id":"mine"}}"#);
    let malformed = [
        (r#"{"id":"mine"}"#, "invalid_message"),
        (r#"{"type":7,"id":"mine"}"#, "invalid_message"),
        (r#"{"type":null,"id":"mine"}"#, "invalid_message"),
        (r#"{"type":"READY","type":"READY","targetTime":1,"id":"mine"}"#, "invalid_message"),
        (r#"{"type":"NEWS","id":"mine"}"#, "unknown_type"),
        (r#"{"type":"ready","targetTime":1,"id":"mine"}"#, "unknown_type"),
        (r#"{"type":"ROOM_STATE","id":"mine"}"#, "unknown_type"),
        (r#"{"type":"READY","id":"mine"}"#, "invalid_message"),
        (r#"{"type":"READY","targetTime":-1,"id":"mine"}"#, "invalid_message"),
        (r#"{"type":"READY","targetTime":1e999,"id":"mine"}"#, "invalid_message"),
        (r#"{"type":"BROADCAST","event":"e","data":"\ud800","id":"mine"}"#, "invalid_message"),
        (r#"{"id":"mine","id":"other","type":"READY","targetTime":1}"#, "invalid_message"),
        (r#"{"id":"mine","type":"READY","targetTime":}"#, "invalid_message"),
        (r#"{"id":"mine","type":"READY","targetTime":1"#, "invalid_message"),
        (r#"{"id":"mine","type":"READY","targetTime":1} more"#, "invalid_message"),
        (r#"{"type":"OFFER","to":"host","id":"mine"}"#, "invalid_message"),
        (r#"{"type":"JOIN","userId":"x","id":"mine"}"#, "invalid_message"),
        (r#"{"type":"RESUME","userId":"x","id":"mine"}"#, "invalid_message"),
        (nested.as_str(), "invalid_message"),
        (large.as_str(), "too_large"),
    ];
    for (text, code) in malformed {
        for client in [&mut ana, &mut outside] {
            let frame = answer(client, text).await;
            assert_eq!(word(&frame), code, "{text:.100}");
        }
    }
    let of_a_member = [
        ("UPDATE_USERNAME", r#""username":"n""#, "ACK"),
        ("UPDATE_USERNAME", r#""username":null"#, "ACK"),
        ("PLAY_PAUSE", r#""control":"play""#, "forbidden"),
        ("SEEK", r#""currentTime":1,"isPlaying":true"#, "forbidden"),
        ("READY", r#""targetTime":1"#, "ACK"),
        ("POSITION_UPDATE", r#""currentTime":1,"isPlaying":true"#, "ACK"),
        ("POSITION_UPDATE", r#""currentTime":1,"isPlaying":true"#, "ACK"),
        ("HOST_HEARTBEAT", r#""currentTime":1,"isPlaying":true"#, "forbidden"),
        ("URL_CHANGE", r#""url":"https://x.example/""#, "forbidden"),
        ("REQUEST_SYNC", r#""x":1"#, "ACK"),
        ("OFFER", r#""to":"host","offer":{}"#, "ACK"),
        ("OFFER", r#""to":"nobody","offer":{}"#, "not_joined"),
        ("ANSWER", r#""to":"ana","answer":{}"#, "ACK"),
        ("ICE_CANDIDATE", r#""to":"host","candidate":null"#, "ACK"),
        ("RENEGOTIATE", r#""to":"host""#, "ACK"),
        ("BYE", r#""to":"nobody""#, "not_joined"),
        ("BROADCAST", r#""event":"e""#, "ACK"),
        ("BROADCAST", r#""event":"e","to":"host""#, "ACK"),
        ("BROADCAST", r#""event":"e","to":"nobody""#, "not_joined"),
        ("TOGGLE_GUEST_CONTROL", r#""enabled":true"#, "forbidden"),
        ("TRANSFER_HOST", r#""targetUserId":"ana""#, "forbidden"),
        ("SET_ROLE", r#""targetUserId":"ana","role":"co-host""#, "forbidden"),
        ("KICK", r#""targetUserId":"host""#, "forbidden"),
        ("SET_PIN", r#""pin":null"#, "forbidden"),
        ("LOCK_ROOM", r#""locked":true"#, "forbidden"),
        ("BAN", r#""targetUserId":"nobody""#, "forbidden"),
        ("UNBAN", r#""targetUserId":"nobody""#, "forbidden"),
        ("LIST_BANS", r#""x":1"#, "forbidden"),
        ("PLAYBACK_ACK", r#""to":"host","control":"play""#, "ACK"),
        ("SYNC_RESPONSE", r#""x":1"#, "ACK"),
        ("SYNC_PLAYBACK", r#""x":1"#, "ACK"),
        ("RESUME", r#""roomId":"room","userId":"ana","resumeToken":"t","epoch":1,"version":1"#, "invalid_message"),
        ("JOIN", r#""roomId":"room","userId":"ana","features":[]"#, "ACK"),
    ];
    for (kind, fields, code) in of_a_member {
        let text = format!(r#"{{"type":"{kind}",{fields},"id":"mine"}}"#);
        let frame = answer(&mut ana, &text).await;
        assert_eq!(word(&frame), code, "{text}");
        if !matches!(kind, "RESUME" | "JOIN") {
            let frame = answer(&mut outside, &text).await;
            assert_eq!(word(&frame), "not_joined", "{text}");
        }
    }
    let of_a_newcomer = [
        ("RESUME", r#""roomId":"room","userId":"x","resumeToken":"t","epoch":1,"version":1"#, "not_joined"),
        ("JOIN", r#""roomId":"room","userId":"x","pin":"0""#, "invalid_pin"),
        ("LEAVE", r#""x":1"#, "not_joined"),
    ];
    for (kind, fields, code) in of_a_newcomer {
        let frame = answer(&mut outside, &format!(r#"{{"type":"{kind}",{fields},"id":"mine"}}"#)).await;
        assert_eq!(word(&frame), code, "{kind}");
    }
    // Another socket took its seat.
    let mut newer = Client::connect(&app).await;
    newer.enter("room", "ana", json!({"features": [], "pin": "123456"})).await;
    assert_eq!(word(&answer(&mut ana, r#"{"type":"READY","targetTime":1,"id":"mine"}"#).await), "not_joined");
    // The last frame, and a frame that was sent at the same time.
    newer
        .send_at_once([
            json!({"type": "LEAVE", "id": 1}),
            json!({"type": "BROADCAST", "event": "late", "id": 2}),
            json!({"type": "NEWS", "id": 3}),
            json!({"type": "BROADCAST", "event": "late"}),
            json!({"type": "JOIN", "roomId": "room", "userId": "ana", "id": 4}),
        ])
        .await;
    let (frames, code) = newer.closed().await;
    assert_eq!(code, Some(1000));
    let told: Vec<_> =
        frames.iter().filter(|frame| frame.has("id")).map(|frame| (frame.int("id"), word(frame))).collect();
    assert_eq!(told, [(1, "ACK"), (2, "not_joined"), (3, "not_joined"), (4, "not_joined")]);
    let heard = host.fence().await;
    assert!(heard.iter().all(|frame| frame["event"] != "late"), "nothing of it was done");
}
