//! Frames between the members of a party.

use serde_json::json;

use super::{ALICE, BOB, FILM, ROOM, pair};
use tandem_testkit::{
    Extension, TestApp,
    client::{fence_all, quiet},
    extension::sdp,
};

#[tokio::test]
async fn p09_relayed_frames_name_their_true_sender() {
    let app = TestApp::start().await;
    let (mut alice, mut bob) = pair(&app).await;
    // All of these claim to come from Bob, who would ignore them then, or from the server.
    for claim in [BOB, "server", "", "nobody"] {
        let lie = json!({"userId": claim, "from": claim, "roomId": "elsewhere", "username": claim});
        for (mut frame, answer) in [
            (json!({"type": "PLAY_PAUSE", "control": "play", "currentTime": 1.5}), "PLAY_PAUSE"),
            (json!({"type": "SEEK", "currentTime": 9.5, "isPlaying": false}), "SEEK_PAUSE"),
            (json!({"type": "HOST_HEARTBEAT", "currentTime": 9.5, "isPlaying": false}), "HOST_HEARTBEAT"),
            (json!({"type": "URL_CHANGE", "url": FILM}), "URL_CHANGE"),
            (json!({"type": "BROADCAST", "event": "hi", "data": {"userId": claim}}), "BROADCAST"),
        ] {
            for (key, value) in lie.as_object().unwrap() {
                frame[key] = value.clone();
            }
            alice.client.send(frame).await;
            assert_eq!(bob.expect(answer).await["userId"], ALICE);
        }
    }
}

#[tokio::test]
async fn p09_the_release_of_the_gate_comes_from_the_server() {
    let app = TestApp::start().await;
    let (mut alice, mut bob) = pair(&app).await;
    bob.position(15.0, true).await;
    bob.fence().await;
    alice.seek(300.002_148, true).await;
    bob.expect("SEEK_PAUSE").await;
    alice.expect("SEEK_PAUSE").await;
    bob.ready(300.002_148).await;
    for client in [&mut alice, &mut bob] {
        let play = client.expect("PLAY_PAUSE").await;
        assert_eq!(play["userId"], "server");
        assert_eq!(play["control"], "play");
    }
}

#[tokio::test]
async fn p10_the_sender_too_gets_what_it_applies_from_the_echo() {
    let app = TestApp::start().await;
    let (mut alice, mut bob) = pair(&app).await;
    alice.say(json!({"type": "TOGGLE_GUEST_CONTROL", "enabled": true})).await;
    for client in [&mut alice, &mut bob] {
        assert_eq!(client.expect("GUEST_CONTROL").await["enabled"], true);
    }
    bob.rename(Some("Robert")).await;
    for client in [&mut alice, &mut bob] {
        let renamed = client.expect("USERNAME_UPDATED").await;
        assert_eq!((&renamed["userId"], &renamed["username"]), (&json!(BOB), &json!("Robert")));
    }
    // An empty name, or none, is no new name.
    bob.rename(None).await;
    bob.rename(Some("")).await;
    bob.rename(Some("   ")).await;
    quiet(&mut [&mut alice, &mut bob]).await;
    alice.say(json!({"type": "TRANSFER_HOST", "targetUserId": BOB})).await;
    for client in [&mut alice, &mut bob] {
        assert_eq!(client.expect("HOST_CHANGED").await["hostUserId"], BOB);
    }
    // The original echoes these as well.
    bob.play_pause("play", 1.0).await;
    bob.url_change(FILM, 0.0).await;
    bob.seek(4.0, false).await;
    for kind in ["PLAY_PAUSE", "URL_CHANGE", "SEEK_PAUSE"] {
        assert_eq!(bob.until(kind).await["userId"], BOB);
        assert_eq!(alice.expect(kind).await["userId"], BOB);
    }
}

#[tokio::test]
async fn p13_signals_reach_one_member_as_they_were_sent() {
    let app = TestApp::start().await;
    let (mut alice, mut bob) = pair(&app).await;
    let mut carol = Extension::join(&app, ROOM, "user_carol1").await;
    alice.expect("USER_JOINED").await;
    bob.expect("USER_JOINED").await;

    // In one burst, as a real one comes.
    alice.offer(BOB).await;
    for number in 0..10 {
        alice.candidate(BOB, number).await;
    }
    let offer = bob.expect("OFFER").await;
    assert_eq!((offer.str("from"), offer.str("userId"), offer.str("to")), (ALICE, ALICE, BOB));
    assert_eq!(offer["offer"], json!({"type": "offer", "sdp": sdp(5400)}));
    for number in 0..10 {
        let candidate = bob.expect("ICE_CANDIDATE").await;
        assert_eq!((candidate.str("from"), candidate.str("userId"), candidate.str("to")), (ALICE, ALICE, BOB));
        let text = candidate["candidate"]["candidate"].as_str().unwrap();
        assert!(text.starts_with(&format!("candidate:{number} ")), "out of order: {text}");
        assert_eq!(candidate["candidate"]["sdpMLineIndex"], 0);
    }
    bob.answer(ALICE).await;
    let answer = alice.expect("ANSWER").await;
    assert_eq!((answer.str("from"), answer.str("userId"), answer.str("to")), (BOB, BOB, ALICE));
    assert_eq!(answer["answer"]["sdp"], sdp(5100));

    // Whatever the sender says it is.
    let lie =
        json!({"type": "OFFER", "from": ALICE, "userId": ALICE, "to": BOB, "offer": {"type": "offer", "sdp": "x"}});
    carol.client.send(lie).await;
    let offer = bob.expect("OFFER").await;
    assert_eq!((offer.str("from"), offer.str("userId")), ("user_carol1", "user_carol1"));

    // A big one: 60 KB of session description.
    let big = json!({"type": "offer", "sdp": sdp(60_000)});
    carol.say(json!({"type": "OFFER", "from": "user_carol1", "to": BOB, "offer": big})).await;
    assert_eq!(bob.expect("OFFER").await["offer"], big);

    // Never into another room.
    let mut dave = Extension::join(&app, "another-room", "user_dave1").await;
    dave.offer(BOB).await;
    dave.say(json!({"type": "OFFER", "to": BOB, "offer": {}, "roomId": ROOM})).await;
    dave.ping_app().await;
    quiet(&mut [&mut alice, &mut bob, &mut carol]).await;
}

#[tokio::test]
async fn p14_seek_becomes_seek_pause_with_the_very_same_number() {
    let app = TestApp::start().await;
    let (mut alice, mut bob) = pair(&app).await;
    for time in [
        300.002_148_f64,
        0.0,
        0.1 + 0.2,
        1.0 / 3.0,
        9_999_999_999.999_998,
        1_795_295_285.123_456_7,
        5e-324,
        123_456.789_012_345_67,
        1e10,
    ] {
        alice.say(json!({"type": "SEEK", "currentTime": time, "isPlaying": false})).await;
        let seek = bob.expect("SEEK_PAUSE").await;
        assert_eq!(seek.exact("currentTime").to_bits(), time.to_bits(), "{time:?} became {seek:?}");
        assert_eq!(seek["isPlaying"], false);
        assert!(seek["eventTimestamp"].is_null() && !seek.has("deadline"));
        alice.expect("SEEK_PAUSE").await;
        bob.ready(time).await;
    }
    // A seek while paused opens no gate: nothing plays.
    quiet(&mut [&mut alice, &mut bob]).await;
    assert_eq!(bob.sync().await["isPlaying"], false);
}

#[tokio::test]
async fn p14_random_times_come_out_bit_exact() {
    let app = TestApp::start_with(&[("MESSAGES_PER_SECOND", "100000"), ("MESSAGE_BURST", "100000")]).await;
    let (mut alice, mut bob) = pair(&app).await;
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut random = <rand::rngs::StdRng as rand::SeedableRng>::seed_from_u64(seed);
    for _ in 0..500 {
        let time: f64 = rand::Rng::random_range(&mut random, 0.0..10_000_000_000.0);
        alice.say(json!({"type": "SEEK", "currentTime": time, "isPlaying": false})).await;
        alice.say(json!({"type": "PLAY_PAUSE", "control": "pause", "currentTime": time})).await;
        for kind in ["SEEK_PAUSE", "PLAY_PAUSE"] {
            assert_eq!(bob.until(kind).await.exact("currentTime").to_bits(), time.to_bits(), "{time:?}");
            alice.until(kind).await;
        }
    }
}

#[tokio::test]
async fn p15_play_pause_without_times_stays_without() {
    let app = TestApp::start().await;
    let (mut alice, mut bob) = pair(&app).await;
    alice.play_pause("play", 12.5).await;
    let play = bob.expect("PLAY_PAUSE").await;
    assert!((play.num("currentTime") - 12.5).abs() < f64::EPSILON);
    assert!(play.has("eventTimestamp"));
    alice.say(json!({"type": "PLAY_PAUSE", "control": "pause"})).await;
    let pause = bob.expect("PLAY_PAUSE").await;
    assert_eq!(pause["control"], "pause");
    assert!(!pause.has("currentTime") && !pause.has("eventTimestamp"), "{pause:?}");
    alice.say(json!({"type": "PLAY_PAUSE", "control": "play", "currentTime": null, "eventTimestamp": null})).await;
    let play = bob.expect("PLAY_PAUSE").await;
    assert!(!play.has("currentTime") && !play.has("eventTimestamp"), "{play:?}");
}

#[tokio::test]
async fn p16_the_answer_to_request_sync_is_one_the_extension_applies() {
    let app = TestApp::start().await;
    let (mut alice, mut bob) = pair(&app).await;
    let early = bob.sync().await;
    assert!(early["url"].is_null() || early["url"] == "", "{early:?}");
    assert!(!early.has("to"));
    alice.url_change(FILM, 5000.0).await;
    alice.play_pause("play", 100.0).await;
    bob.until("PLAY_PAUSE").await;
    let sync = bob.sync().await;
    assert_eq!(sync["fromUserId"], "server");
    assert!((100.0..105.0).contains(&sync.num("currentTime")), "{sync:?}");
    assert_eq!(sync["isPlaying"], true);
    assert_eq!(sync["url"], FILM);
    assert_eq!(sync["respectAutoPlay"], false);
    alice.play_pause("pause", 120.0).await;
    bob.until("PLAY_PAUSE").await;
    let sync = bob.sync().await;
    assert!((sync.num("currentTime") - 120.0).abs() < f64::EPSILON);
    assert_eq!(sync["isPlaying"], false);
}

#[tokio::test]
async fn p17_positions_are_not_relayed_and_heartbeats_are() {
    let app = TestApp::start().await;
    let (mut alice, mut bob) = pair(&app).await;
    alice.position(3.8, true).await;
    bob.position(3.7, true).await;
    // A host without heartbeats may be reminded of its role by now.
    let got = fence_all(&mut [&mut alice, &mut bob]).await;
    assert!(got[0].iter().all(|frame| frame.is("HOST_CHANGED")) && got[1].is_empty(), "{got:?}");
    alice.heartbeat(4.277_921, true).await;
    let beat = bob.expect("HOST_HEARTBEAT").await;
    assert_eq!(beat["userId"], ALICE);
    assert_eq!(beat.exact("currentTime").to_bits(), 4.277_921_f64.to_bits());
    assert_eq!(beat["isPlaying"], true);
    quiet(&mut [&mut alice, &mut bob]).await;
}
