//! A first-generation client that is refused by something that passes by itself is let in when that has passed, though it never asks again.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use tandem_testkit::{Client, Extension, Frame, TestApp, client::quiet};

/// The node tries again every five seconds, whatever it hears.
const SOON: Duration = Duration::from_secs(40);

/// A first-generation JOIN that has no PIN, and its answer.
async fn ask(client: &mut Client, room: &str, user: &str, pin: Value) -> Frame {
    client.send(json!({"type": "JOIN", "roomId": room, "userId": user, "username": user, "pin": pin})).await;
    client.until_answered().await
}

#[tokio::test]
async fn a_full_room_lets_the_next_one_in() {
    let app = TestApp::start_with(&[("ROOM_MAX_MEMBERS", "2")]).await;
    let _host = Extension::join(&app, "room", "user_host1").await;
    let mut guest = Extension::join(&app, "room", "user_guest").await;
    let (mut next, mut other) = (Client::connect(&app).await, Client::connect(&app).await);
    for (client, user) in [(&mut next, "user_next1"), (&mut other, "user_other")] {
        let error = ask(client, "room", user, Value::Null).await;
        assert_eq!((error.str("code"), &error["retryable"]), ("room_full", &json!(true)));
        // It is outside of the room like any other client, and gets answers.
        client.send(json!({"type": "REQUEST_SYNC"})).await;
        client.expect_error("not_joined").await;
        client.ping().await;
    }
    guest.leave().await;
    guest.closed().await;
    // One seat is for one of them.
    let states = tokio::select! {
        state = next.until_within("ROOM_STATE", SOON) => state,
        state = other.until_within("ROOM_STATE", SOON) => state,
    };
    assert_eq!(states.users().len(), 2);
    assert_eq!(states.users()[0], "user_host1");
}

#[tokio::test]
async fn whose_place_was_taken_gets_it_when_it_is_free() {
    let app = TestApp::start_with(&[("TRUST_PROXY_HOPS", "1"), ("RESUME_WINDOW_SECONDS", "0.3")]).await;
    let mut host = Client::connect_from(&app, "203.0.113.1").await;
    host.enter("room", "host", json!({"features": []})).await;
    let mut holder = Client::connect_from(&app, "203.0.113.7").await;
    holder.enter("room", "user_ana01", json!({"features": ["resume"]})).await;
    host.expect("USER_JOINED").await;
    let mut moved = Client::connect_from(&app, "198.51.100.1").await;
    let error = ask(&mut moved, "room", "user_ana01", Value::Null).await;
    assert_eq!(error["code"], "identity_in_use");
    quiet(&mut [&mut host, &mut holder]).await;
    holder.reset();
    let state = moved.until_within("ROOM_STATE", SOON).await;
    assert_eq!(state.users(), ["host", "user_ana01"]);
}

/// Wrong PINs until the next one has to wait for so long.
async fn lock(app: &TestApp, room: &str, ms: u64) -> u64 {
    let mut guesser = Client::connect(app).await;
    loop {
        guesser.send_join(room, "guesser", json!({"features": [], "pin": "000000"})).await;
        let error = guesser.expect("ERROR").await;
        if error["code"] == "invalid_pin" {
            continue;
        }
        let wait = error.int("retryAfterMs");
        if wait > ms {
            return wait;
        }
        sleep(Duration::from_millis(wait + 20)).await;
    }
}

#[tokio::test]
async fn a_locked_pin_opens_by_itself_and_its_retries_guess_nothing() {
    let app = TestApp::start().await;
    let mut host = Client::join_with(&app, "room", "host", json!({"features": [], "pin": "123456"})).await.0;
    lock(&app, "room", 2_500).await;
    let (mut right, mut wrong) = (Client::connect(&app).await, Client::connect(&app).await);
    assert_eq!(ask(&mut right, "room", "user_right", json!("123456")).await["code"], "pin_locked");
    let state = right.until_within("ROOM_STATE", SOON).await;
    assert_eq!(state.users(), ["host", "user_right"]);
    host.until("USER_JOINED").await;

    // A wrong one is looked at once, counted, and that is the end of it.
    lock(&app, "room", 2_500).await;
    assert_eq!(ask(&mut wrong, "room", "user_wrong", json!("654321")).await["code"], "pin_locked");
    let error = wrong.until_within("ERROR", SOON).await;
    assert_eq!(error["code"], "invalid_pin");
    let next = lock(&app, "room", 0).await;
    assert!(next > 2_500, "it was counted: {next} ms");
    let more = wrong.during(Duration::from_secs(6)).await;
    assert!(more.is_empty(), "{more:?}");
}

#[tokio::test]
async fn a_join_beyond_the_budget_is_granted_later() {
    let app = TestApp::start_with(&[("MESSAGES_PER_SECOND", "1"), ("MESSAGE_BURST", "10")]).await;
    let mut ana = Extension::join(&app, "first", "user_ana01").await;
    ana.room = "second".to_owned();
    // Coming in costs ten, and there are none.
    ana.send_join().await;
    let error = ana.until("ERROR").await;
    assert_eq!(error["code"], "rate_limited");
    assert!(error.int("retryAfterMs") > 0);
    assert_eq!(ana.until_within("ROOM_STATE", SOON).await["roomId"], "second");
    // A JOIN after a flood, which was not decided yet.
    let app = TestApp::start_with(&[("MESSAGES_PER_SECOND", "20"), ("MESSAGE_BURST", "100")]).await;
    let mut ben = Extension::join(&app, "first", "user_ben01").await;
    let flood = (0..290).map(|_| json!({"type": "POSITION_UPDATE", "currentTime": 1, "isPlaying": true}));
    let join = json!({"type": "JOIN", "roomId": "second", "userId": "user_ben01"});
    ben.client.send_at_once(flood.chain([join])).await;
    assert_eq!(ben.until_within("ROOM_STATE", SOON).await["roomId"], "second");
}

#[tokio::test]
async fn only_what_passes_by_itself_is_waited_for_and_only_by_the_first_generation() {
    let app = TestApp::start_with(&[("ROOM_MAX_MEMBERS", "2")]).await;
    let (mut host, _) = Client::join_with(&app, "room", "host", json!({"features": [], "pin": "123456"})).await;
    let mut guest = Client::join_with(&app, "room", "guest", json!({"features": [], "pin": "123456"})).await.0;
    host.until("USER_JOINED").await;
    let mut client = Client::connect(&app).await;
    let join = |user: &str, pin: &str| json!({"type": "JOIN", "roomId": "room", "userId": user, "pin": pin});
    let mut modern = join("carl", "123456");
    modern["features"] = json!([]);
    for (frame, code) in [
        (join("carl", "000000"), "invalid_pin"),
        (json!({"type": "JOIN", "roomId": "room"}), "invalid_message"),
        (modern, "room_full"),
    ] {
        client.send(frame).await;
        client.expect_error(code).await;
    }
    // A kicked member is not admitted when there is room.
    host.send(json!({"type": "KICK", "targetUserId": "guest"})).await;
    guest.closed().await;
    client.send(join("guest", "123456")).await;
    client.expect_error("forbidden").await;
    let frames = client.during(Duration::from_secs(6)).await;
    assert!(frames.is_empty(), "{frames:?}");
}

#[tokio::test]
async fn a_later_word_replaces_what_waits() {
    let app = TestApp::start_with(&[("ROOM_MAX_MEMBERS", "1")]).await;
    let mut host = Extension::join(&app, "room", "user_host1").await;
    let mut sockets = Vec::new();
    for number in 0..4 {
        let mut client = Client::connect(&app).await;
        let error = ask(&mut client, "room", &format!("user_{number}"), Value::Null).await;
        assert_eq!(error["code"], "room_full");
        sockets.push(client);
    }
    let [mut elsewhere, mut gone, mut asks_otherwise, mut closed] = <[Client; 4]>::try_from(sockets).ok().unwrap();
    elsewhere.enter("another", "user_0", json!({})).await;
    gone.send(json!({"type": "LEAVE"})).await;
    gone.expect_error("not_joined").await;
    asks_otherwise
        .send(json!({"type": "RESUME", "roomId": "room", "userId": "user_2", "resumeToken": "t", "epoch": 1,
        "version": 1}))
        .await;
    asks_otherwise.expect_error("not_joined").await;
    closed.ping().await;
    closed.close().await;
    host.leave().await;
    host.closed().await;
    for client in [&mut elsewhere, &mut gone, &mut asks_otherwise] {
        let frames = client.during(Duration::from_secs(6)).await;
        assert!(frames.is_empty(), "{frames:?}");
    }
    // The seat is free.
    Client::join(&app, "room", "user_other").await;
}
