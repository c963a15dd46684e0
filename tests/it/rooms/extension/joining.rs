//! Coming, going, and coming again.

use std::time::Duration;

use serde_json::json;

use super::{ALICE, BOB, FILM, ROOM, pair};
use tandem_testkit::{
    Client, Extension, TestApp,
    client::{Connect, quiet},
    frame::kinds,
    http::head,
};

#[tokio::test]
async fn p01_text_frames_at_ws_without_a_subprotocol() {
    let app = TestApp::start().await;
    let headers = [("Origin", tandem_testkit::extension::ORIGIN)];
    for path in ["/ws", "/ws?room=x&y=%20"] {
        // A client that asked for a subprotocol and gets none would give up; the extension asks for none.
        let plain = Connect { path: Some(path), headers: &headers, ..Connect::default() };
        let mut client = Client::connect_with(&app, plain).await;
        assert!(client.handshake.iter().all(|(key, _)| key != "sec-websocket-protocol"));
        // Binary frames and other types than the documented ones fail in the client itself.
        let state = client.enter(ROOM, ALICE, json!({})).await;
        assert_eq!(state["roomId"], ROOM);
    }
    // A client that asks for a subprotocol is admitted without it.
    let upgrade = format!(
        "GET /ws HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: chat, superchat\r\n\r\n",
        app.addr()
    );
    let head = head(app.addr(), upgrade.as_bytes()).await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    assert!(!head.to_lowercase().contains("sec-websocket-protocol"), "{head}");
}

#[tokio::test]
async fn p02_frames_of_one_socket_are_handled_in_order() {
    let app = TestApp::start().await;
    let mut early = Extension::open(&app, ROOM, ALICE).await;
    early.request_sync().await;
    early.position(3.5, true).await;
    early.send_join().await;
    early.request_sync().await;
    early.url_change(FILM, 1000.0).await;
    early.request_sync().await;
    let frames = early.collect_until(|frame| frame.is("URL_CHANGE"), "URL_CHANGE").await;
    let kinds: Vec<&str> = kinds(&frames).into_iter().filter(|kind| *kind != "ERROR").collect();
    assert_eq!(kinds, ["ROOM_STATE", "SYNC_RESPONSE", "URL_CHANGE"]);
    early.expect("SYNC_RESPONSE").await;
}

#[tokio::test]
async fn p03_join_creates_and_takes_nulls_and_extra_fields() {
    let app = TestApp::start().await;
    for (number, fields) in [
        json!({}),
        json!({"username": null, "pin": null}),
        json!({"username": null, "pin": null, "timestamp": 1_795_295_285_653_u64, "extra": {"a": [1, null]}}),
        json!({"username": "", "pin": null, "features": null}),
    ]
    .into_iter()
    .enumerate()
    {
        let mut client = Client::connect(&app).await;
        let mut join = json!({"type": "JOIN", "roomId": format!("fresh-{number}"), "userId": ALICE});
        for (key, value) in fields.as_object().unwrap() {
            join[key] = value.clone();
        }
        client.send(join).await;
        let state = client.expect("ROOM_STATE").await;
        assert_eq!(state["hostUserId"], ALICE);
        assert_eq!(state.users(), [ALICE]);
        assert!(state.user(ALICE)["username"].is_null());
        assert_eq!(state["url"], "");
        assert_eq!(state["guestControlEnabled"], false);
    }
}

#[tokio::test]
async fn p04_a_refused_join_is_answered_and_the_socket_reaches_nobody() {
    let app = TestApp::start().await;
    let (mut alice, state) = Extension::join_with_pin(&app, ROOM, ALICE, "754495").await;
    assert_eq!(state["hostUserId"], ALICE);
    assert_eq!(state.users(), [ALICE]);

    let mut bob = Extension::open(&app, ROOM, BOB).await;
    bob.pin = Some("111111".to_owned());
    bob.send_join().await;
    let error = bob.expect_error("invalid_pin").await;
    assert_eq!(error["message"], "Invalid or missing PIN");
    assert_eq!(error["retryable"], false);

    // Frames that the extension continues to send, and worse ones.
    bob.url_change("https://www.netflix.com/watch/666", 0.0).await;
    bob.play_pause("play", 66.0).await;
    bob.seek(66.0, true).await;
    bob.position(66.0, true).await;
    bob.heartbeat(66.0, true).await;
    bob.request_sync().await;
    bob.offer(ALICE).await;
    bob.say(json!({"type": "BROADCAST", "event": "x", "data": 1})).await;
    bob.say(json!({"type": "KICK", "targetUserId": ALICE})).await;
    bob.say(json!({"type": "TOGGLE_GUEST_CONTROL", "enabled": true})).await;
    bob.send(json!({"type": "PING"})).await;
    let answers = bob.collect_until(|frame| frame.is("PONG"), "PONG").await;
    let (_, answers) = answers.split_last().unwrap();
    assert!(answers.iter().all(|frame| frame["code"] == "not_joined"), "{answers:?}");
    bob.ping_app().await;

    quiet(&mut [&mut alice]).await;
    let sync = alice.sync().await;
    assert!(sync.num("currentTime") < 1.0);

    // Now with the right one, on the same socket.
    bob.pin = Some("754495".to_owned());
    bob.send_join().await;
    let state = bob.until("ROOM_STATE").await;
    assert_eq!(state["url"], "");
    assert_eq!(state.users(), [ALICE, BOB]);
}

#[tokio::test]
async fn p04_a_join_without_ids_is_refused_with_the_known_text() {
    let app = TestApp::start().await;
    let mut client = Client::connect(&app).await;
    for join in [
        json!({"type": "JOIN"}),
        json!({"type": "JOIN", "roomId": ROOM}),
        json!({"type": "JOIN", "userId": ALICE}),
        json!({"type": "JOIN", "roomId": "", "userId": ALICE}),
        json!({"type": "JOIN", "roomId": null, "userId": null}),
    ] {
        client.send(join).await;
        let error = client.expect_error("invalid_message").await;
        assert_eq!(error["message"], "Missing roomId or userId");
        client.ping().await;
    }
}

#[tokio::test]
async fn p05_join_again_on_the_same_socket() {
    let app = TestApp::start().await;
    let (mut alice, first) = Extension::join_with_pin(&app, ROOM, ALICE, "754495").await;
    let (mut bob, _) = Extension::join_with_pin(&app, ROOM, BOB, "754495").await;
    alice.expect("USER_JOINED").await;
    alice.url_change(FILM, 5000.0).await;
    alice.expect("URL_CHANGE").await;
    bob.expect("URL_CHANGE").await;

    let order = first.user(ALICE)["order"].clone();
    for fields in [json!({}), json!({"username": null, "pin": null}), json!({"pin": "999999"})] {
        let mut join = json!({"type": "JOIN", "roomId": ROOM, "userId": ALICE});
        for (key, value) in fields.as_object().unwrap() {
            join[key] = value.clone();
        }
        alice.client.send(join).await;
        let state = alice.expect("ROOM_STATE").await;
        assert_eq!(state["hostUserId"], ALICE);
        assert_eq!(state["url"], FILM);
        assert_eq!(state.users(), [ALICE, BOB]);
        assert_eq!(state.user(ALICE)["username"], "c0gch0c");
        assert_eq!(state.user(ALICE)["order"], order);
        let joined = bob.expect("USER_JOINED").await;
        assert_eq!(joined["userId"], ALICE);
        assert_eq!(joined["username"], "c0gch0c");
    }
    // Several within a moment, as pages load.
    for _ in 0..5 {
        alice.send_join().await;
    }
    for _ in 0..5 {
        alice.expect("ROOM_STATE").await;
        bob.expect("USER_JOINED").await;
    }
    // A new name is taken.
    alice.username = Some("Alicia".to_owned());
    alice.send_join().await;
    assert_eq!(alice.expect("ROOM_STATE").await.user(ALICE)["username"], "Alicia");
    assert_eq!(bob.expect("USER_JOINED").await["username"], "Alicia");
    quiet(&mut [&mut alice, &mut bob]).await;
}

#[tokio::test]
async fn p06_the_newest_socket_of_a_user_gets_the_frames() {
    let app = TestApp::start().await;
    let (mut old, mut bob) = pair(&app).await;
    let mut new = Extension::open(&app, ROOM, ALICE).await;
    new.send_join().await;
    let state = new.expect("ROOM_STATE").await;
    assert_eq!(state["hostUserId"], ALICE);
    assert_eq!(state.users(), [ALICE, BOB]);
    assert_eq!(bob.expect("USER_JOINED").await["userId"], ALICE);

    bob.offer(ALICE).await;
    assert_eq!(new.expect("OFFER").await["userId"], BOB);
    new.play_pause("play", 4.0).await;
    new.expect("PLAY_PAUSE").await;
    new.expect("PLAYBACK_ACK").await;
    bob.expect("PLAY_PAUSE").await;

    // The old one is open, answered, and out of the room.
    old.play_pause("pause", 5.0).await;
    old.expect_error("not_joined").await;
    old.ping_app().await;
    quiet(&mut [&mut bob, &mut new]).await;

    // Its end changes nothing, however it comes.
    old.client.close().await;
    quiet(&mut [&mut bob, &mut new]).await;
    new.play_pause("pause", 6.0).await;
    assert_eq!(bob.expect("PLAY_PAUSE").await["control"], "pause");

    let mut third = Extension::open(&app, ROOM, ALICE).await;
    third.send_join().await;
    assert_eq!(third.expect("ROOM_STATE").await["hostUserId"], ALICE);
    bob.expect("USER_JOINED").await;
    // The old one leaves in words.
    new.leave().await;
    third.ping_app().await;
    quiet(&mut [&mut bob, &mut third]).await;
}

#[tokio::test]
async fn p07_the_host_stays_host_over_a_short_disconnect() {
    let app = TestApp::start_with(&[("HOST_GRACE_SECONDS", "30")]).await;
    let (alice, mut bob) = pair(&app).await;
    alice.client.reset();
    let left = bob.expect("USER_LEFT").await;
    assert_eq!(left["userId"], ALICE);
    assert_eq!(left["reason"], "disconnected");
    bob.expect("LEAVE").await;
    let mut alice = Extension::open(&app, ROOM, ALICE).await;
    alice.send_join().await;
    assert_eq!(alice.expect("ROOM_STATE").await["hostUserId"], ALICE);
    assert_eq!(bob.expect("USER_JOINED").await["role"], "host");
    for member in [&mut alice, &mut bob] {
        assert_eq!(member.expect("HOST_CHANGED").await["hostUserId"], ALICE, "its crown went with its connection");
    }
    alice.play_pause("play", 1.0).await;
    alice.expect("PLAY_PAUSE").await;
    alice.expect("PLAYBACK_ACK").await;
    bob.expect("PLAY_PAUSE").await;
    quiet(&mut [&mut alice, &mut bob]).await;
}

#[tokio::test]
async fn p07_after_the_grace_another_is_host() {
    let app = TestApp::start_with(&[("HOST_GRACE_SECONDS", "0.3")]).await;
    let (alice, mut bob) = pair(&app).await;
    let mut carol = Extension::join(&app, ROOM, "user_carol1").await;
    bob.expect("USER_JOINED").await;
    alice.client.reset();
    for other in [&mut bob, &mut carol] {
        other.expect("USER_LEFT").await;
        other.expect("LEAVE").await;
        assert_eq!(other.expect("HOST_CHANGED").await["hostUserId"], BOB, "the longest present");
    }
    let mut alice = Extension::open(&app, ROOM, ALICE).await;
    alice.send_join().await;
    assert_eq!(alice.expect("ROOM_STATE").await["hostUserId"], BOB);
    alice.play_pause("play", 1.0).await;
    alice.expect_error("forbidden").await;
}

#[tokio::test]
async fn p08_an_empty_room_is_kept_with_all_it_has() {
    let app = TestApp::start_with(&[("HOST_GRACE_SECONDS", "0.1"), ("EMPTY_ROOM_SECONDS", "60")]).await;
    let (mut alice, _) = Extension::join_with_pin(&app, ROOM, ALICE, "754495").await;
    alice.url_change(FILM, 5000.0).await;
    alice.play_pause("pause", 77.25).await;
    alice.say(json!({"type": "TOGGLE_GUEST_CONTROL", "enabled": true})).await;
    alice.until("GUEST_CONTROL").await;
    let code = app.get(&format!("/api/short-id/{ROOM}")).await.json()["shortId"].clone();
    alice.client.reset();
    tokio::time::sleep(Duration::from_millis(500)).await;

    let mut wrong = Extension::open(&app, ROOM, BOB).await;
    wrong.send_join().await;
    wrong.expect_error("invalid_pin").await;

    let (alice, state) = Extension::join_with_pin(&app, ROOM, ALICE, "754495").await;
    assert_eq!(state["url"], FILM);
    assert!((state.num("currentTime") - 77.25).abs() < 1e-9);
    assert_eq!(state["isPlaying"], false);
    assert_eq!(state["guestControlEnabled"], true);
    assert_eq!(state["hostUserId"], ALICE);
    assert_eq!(app.get(&format!("/api/short-id/{ROOM}")).await.json()["shortId"], code);
    drop(alice);
}

#[tokio::test]
async fn p08_an_empty_room_is_forgotten_in_the_end() {
    let app = TestApp::start_with(&[("HOST_GRACE_SECONDS", "0.1"), ("EMPTY_ROOM_SECONDS", "0.3")]).await;
    let (mut alice, _) = Extension::join_with_pin(&app, ROOM, ALICE, "754495").await;
    alice.url_change(FILM, 5000.0).await;
    alice.until("URL_CHANGE").await;
    alice.leave().await;
    alice.closed().await;
    app.audit_until(&["--room", ROOM, "--type", "ROOM_CLOSED"], 1).await;
    // A new room of the old name: another PIN, no url, its first member is the host.
    let (_, state) = Extension::join_with_pin(&app, ROOM, BOB, "222222").await;
    assert_eq!(state["url"], "");
    assert_eq!(state["hostUserId"], BOB);
}

#[tokio::test]
async fn p11_and_p12_only_the_others_hear_of_a_newcomer() {
    let app = TestApp::start().await;
    let (mut alice, mut bob) = pair(&app).await;
    let mut carol = Extension::open(&app, ROOM, "user_carol1").await;
    carol.send_join().await;
    let state = carol.expect("ROOM_STATE").await;
    assert_eq!(state.users(), [ALICE, BOB, "user_carol1"]);
    for other in [&mut alice, &mut bob] {
        assert_eq!(other.expect("USER_JOINED").await["userId"], "user_carol1");
    }
    quiet(&mut [&mut alice, &mut bob, &mut carol]).await;
}

#[tokio::test]
async fn p18_every_kind_of_departure_is_announced() {
    let app = TestApp::start().await;
    let mut alice = Extension::join(&app, ROOM, ALICE).await;
    for way in ["leave", "close", "vanish", "reset", "kick", "move"] {
        let mut bob = Extension::join(&app, ROOM, &format!("user_{way}")).await;
        let joined = alice.expect("USER_JOINED").await;
        let mut reason = "disconnected";
        match way {
            "leave" => {
                reason = "left";
                bob.leave().await;
                let (frames, code) = bob.closed().await;
                assert_eq!(code, Some(1000));
                assert!(frames.iter().any(|frame| frame.is("USER_LEFT")), "to the leaver as well: {frames:?}");
            }
            "close" => bob.client.close().await,
            "vanish" => bob.client.vanish(),
            "reset" => bob.client.reset(),
            "kick" => {
                reason = "kicked";
                alice.say(json!({"type": "KICK", "targetUserId": bob.user})).await;
                assert_eq!(bob.closed().await.1, Some(4503));
            }
            _ => {
                bob.room = "another-room".to_owned();
                bob.send_join().await;
                let state = bob.until("ROOM_STATE").await;
                assert_eq!(state["roomId"], "another-room");
                // And nothing of the old room any more.
                assert_eq!(alice.expect("USER_LEFT").await["reason"], "left");
                alice.expect("LEAVE").await;
                alice.play_pause("play", 1.0).await;
                alice.expect("PLAY_PAUSE").await;
                assert!(bob.fence().await.is_empty());
                continue;
            }
        }
        let left = alice.expect("USER_LEFT").await;
        assert_eq!(left["userId"], joined["userId"]);
        assert_eq!(left["peerId"], joined["peerId"]);
        assert_eq!(left["reason"], reason);
        assert_eq!(alice.expect("LEAVE").await["userId"], joined["userId"]);
    }
}
