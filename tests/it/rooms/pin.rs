//! PINs: who gets in, and how many may be tried.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use tandem_testkit::{Client, Frame, TestApp, client::quiet};

async fn locked_room(app: &TestApp) -> Client {
    Client::join_with(app, "room", "host", json!({"features": [], "pin": "123456"})).await.0
}

async fn attempt(client: &mut Client, user: &str, pin: Value) -> Frame {
    client.send_join("room", user, json!({"features": [], "pin": pin})).await;
    client.next().await
}

#[tokio::test]
async fn only_the_right_pin_opens() {
    let app = TestApp::start().await;
    let mut host = locked_room(&app).await;
    for (user, pin) in [("a", json!("654321")), ("b", Value::Null), ("c", json!("1234567"))] {
        let mut client = Client::connect(&app).await;
        let error = attempt(&mut client, user, pin).await;
        assert_eq!((&error["code"], &error["message"]), (&json!("invalid_pin"), &json!("Invalid or missing PIN")));
        assert_eq!(error["retryable"], false);
        client.ping().await;
    }
    quiet(&mut [&mut host]).await;
    // Not to those who are in, even without one.
    host.enter("room", "host", json!({"features": []})).await;
    host.enter("room", "host", json!({"features": [], "pin": "000000"})).await;
}

#[tokio::test]
async fn a_room_without_a_pin_takes_any() {
    let app = TestApp::start().await;
    let _host = Client::join(&app, "room", "host").await;
    let mut guest = Client::connect(&app).await;
    assert!(attempt(&mut guest, "guest", json!("123456")).await.is("ROOM_STATE"));
    // And that did not set one.
    let mut other = Client::connect(&app).await;
    assert!(attempt(&mut other, "other", Value::Null).await.is("ROOM_STATE"));
}

#[tokio::test]
async fn two_first_joins_with_different_pins_make_one_room() {
    let app = TestApp::start().await;
    for round in 0..20 {
        let room = format!("room{round}");
        let (mut ana, mut ben) = (Client::connect(&app).await, Client::connect(&app).await);
        let first = ana.send_join(&room, "ana", json!({"pin": "111111"}));
        let second = ben.send_join(&room, "ben", json!({"pin": "222222"}));
        tokio::join!(first, second);
        let answers = [ana.next().await, ben.next().await];
        let admitted = answers.iter().filter(|answer| answer.is("ROOM_STATE")).count();
        let refused = answers.iter().filter(|answer| answer["code"] == "invalid_pin").count();
        assert_eq!((admitted, refused), (1, 1), "{answers:?}");
    }
}

#[tokio::test]
async fn guessing_from_many_addresses_gets_slower() {
    let app = TestApp::start_with(&[("TRUST_PROXY_HOPS", "1")]).await;
    let mut host = locked_room(&app).await;
    let mut sockets = Vec::new();
    for number in 0..8 {
        sockets.push(Client::connect_from(&app, &format!("203.0.113.{number}")).await);
    }
    let (mut evaluated, mut locked, mut waits) = (0, 0, Vec::new());
    let mut guess = 200_000;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(5) {
        for (number, socket) in sockets.iter_mut().enumerate() {
            guess += 1;
            let error = attempt(socket, &format!("guesser{number}"), json!(guess.to_string())).await;
            if error["code"] == "invalid_pin" {
                evaluated += 1;
            } else {
                assert_eq!((&error["code"], &error["retryable"]), (&json!("pin_locked"), &json!(true)), "{error:?}");
                locked += 1;
                waits.push(error.int("retryAfterMs"));
            }
        }
        sleep(Duration::from_millis(60)).await;
    }
    println!("{evaluated} evaluated, {locked} refused; waits {waits:?}");
    assert!(evaluated <= 10, "{evaluated} PINs were looked at in 5 s");
    assert!(evaluated >= 8 && locked > 0);
    // Members notice nothing.
    quiet(&mut [&mut host]).await;
    host.enter("room", "host", json!({"features": []})).await;
}

#[tokio::test]
async fn the_right_pin_has_to_wait_as_well() {
    let app = TestApp::start().await;
    let mut host = locked_room(&app).await;
    // Both come from one address.
    let (mut guesser, mut guest) = (Client::connect(&app).await, Client::connect(&app).await);
    // Until the wait is long enough for the guest to ask within it.
    loop {
        let error = attempt(&mut guesser, "guesser", json!("000000")).await;
        if error["code"] == "pin_locked" {
            let wait = error.int("retryAfterMs");
            if wait > 1_500 {
                break;
            }
            sleep(Duration::from_millis(wait + 20)).await;
        } else {
            assert_eq!(error["code"], "invalid_pin");
        }
    }
    let error = attempt(&mut guest, "guest", json!("123456")).await;
    assert_eq!(error["code"], "pin_locked");
    let wait = error.int("retryAfterMs");
    assert!((1..=10_000).contains(&wait), "{wait} ms");
    // A member needs none, and another room has nothing to do with it.
    host.enter("room", "host", json!({"features": []})).await;
    Client::join_with(&app, "another", "x", json!({"pin": "123456"})).await;
    sleep(Duration::from_millis(wait + 50)).await;
    let state = attempt(&mut guest, "guest", json!("123456")).await;
    assert!(state.is("ROOM_STATE"), "{state:?}");
}

#[tokio::test]
async fn a_friend_from_another_address_need_not_wait_for_a_guesser() {
    let app = TestApp::start_with(&[("TRUST_PROXY_HOPS", "1")]).await;
    let mut host = Client::connect_from(&app, "198.51.100.1").await;
    host.enter("room", "host", json!({"features": [], "pin": "123456"})).await;
    let mut guesser = Client::connect_from(&app, "203.0.113.1").await;
    let locked = loop {
        let error = attempt(&mut guesser, "guesser", json!("000000")).await;
        match error["retryAfterMs"].as_u64() {
            Some(wait) if wait > 1_500 => break error,
            wait => sleep(Duration::from_millis(wait.unwrap_or(0) + 20)).await,
        }
    };
    // The answer is the same for the right PIN.
    let right = attempt(&mut guesser, "guesser", json!("123456")).await;
    for field in ["code", "message", "retryable"] {
        assert_eq!(right[field], locked[field]);
    }
    let mut friend = Client::connect_from(&app, "192.0.2.1").await;
    assert!(attempt(&mut friend, "friend", json!("123456")).await.is("ROOM_STATE"));
}

#[tokio::test]
async fn the_pin_is_said_nowhere() {
    let app = TestApp::start_with(&[("LOG_LEVEL", "debug"), ("STATUS_DETAIL", "rooms")]).await;
    // No clock and no random number looks like them.
    let (pin, wrong) = ("pin739153x", "pin846205x");
    let (mut host, state) = Client::join_with(&app, "room", "host", json!({"features": ["resume"], "pin": pin})).await;
    let mut guest = Client::connect(&app).await;
    attempt(&mut guest, "guest", json!(wrong)).await;
    attempt(&mut guest, "guest", json!(pin)).await;
    host.expect("USER_JOINED").await;
    host.send(json!({"type": "OFFER", "to": "guest", "offer": {"sdp": "sdp-secret-text"}})).await;
    guest.expect("OFFER").await;
    let code = app.get("/api/short-id/room").await.json()["shortId"].as_str().unwrap().to_owned();
    app.get(&format!("/room/{code}/{pin}")).await;
    let token = state.str("resumeToken").to_owned();
    let events = app.audit_until(&["--room", "room"], 3).await;
    app.log_is_whole().await;
    let mut said = vec![serde_json::to_string(&events).unwrap(), app.log()];
    for path in ["/status", "/metrics", "/health", "/ready"] {
        said.push(app.get(path).await.body);
    }
    for file in std::fs::read_dir(app.ledger_file().parent().unwrap()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        // The room may be kept on disk, its PIN only as a hash.
        for secret in [pin, "sdp-secret-text", &token] {
            assert!(!text.contains(secret), "{secret} is in the data directory");
        }
    }
    for (place, text) in said.iter().enumerate() {
        for secret in [pin, wrong, "sdp-secret-text", &token] {
            assert!(!text.contains(secret), "{secret} is in place {place}: {text}");
        }
    }
}
