//! Properties of the whole server that the extension needs.

use std::time::Duration;

use serde_json::json;

use super::{ALICE, BOB, FILM, ROOM, pair};
use tandem_testkit::{
    Client, Extension, TestApp,
    client::{Connect, fence_all, quiet},
};

#[tokio::test]
async fn p20_links_and_status_over_http() {
    let app = TestApp::start().await;
    let _alice = Extension::join(&app, ROOM, ALICE).await;
    let origin = [("Origin", "https://www.netflix.com")];
    let first = app.http("GET", &format!("/api/short-id/{ROOM}"), &origin).await;
    let second = app.http("GET", &format!("/api/short-id/{ROOM}"), &origin).await;
    // Whichever node is asked; the link leads to the one that was.
    for field in ["shortId", "roomId"] {
        assert_eq!(first.json()[field], second.json()[field]);
    }
    let code = first.json()["shortId"].as_str().unwrap().to_owned();
    assert!((3..=12).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{code}");
    let found = app.http("GET", &format!("/api/room/{code}"), &origin).await;
    assert_eq!(found.json()["roomId"], ROOM);
    let missing = app.http("GET", "/api/room/zzzzzzz", &origin).await;
    assert_eq!((missing.status, missing.json()), (404, json!({"error": "Room not found"})));
    let status = app.http("GET", "/status", &[("Origin", "null")]).await;
    assert!(status.json()["rooms"].is_array());
    for reply in [first, found, missing, status] {
        assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
        assert!(reply.header("content-type").unwrap().starts_with("application/json"));
    }
}

#[tokio::test]
async fn p21_types_stay_what_they_are() {
    let app = TestApp::start().await;
    let (mut alice, mut bob) = pair(&app).await;
    // Text that looks like a number, a number without a fraction.
    bob.rename(Some("12345")).await;
    assert_eq!(alice.expect("USERNAME_UPDATED").await["username"], "12345");
    alice.say(json!({"type": "PLAY_PAUSE", "control": "play", "currentTime": 12})).await;
    alice.say(json!({"type": "SEEK", "currentTime": 12, "isPlaying": false})).await;
    assert!(bob.until("PLAY_PAUSE").await["currentTime"].is_number());
    assert!(bob.expect("SEEK_PAUSE").await["currentTime"].is_number());
    let mut carol = Extension::open(&app, ROOM, "user_carol1").await;
    carol.send_join().await;
    let state = carol.expect("ROOM_STATE").await;
    assert_eq!(state.user(BOB)["username"], "12345");
    assert!(state["users"].is_array() && state["guestControlEnabled"].is_boolean());
}

#[tokio::test]
async fn p22_the_budgets_admit_what_real_parties_send() {
    let app = TestApp::start().await;
    let mut party = Vec::new();
    // Twelve from one address, each with a burst of candidates to each before it, several JOINs and questions.
    for number in 0..12 {
        let mut one = Extension::join(&app, ROOM, &format!("user_n{number}")).await;
        for _ in 0..3 {
            one.request_sync().await;
            one.send_join().await;
        }
        for _ in 0..3 {
            one.until("ROOM_STATE").await;
        }
        for other in 0..number {
            for candidate in 0..10 {
                one.candidate(&format!("user_n{other}"), candidate).await;
            }
        }
        one.ping_app().await;
        party.push(one);
    }
    let mut clients: Vec<&mut Client> = party.iter_mut().map(|one| &mut one.client).collect();
    for frames in fence_all(&mut clients).await {
        assert!(frames.iter().all(|frame| !frame.is("ERROR")), "{frames:?}");
    }
    // A client that reconnects again and again.
    for _ in 0..20 {
        let one = Extension::join(&app, ROOM, "user_flap").await;
        one.client.reset();
    }
}

#[tokio::test]
async fn p23_what_other_builds_send_is_understood() {
    let app = TestApp::start().await;
    let (mut alice, mut bob) = pair(&app).await;
    bob.say(json!({"type": "SYNC_RESPONSE", "to": ALICE, "currentTime": 5, "isPlaying": true, "url": FILM,
        "respectAutoPlay": false, "fromUserId": BOB}))
        .await;
    bob.say(json!({"type": "SYNC_PLAYBACK", "currentTime": 5, "isPlaying": true})).await;
    quiet(&mut [&mut alice, &mut bob]).await;
    bob.say(json!({"type": "PLAYBACK_ACK", "to": ALICE, "control": "play"})).await;
    let ack = alice.expect("PLAYBACK_ACK").await;
    assert_eq!((ack.str("to"), ack.str("control"), ack.str("userId")), (ALICE, "play", BOB));
    alice.say(json!({"type": "TOGGLE_GUEST_CONTROL", "enabled": true})).await;
    assert_eq!(bob.expect("GUEST_CONTROL").await["enabled"], true);
    alice.expect("GUEST_CONTROL").await;
    alice.say(json!({"type": "TRANSFER_HOST", "targetUserId": BOB})).await;
    assert_eq!(bob.expect("HOST_CHANGED").await["hostUserId"], BOB);
    alice.expect("HOST_CHANGED").await;
    // Nothing of the server's own vocabulary, or unknown, goes through.
    for kind in ["HOST_CHANGED", "GUEST_CONTROL", "ROOM_STATE", "USER_LEFT", "USER_JOINED", "P2P_FALLBACK", "seek", ""]
    {
        alice.say(json!({"type": kind, "hostUserId": ALICE, "enabled": false})).await;
        alice.expect_error("unknown_type").await;
    }
    quiet(&mut [&mut alice, &mut bob]).await;
}

#[tokio::test]
async fn p24_who_may_control_is_a_setting() {
    let strict = TestApp::start().await;
    let lenient = TestApp::start_with(&[("ENFORCE_CONTROL", "false")]).await;
    for (app, may) in [(&strict, false), (&lenient, true)] {
        let (mut alice, mut bob) = pair(app).await;
        for (frame, kind) in [
            (json!({"type": "PLAY_PAUSE", "control": "play", "currentTime": 1}), "PLAY_PAUSE"),
            (json!({"type": "SEEK", "currentTime": 2, "isPlaying": false}), "SEEK_PAUSE"),
            (json!({"type": "URL_CHANGE", "url": FILM}), "URL_CHANGE"),
        ] {
            bob.say(frame).await;
            if may {
                bob.until(kind).await;
                alice.expect(kind).await;
            } else {
                bob.expect_error("forbidden").await;
            }
        }
        if !may {
            quiet(&mut [&mut alice, &mut bob]).await;
            alice.say(json!({"type": "TOGGLE_GUEST_CONTROL", "enabled": true})).await;
            bob.expect("GUEST_CONTROL").await;
            bob.play_pause("play", 3.0).await;
            assert_eq!(bob.expect("PLAY_PAUSE").await["userId"], BOB);
        }
    }
}

#[tokio::test]
async fn p25_a_drain_is_spread_and_refuses_newcomers_at_the_handshake() {
    let mut app = TestApp::start_with(&[("DRAIN_SECONDS", "2")]).await;
    let mut party = Vec::new();
    for number in 0..40 {
        party.push(Extension::join(&app, ROOM, &format!("user_n{number}")).await);
    }
    // Read as they come: when is what counts.
    let mut tasks = tokio::task::JoinSet::new();
    for mut one in party {
        tasks.spawn(async move {
            let (frames, code) = one.closed_within(Duration::from_secs(30)).await;
            (frames.iter().any(|frame| frame.is("SERVER_DRAINING")), code, tokio::time::Instant::now())
        });
    }
    app.sigterm().await;
    let refused = loop {
        match Client::try_connect(&app, Connect::default()).await {
            Err(refused) => break refused,
            Ok(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    };
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    let ends = tasks.join_all().await;
    assert!(ends.iter().all(|(told, code, _)| *told && *code == Some(1012)), "{ends:?}");
    let first = ends.iter().map(|(_, _, at)| at).min().unwrap();
    let last = ends.iter().map(|(_, _, at)| at).max().unwrap();
    assert!(*last - *first > Duration::from_millis(500), "all closed within {:?}", *last - *first);
    assert_eq!(app.exit(Duration::from_secs(15)).await.code(), Some(0));
}

#[tokio::test]
async fn p26_frames_that_only_old_documents_show_do_no_harm() {
    let app = TestApp::start().await;
    let (mut alice, mut bob) = pair(&app).await;
    for frame in [
        json!({"type": "join", "roomId": ROOM, "userId": ALICE}),
        json!({"type": "CREATE_ROOM", "roomId": ROOM}),
        json!({"type": "HEARTBEAT", "timestamp": 1}),
        json!({"type": "CHAT", "text": "hi"}),
        json!({"type": "SYNC", "time": 12}),
    ] {
        alice.say(frame).await;
        alice.expect_error("unknown_type").await;
    }
    quiet(&mut [&mut alice, &mut bob]).await;
}
