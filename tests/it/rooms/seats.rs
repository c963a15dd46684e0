//! The owner of a seat: the client with its token; for clients of the first generation the one with its address, or another one if the
//! socket no longer answers.

use std::time::Duration;

use serde_json::{Value, json};

use tandem_testkit::{
    Client, DEADLINE, Frame, TestApp,
    client::{Incoming, quiet},
};

const HOME: &str = "203.0.113.7";
const ELSEWHERE: &str = "198.51.100.1";
const PIN: &str = "739153";
/// A socket has three seconds for its pong.
const SOON: Duration = Duration::from_secs(30);

async fn app() -> TestApp {
    TestApp::start_with(&[("TRUST_PROXY_HOPS", "1"), ("RESUME_WINDOW_SECONDS", "1")]).await
}

async fn enter(app: &TestApp, address: &str, user: &str, features: Value) -> (Client, Frame) {
    let mut client = Client::connect_from(app, address).await;
    let state = client.enter("room", user, json!({"features": features, "pin": PIN})).await;
    (client, state)
}

/// Reads, and so answers pings, until the other one has its answer.
async fn alive<T>(client: &mut Client, other: impl Future<Output = T>) -> T {
    tokio::pin!(other);
    loop {
        tokio::select! {
            answer = &mut other => return answer,
            came = client.poll(DEADLINE) => assert!(!matches!(came, Some(Incoming::Closed(_))), "{}", client.history()),
        }
    }
}

#[tokio::test]
async fn a_seat_with_a_token_is_nobody_elses_from_the_same_address_either() {
    let app = app().await;
    let (mut host, state) = enter(&app, HOME, "user_host1", json!(["resume"])).await;
    let (mut guest, _) = enter(&app, HOME, "guest", json!([])).await;
    host.until("USER_JOINED").await;
    let wrong = "0123456789abcdef0123456789abcdef";
    for address in [HOME, ELSEWHERE] {
        for fields in [
            json!({"pin": PIN}),
            json!({"pin": PIN, "features": null}),
            json!({"pin": PIN, "features": []}),
            json!({"pin": PIN, "features": ["resume"]}),
            json!({"pin": PIN, "features": ["resume"], "resumeToken": wrong}),
        ] {
            let mut thief = Client::connect_from(&app, address).await;
            thief.send_join("room", "user_host1", fields).await;
            thief.expect_error("identity_in_use").await;
            thief.refused(json!({"type": "KICK", "targetUserId": "guest"}), "not_joined").await;
        }
    }
    quiet(&mut [&mut host, &mut guest]).await;
    host.acked(json!({"type": "PLAY_PAUSE", "control": "play"})).await;
    guest.expect("PLAY_PAUSE").await;
    // While it is away, too.
    host.reset();
    guest.until("MEMBER_AWAY").await;
    let mut thief = Client::connect_from(&app, HOME).await;
    thief.send_join("room", "user_host1", json!({"pin": PIN, "features": []})).await;
    thief.expect_error("identity_in_use").await;
    // Its token serves from anywhere; and after the window the name is free.
    let mut back = Client::connect_from(&app, ELSEWHERE).await;
    let token = state.str("resumeToken");
    let state = back.enter("room", "user_host1", json!({"features": ["resume"], "resumeToken": token})).await;
    assert_eq!(state["hostUserId"], "user_host1");
    guest.until("MEMBER_BACK").await;
    back.reset();
    guest.until("USER_LEFT").await;
    enter(&app, ELSEWHERE, "user_host1", json!([])).await;
}

#[tokio::test]
async fn a_living_socket_keeps_its_seat_from_another_address() {
    let app = app().await;
    for features in [Value::Null, json!([])] {
        let (mut host, _) = enter(&app, HOME, "user_host1", features).await;
        let mut thief = Client::connect_from(&app, ELSEWHERE).await;
        thief.send_join("room", "user_host1", json!({"pin": PIN, "features": []})).await;
        let error = alive(&mut host, thief.next()).await;
        assert_eq!(error["code"], "identity_in_use");
        host.acked(json!({"type": "PLAY_PAUSE", "control": "play"})).await;
        host.send(json!({"type": "LEAVE"})).await;
        host.closed().await;
    }
}

#[tokio::test]
async fn who_came_from_another_address_waits_for_its_place() {
    let app = app().await;
    let (mut host, _) = enter(&app, HOME, "user_host1", Value::Null).await;
    let mut moved = Client::connect_from(&app, ELSEWHERE).await;
    moved.send(json!({"type": "JOIN", "roomId": "room", "userId": "user_host1", "pin": PIN})).await;
    let error = alive(&mut host, moved.next()).await;
    assert_eq!(error["code"], "identity_in_use");
    // A PIN that is wrong is not worth a ping.
    let mut guesser = Client::connect_from(&app, ELSEWHERE).await;
    guesser.send(json!({"type": "JOIN", "roomId": "room", "userId": "user_host1", "pin": "000000"})).await;
    guesser.expect_error("invalid_pin").await;
    // Whenever it is tried again the old one answers.
    let waited = tokio::time::timeout(Duration::from_secs(6), alive(&mut host, moved.next())).await;
    assert!(waited.is_err(), "{waited:?}");
    host.send(json!({"type": "LEAVE"})).await;
    host.closed().await;
    let state = moved.until_within("ROOM_STATE", SOON).await;
    assert_eq!(state.users(), ["user_host1"]);
}

#[tokio::test]
async fn a_dead_sockets_seat_passes_with_all_that_belongs_to_it() {
    let app = app().await;
    // It never reads again, so no ping is answered: a network that is gone.
    let (mut dead, _) = enter(&app, HOME, "user_host1", Value::Null).await;
    let (mut guest, _) = enter(&app, HOME, "guest", json!([])).await;
    let mut moved = Client::connect_from(&app, ELSEWHERE).await;
    moved.send(json!({"type": "JOIN", "roomId": "room", "userId": "user_host1", "pin": PIN})).await;
    let state = moved.until_within("ROOM_STATE", SOON).await;
    assert_eq!((state.str("hostUserId"), state.users()), ("user_host1", vec!["user_host1", "guest"]));
    let joined = guest.until("USER_JOINED").await;
    assert_eq!((joined.str("userId"), joined.str("role")), ("user_host1", "host"));
    moved.send(json!({"type": "PLAY_PAUSE", "control": "play"})).await;
    guest.until("PLAY_PAUSE").await;
    // Should the old one live after all it is outside, and told so.
    dead.send(json!({"type": "PLAY_PAUSE", "control": "pause", "id": 1})).await;
    let answer = dead.collect_until(|frame| frame["id"] == 1, "the answer").await.pop().unwrap();
    assert_eq!(answer["code"], "not_joined");
    dead.reset();
    quiet(&mut [&mut guest]).await;
}

/// Comes in from home until it is let in.
async fn until_let_in(app: &TestApp, user: &str) -> Frame {
    let begun = std::time::Instant::now();
    loop {
        let mut client = Client::connect_from(app, HOME).await;
        client.send_join("room", user, json!({"features": ["resume"], "pin": PIN})).await;
        let answer = client.until_answered().await;
        if answer.is("ROOM_STATE") {
            return answer;
        }
        assert_eq!(answer["code"], "identity_in_use");
        assert!(begun.elapsed() < DEADLINE, "it is kept out by its own seat");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn who_never_got_its_token_is_not_kept_out_by_its_own_seat() {
    let app = TestApp::start_with(&[
        ("TRUST_PROXY_HOPS", "1"),
        ("RESUME_WINDOW_SECONDS", "3600"),
        ("PING_TIMEOUT_SECONDS", "1"),
    ])
    .await;
    let (mut host, _) = enter(&app, HOME, "host", json!([])).await;
    let join = json!({"features": ["resume"], "pin": PIN});
    for end in ["cut", "goodbye", "half open"] {
        let mut lost = Client::connect_from(&app, HOME).await;
        lost.send_join("room", "guest", join.clone()).await;
        host.until("USER_JOINED").await;
        // ROOM_STATE was sent, but is not read.
        let silent = match end {
            "cut" => {
                lost.reset();
                None
            }
            "goodbye" => {
                lost.close().await;
                None
            }
            _ => Some(lost.into_stream()),
        };
        let state = until_let_in(&app, "guest").await;
        assert!(state["resumeToken"].is_string(), "{end}");
        let left = host.until("USER_LEFT").await;
        assert_eq!(left["userId"], "guest", "{end}");
        drop(silent);
        host.until("USER_LEFT").await;
    }
}

#[tokio::test]
async fn who_has_its_token_keeps_its_seat_without_ever_saying_anything() {
    let app = TestApp::start_with(&[("TRUST_PROXY_HOPS", "1"), ("RESUME_WINDOW_SECONDS", "3600")]).await;
    let (mut host, _) = enter(&app, HOME, "host", json!([])).await;
    let (guest, _) = enter(&app, HOME, "guest", json!(["resume"])).await;
    guest.reset();
    host.until("MEMBER_AWAY").await;
    let mut thief = Client::connect_from(&app, HOME).await;
    thief.send_join("room", "guest", json!({"features": ["resume"], "pin": PIN})).await;
    thief.expect_error("identity_in_use").await;
    quiet(&mut [&mut host]).await;
}

#[tokio::test]
async fn a_socket_that_leaves_without_a_seat_is_let_go() {
    let app = app().await;
    let (mut first, _) = enter(&app, HOME, "user_host1", Value::Null).await;
    let (mut second, _) = enter(&app, HOME, "user_host1", Value::Null).await;
    // The second has its seat, silently.
    first.send(json!({"type": "LEAVE"})).await;
    let (frames, code) = first.closed().await;
    assert!(frames.iter().all(|frame| !frame.is("ERROR")), "{frames:?}");
    assert_eq!(code, Some(1000));
    second.acked(json!({"type": "PLAY_PAUSE", "control": "play"})).await;
}
