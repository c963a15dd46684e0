//! Invitations: who may enter with one, as what, and how often.

use serde_json::{Value, json};
use tandem_testkit::{Client, TestApp, client::Connect};

use crate::{
    accounts::metric,
    tokens::{KEYS, token},
};

async fn invite(app: &TestApp, args: &[&str]) -> String {
    let made = app.run(&[&["token", "invite", "--room", "film"], args].concat()).await;
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    made.stdout.trim().to_owned()
}

fn with(invitation: &str) -> Value {
    json!({"features": ["resume", "ack"], "invite": invitation})
}

async fn refused(app: &TestApp, user: &str, fields: Value) -> (String, String) {
    let mut client = Client::connect(app).await;
    client.send_join("film", user, fields).await;
    let error = client.expect("ERROR").await;
    (error.str("code").to_owned(), error.str("message").to_owned())
}

/// The status and the text of an upgrade that was refused.
async fn not_upgraded(app: &TestApp, path: &str) -> (u16, String) {
    let how = Connect { path: Some(path), ..Connect::default() };
    let answer = Client::try_connect(app, how).await.err().expect("no upgrade");
    (answer.status().as_u16(), String::from_utf8(answer.body().clone().unwrap_or_default()).unwrap())
}

/// A room with a PIN, and its host.
async fn film(app: &TestApp) -> Client {
    let mut host = Client::connect(app).await;
    host.enter("film", "host", json!({"features": ["resume"], "pin": "123456"})).await;
    host
}

#[tokio::test]
async fn an_invitation_opens_its_room_without_the_pin_and_gives_its_role() {
    let app = TestApp::start().await;
    let mut host = film(&app).await;
    assert_eq!(refused(&app, "eve", json!({"features": []})).await.0, "invalid_pin");
    let invitation = invite(&app, &["--role", "co-host", "--rights", "join,control"]).await;
    let mut ana = Client::connect(&app).await;
    let state = ana.enter("film", "ana", with(&invitation)).await;
    assert_eq!(host.expect("USER_JOINED").await["role"], "co-host");
    ana.send(json!({"type": "KICK", "targetUserId": "host", "id": 1})).await;
    ana.expect_error("forbidden").await;
    ana.send(json!({"type": "BROADCAST", "event": "x", "id": 2})).await;
    assert_eq!(ana.until("ERROR").await["code"], "forbidden", "its rights are limited");
    // It comes back with its resume token alone, as what it was.
    ana.reset();
    host.expect("MEMBER_AWAY").await;
    let mut ana = Client::connect(&app).await;
    ana.send(json!({"type": "RESUME", "roomId": "film", "userId": "ana", "resumeToken": state["resumeToken"],
        "epoch": state["epoch"], "version": state["version"]}))
        .await;
    ana.until("RESUMED").await;
    ana.send(json!({"type": "BROADCAST", "event": "x", "id": 2})).await;
    assert_eq!(ana.until("ERROR").await["code"], "forbidden");
    ana.send(json!({"type": "PLAY_PAUSE", "control": "play", "id": 3})).await;
    ana.until("ACK").await;
}

#[tokio::test]
async fn uses_are_counted_by_user_and_only_for_those_who_come_in() {
    let app = TestApp::start_with(&[("ROOM_MAX_MEMBERS", "3")]).await;
    let mut host = film(&app).await;
    let invitation = invite(&app, &["--uses", "1"]).await;
    // Nothing is used by looking at it.
    app.run(&["token", "verify", &invitation]).await;
    for method in ["GET", "HEAD"] {
        assert_eq!(app.http(method, &format!("/ws?invite={invitation}&user=ana"), &[]).await.status, 426);
    }
    // Nor by whoever is not let in.
    let mut others = Vec::new();
    for user in ["ben", "cid"] {
        let mut client = Client::connect(&app).await;
        client.enter("film", user, json!({"features": ["resume"], "pin": "123456"})).await;
        others.push(client);
    }
    assert_eq!(refused(&app, "eve", with(&invitation)).await.0, "room_full");
    others.remove(0).send(json!({"type": "LEAVE"})).await;
    host.until("USER_LEFT").await;
    let mut ana = Client::connect(&app).await;
    ana.enter("film", "ana", with(&invitation)).await;
    others.remove(0).send(json!({"type": "LEAVE"})).await;
    let (code, text) = refused(&app, "eve", with(&invitation)).await;
    assert_eq!(code, "invalid_invitation", "it is used up");
    assert!(text.contains("as often"), "{text}");
    // Whoever has used it comes back with it: a page that is loaded again is no second guest.
    ana.send(json!({"type": "LEAVE"})).await;
    host.until("USER_LEFT").await;
    Client::connect(&app).await.enter("film", "ana", with(&invitation)).await;
    assert_eq!(metric(&app, "tandem_invitations_refused_total{why=\"spent\"}").await, 1);
}

#[tokio::test]
async fn a_url_with_an_invitation_is_enough() {
    let app = TestApp::start().await;
    film(&app).await;
    let invitation = invite(&app, &["--ttl", "1h"]).await;
    let path = format!("/ws?invite={invitation}&user=ana&name=Ana");
    let mut ana = Client::connect_with(&app, Connect { path: Some(&path), ..Connect::default() }).await;
    assert_eq!(ana.expect("ROOM_STATE").await["roomId"], "film");

    let altered = {
        let mut parts: Vec<&str> = invitation.split('.').collect();
        let other = invite(&app, &["--role", "host"]).await;
        parts[1] = other.split('.').nth(1).unwrap();
        parts.join(".")
    };
    let (status, text) = not_upgraded(&app, &format!("/ws?invite={altered}&user=eve")).await;
    assert_eq!((status, text.contains("signature")), (404, true), "{text}");
    let (status, _) = not_upgraded(&app, "/ws?invite=nonsense&user=eve").await;
    assert_eq!(status, 404);
    // A page sees no status.
    let path = format!("/ws?refuse=close&invite={altered}&user=eve");
    let mut eve = Client::connect_with(&app, Connect { path: Some(&path), ..Connect::default() }).await;
    eve.expect_error("invalid_invitation").await;
    assert_eq!(eve.closed().await.1, Some(4503));
    // For another room than that which the URL names.
    let path = format!("/ws?invite={invitation}&user=eve&room=other");
    let mut eve = Client::connect_with(&app, Connect { path: Some(&path), ..Connect::default() }).await;
    eve.expect_error("invalid_invitation").await;
    // A token is none, and an invitation is no token.
    assert_eq!(refused(&app, "eve", with(&token("eve", &json!({"room": "film"})))).await.0, "invalid_invitation");
}

#[tokio::test]
async fn in_token_mode_an_invitation_is_no_identity() {
    let app = TestApp::start_with(&[("AUTH_MODE", "token"), ("AUTH_KEYS", KEYS)]).await;
    let invitation = invite(&app, &["--role", "co-host"]).await;
    assert_eq!(refused(&app, "eve", with(&invitation)).await.0, "unauthorized");
    let (status, _) = not_upgraded(&app, &format!("/ws?invite={invitation}&user=eve")).await;
    assert_eq!(status, 401);
    let mut host = Client::connect(&app).await;
    host.enter("film", "host", json!({"features": [], "token": token("host", &json!({"role": "host"}))})).await;
    let mut ana = Client::connect(&app).await;
    let mut fields = with(&invitation);
    fields["token"] = token("ana", &json!({})).into();
    ana.enter("film", "ana", fields).await;
    let joined = host.expect("USER_JOINED").await;
    assert_eq!((&joined["role"], &joined["verified"]), (&json!("co-host"), &json!(true)));
}

#[tokio::test]
async fn an_invitation_is_worth_nothing_on_the_way_around_its_check() {
    // A JOIN beyond the budget waits, and is tried again by the node; one with an invitation does not.
    let app = TestApp::start_with(&[("MESSAGES_PER_SECOND", "12"), ("MESSAGE_BURST", "12")]).await;
    film(&app).await;
    let mut eve = Client::connect(&app).await;
    for _ in 0..12 {
        eve.send(json!({"type": "JOIN", "roomId": "film", "userId": "eve", "invite": "forged"})).await;
    }
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(8);
    let mut codes = Vec::new();
    while let Ok(frame) = tokio::time::timeout_at(deadline, eve.next()).await {
        assert_eq!(frame["type"], "ERROR", "{frame:?}");
        codes.push(frame.str("code").to_owned());
    }
    assert!(codes.contains(&"rate_limited".to_owned()), "{codes:?}");
    assert!(codes.contains(&"invalid_invitation".to_owned()), "{codes:?}");
}

#[tokio::test]
async fn a_link_carries_the_invitation_where_no_server_sees_it() {
    let app = TestApp::start().await;
    let link = invite(&app, &["--link", "https://tandem.example.org/"]).await;
    let invitation = link.strip_prefix("https://tandem.example.org/#invite=").expect(&link);
    let mut ana = Client::connect(&app).await;
    ana.enter("film", "ana", with(invitation)).await;
    let refused = app.run(&["token", "invite", "--room", "film", "--ttl", "8d"]).await;
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("AUTH_MAX_LIFETIME_SECONDS"), "{}", refused.stderr);
}
