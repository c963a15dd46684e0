//! Tokens on real sockets: who comes in, as whom, with which rights, and for how long.

mod attacks;
mod hidden;
mod rights;

use std::time::Duration;

use serde_json::{Value, json};
use tandem::token::SigningKey;
use tandem_testkit::{
    Client, DEADLINE, Frame, Incoming, TestApp,
    client::{Connect, quiet},
    now_ms,
};

use crate::accounts::metric;

const SECRET: &str = "an-example-secret-of-forty-bytes-or-more";
/// The setting for it.
pub const KEYS: &str = "app=HS256:an-example-secret-of-forty-bytes-or-more";

/// A token of `user` for ten minutes, with more claims or other ones.
pub fn token(user: &str, more: &Value) -> String {
    let now = now_ms() / 1_000;
    let mut claims = json!({"sub": user, "iat": now, "exp": now + 600});
    for (name, value) in more.as_object().unwrap() {
        claims[name] = value.clone();
    }
    SigningKey::secret(Some("app"), SECRET.as_bytes()).unwrap().sign(&claims).unwrap()
}

async fn app(mode: &str, others: &[(&str, &str)]) -> TestApp {
    let mut settings = vec![("AUTH_MODE", mode), ("AUTH_KEYS", KEYS)];
    settings.extend(others);
    TestApp::start_with(&settings).await
}

fn with(token: &str) -> Value {
    json!({"features": ["ack"], "token": token})
}

/// The code of the ERROR that answers a JOIN, and the code with which the socket is closed, if it is.
async fn refused(app: &TestApp, user: &str, fields: Value) -> (String, Option<u16>) {
    let mut client = Client::connect(app).await;
    client.send_join("film", user, fields).await;
    let error = client.expect("ERROR").await;
    let closed = match client.poll(Duration::from_millis(300)).await {
        Some(Incoming::Closed(code)) => code,
        None => None,
        other => panic!("{other:?}"),
    };
    (error.str("code").to_owned(), closed)
}

/// The status, what the answer says, and its challenge.
async fn not_upgraded(app: &TestApp, how: Connect<'_>) -> (u16, String, Option<String>) {
    let answer = Client::try_connect(app, how).await.err().expect("no upgrade");
    let challenge = answer.headers().get("www-authenticate").map(|it| it.to_str().unwrap().to_owned());
    let body = String::from_utf8(answer.body().clone().unwrap_or_default()).unwrap();
    (answer.status().as_u16(), body, challenge)
}

fn member<'a>(state: &'a Frame, user: &str) -> &'a Value {
    let users = state["users"].as_array().unwrap();
    users.iter().find(|it| it["userId"] == user).unwrap_or_else(|| panic!("{user} in {state:?}"))
}

#[tokio::test]
async fn a_token_says_who_comes_in() {
    let app = app("token", &[]).await;
    let unauthorized = || ("unauthorized".to_owned(), Some(4501));
    assert_eq!(refused(&app, "ana", json!({"features": []})).await, unauthorized());
    let expired = token("ana", &json!({"exp": now_ms() / 1_000 - 100}));
    assert_eq!(refused(&app, "ana", with(&expired)).await, ("unauthorized".to_owned(), Some(4502)));
    let forged = format!("{}x", token("ana", &json!({})));
    assert_eq!(refused(&app, "ana", with(&forged)).await, unauthorized());
    let forbidden = || ("forbidden".to_owned(), None);
    assert_eq!(refused(&app, "ben", with(&token("ana", &json!({})))).await, forbidden(), "it is ana's");
    assert_eq!(refused(&app, "ana", with(&token("ana", &json!({"room": "other"})))).await, forbidden());
    assert_eq!(refused(&app, "ana", with(&token("ana", &json!({"rights": ["control"]})))).await, forbidden());

    let mut ben = Client::connect(&app).await;
    ben.enter("film", "ben", with(&token("ben", &json!({"rooms": ["fi*"]})))).await;
    let claims = json!({"name": "Ana \u{2615}", "metadata": {"team": "red"}, "device": "phone"});
    let mut ana = Client::connect(&app).await;
    let state = ana.enter("film", "ana", with(&token("ana", &claims))).await;
    let shown = member(&state, "ana#phone");
    assert_eq!(
        (&shown["username"], &shown["verified"], &shown["metadata"]["team"]),
        (&json!("Ana \u{2615}"), &json!(true), &json!("red"))
    );
    let joined = ben.expect("USER_JOINED").await;
    assert_eq!(
        (&joined["userId"], &joined["verified"], &joined["metadata"]["team"]),
        (&json!("ana#phone"), &json!(true), &json!("red"))
    );
    ana.send(json!({"type": "UPDATE_USERNAME", "username": "Ben", "id": 1})).await;
    ana.expect_error("forbidden").await;
    assert_eq!(metric(&app, "tandem_tokens_refused_total{why=\"no_token\"}").await, 1);
    assert_eq!(metric(&app, "tandem_tokens_refused_total{why=\"other_room\"}").await, 1);
}

#[tokio::test]
async fn rights_limit_signals_and_messages_too() {
    let app = app("token", &[]).await;
    let mut ana = Client::connect(&app).await;
    ana.enter("film", "ana", with(&token("ana", &json!({})))).await;
    let mut mute = Client::connect(&app).await;
    mute.enter("film", "mute", with(&token("mute", &json!({"rights": ["join"]})))).await;
    ana.expect("USER_JOINED").await;
    for frame in [
        json!({"type": "OFFER", "to": "ana", "offer": {}}),
        json!({"type": "BYE", "to": "ana"}),
        json!({"type": "BROADCAST", "event": "e"}),
        json!({"type": "BROADCAST", "event": "e", "to": "ana"}),
    ] {
        mute.send(frame).await;
        mute.expect_error("forbidden").await;
    }
    quiet(&mut [&mut ana]).await;
}

#[tokio::test]
async fn a_host_by_token_leads_and_guests_are_guests() {
    let app = app("mixed", &[("AUTH_GUEST_RIGHTS", "signal")]).await;
    let mut guest = Client::connect(&app).await;
    let state = guest.enter("film", "guest", json!({"features": ["ack"]})).await;
    assert_eq!(state["hostUserId"], "guest", "nobody else is there");
    assert_eq!(member(&state, "guest").get("verified"), None);
    guest.send(json!({"type": "PLAY_PAUSE", "control": "play"})).await;
    guest.expect_error("forbidden").await;
    let mut ana = Client::connect(&app).await;
    let state = ana.enter("film", "ana", with(&token("ana", &json!({"role": "host"})))).await;
    assert_eq!(state["hostUserId"], "ana");
    guest.expect("USER_JOINED").await;
    assert_eq!(guest.expect("HOST_CHANGED").await["hostUserId"], "ana");
    // Who came in without a token did not prove who they are, and a token shown later does not either: it may be found.
    let found = token("guest", &json!({"role": "host"}));
    guest.send(json!({"type": "REFRESH_TOKEN", "token": found, "id": "found"})).await;
    guest.expect_error("forbidden").await;
    // A guest cannot be somebody whom a token names.
    assert_eq!(refused(&app, "ana", json!({"features": []})).await.0, "identity_in_use");
    guest.send(json!({"type": "OFFER", "to": "ana", "offer": {}})).await;
    ana.until("OFFER").await;
}

#[tokio::test]
async fn open_mode_looks_at_no_token() {
    let app = TestApp::start().await;
    let (_ana, state) = Client::join_with(&app, "film", "ana", with("nonsense")).await;
    assert_eq!(member(&state, "ana").get("verified"), None);
    let how = Connect { headers: &[("Authorization", "Bearer nonsense")], ..Connect::default() };
    Client::connect_with(&app, how).await.enter("film", "ben", json!({"features": []})).await;
}

#[tokio::test]
async fn a_client_is_told_in_time_and_shows_a_new_token() {
    let app = app("token", &[]).await;
    let soon = |seconds: u64| json!({"exp": now_ms() / 1_000 + seconds});
    let mut ana = Client::connect(&app).await;
    ana.enter("film", "ana", with(&token("ana", &soon(4)))).await;
    let mut lazy = Client::connect(&app).await;
    lazy.enter("film", "lazy", with(&token("lazy", &soon(3)))).await;
    let told = ana.until("TOKEN_EXPIRING").await;
    assert!(told["expiresAt"].as_u64().unwrap() > now_ms(), "{told:?}");
    ana.send(json!({"type": "REFRESH_TOKEN", "token": token("ben", &json!({})), "id": 1})).await;
    assert_eq!(ana.until("ERROR").await["code"], "forbidden", "somebody else's");
    ana.send(json!({"type": "REFRESH_TOKEN", "token": token("ana", &json!({"role": "member"})), "id": 2})).await;
    ana.until("ACK").await;
    let until = tokio::time::Instant::now() + DEADLINE;
    let closed = loop {
        assert!(tokio::time::Instant::now() < until);
        if let Some(Incoming::Closed(code)) = lazy.poll(DEADLINE).await {
            break code;
        }
    };
    assert_eq!(closed, Some(4502));
    // The first token has expired meanwhile; the second holds.
    tokio::time::sleep(Duration::from_secs(2)).await;
    ana.send(json!({"type": "REQUEST_SYNC"})).await;
    ana.until("SYNC_RESPONSE").await;
}

#[tokio::test]
async fn a_token_comes_by_header_subprotocol_or_url() {
    let app = app("token", &[("AUTH_URL_TOKEN", "true")]).await;
    let ana = token("ana", &json!({"room": "film"}));
    let bearer = format!("Bearer {ana}");
    let offered = format!("tandem, tandem.bearer.{ana}");
    let path = format!("/ws?token={ana}");
    for how in [
        Connect { headers: &[("Authorization", &bearer)], ..Connect::default() },
        Connect { headers: &[("Sec-WebSocket-Protocol", &offered)], ..Connect::default() },
        Connect { path: Some(&path), ..Connect::default() },
    ] {
        let mut client = Client::connect_with(&app, how).await;
        let selected = client.handshake.iter().find(|(name, _)| name == "sec-websocket-protocol");
        let offers = how.headers.iter().any(|(name, _)| *name == "Sec-WebSocket-Protocol");
        assert_eq!(selected.map(|(_, value)| value.as_str()), offers.then_some("tandem"));
        let state = client.enter("film", "ana", json!({"features": []})).await;
        assert_eq!(member(&state, "ana")["verified"], true);
        client.close().await;
    }
    let other = format!("Bearer {}", token("ben", &json!({})));
    for (how, error) in [
        (Connect { headers: &[("Authorization", "Bearer x.y.z")], ..Connect::default() }, true),
        (Connect { headers: &[("Authorization", &other)], path: Some(&path), ..Connect::default() }, true),
        (Connect { path: Some("/ws?room=film&user=ana"), ..Connect::default() }, false),
    ] {
        let (status, body, challenge) = not_upgraded(&app, how).await;
        assert_eq!((status, challenge.unwrap().contains("invalid_token")), (401, error), "{body}");
    }
    assert_eq!(metric(&app, "tandem_upgrades_refused_total{reason=\"token\"}").await, 3);
}

#[tokio::test]
async fn a_token_in_the_url_is_accepted_only_by_setting() {
    let app = app("token", &[]).await;
    let path = format!("/ws?token={}", token("ana", &json!({})));
    let (status, body, _) = not_upgraded(&app, Connect { path: Some(&path), ..Connect::default() }).await;
    assert_eq!(status, 401);
    assert!(body.contains("AUTH_URL_TOKEN"), "{body}");
}

#[tokio::test]
async fn a_url_joins_by_itself_and_comes_back() {
    let app = TestApp::start().await;
    let mut host = Client::join(&app, "film night", "host").await;
    let path = "/ws?room=film%20night&user=ana&name=Ana&features=resume,ack";
    let mut ana = Client::connect_with(&app, Connect { path: Some(path), ..Connect::default() }).await;
    let state = ana.expect("ROOM_STATE").await;
    assert_eq!((&member(&state, "ana")["username"], &state["features"]), (&json!("Ana"), &json!(["resume", "ack"])));
    host.expect("USER_JOINED").await;
    // The pong shows that the token arrived.
    ana.send(json!({"type": "REQUEST_SYNC"})).await;
    ana.expect("SYNC_RESPONSE").await;
    ana.reset();
    host.expect("MEMBER_AWAY").await;
    host.send(json!({"type": "BROADCAST", "event": "missed"})).await;
    host.expect("BROADCAST").await;
    let resume =
        format!("{path}&resume={}&epoch={}&version={}", state.str("resumeToken"), state.int("epoch"), state.version());
    let mut ana = Client::connect_with(&app, Connect { path: Some(&resume), ..Connect::default() }).await;
    ana.expect("RESUMED").await;
    assert_eq!(ana.until("BROADCAST").await["event"], "missed");
    host.expect("MEMBER_BACK").await;
    // The seat is gone by now, and the same URL joins anew.
    ana.send(json!({"type": "LEAVE"})).await;
    host.until("USER_LEFT").await;
    let mut ana = Client::connect_with(&app, Connect { path: Some(&resume), ..Connect::default() }).await;
    ana.expect_error("not_joined").await;
    ana.expect("ROOM_STATE").await;
}

#[tokio::test]
async fn a_refusal_can_be_told_by_a_close() {
    let app = app("token", &[("ALLOWED_ORIGINS", "https://good.example"), ("AUTH_URL_TOKEN", "true")]).await;
    let good = [("Origin", "https://good.example")];
    let evil = [("Origin", "https://evil.example")];
    let expired = format!("/ws?refuse=close&token={}", token("ana", &json!({"exp": now_ms() / 1_000 - 100})));
    for (path, headers, code, closed) in [
        ("/ws?refuse=close&room=film&user=ana", &good, "unauthorized", 4501),
        ("/ws?refuse=close&token=x.y.z", &good, "unauthorized", 4501),
        (expired.as_str(), &good, "unauthorized", 4502),
        ("/ws?refuse=close", &evil, "forbidden", 4503),
    ] {
        let mut client = Client::connect_with(&app, Connect { path: Some(path), headers, ..Connect::default() }).await;
        client.expect_error(code).await;
        assert_eq!(client.closed().await.1, Some(closed), "{path}");
    }
    let (status, ..) = not_upgraded(&app, Connect { headers: &evil, ..Connect::default() }).await;
    assert_eq!(status, 403);
}

#[tokio::test]
async fn a_resume_needs_the_token_again() {
    let app = app("token", &[]).await;
    let mut ana = Client::connect(&app).await;
    let state = ana.enter("film", "ana", json!({"features": ["resume"], "token": token("ana", &json!({}))})).await;
    ana.reset();
    let resume = json!({"type": "RESUME", "roomId": "film", "userId": "ana", "resumeToken": state["resumeToken"],
        "epoch": state["epoch"], "version": state["version"]});
    let mut client = Client::connect(&app).await;
    client.send(resume.clone()).await;
    client.expect_error("unauthorized").await;
    assert_eq!(client.closed().await.1, Some(4501));
    let mut client = Client::connect(&app).await;
    let mut resume = resume;
    resume["token"] = token("ana", &json!({})).into();
    client.send(resume).await;
    client.expect("RESUMED").await;
}
