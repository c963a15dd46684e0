//! Locks, new PINs, bans and kicks.

use serde_json::{Value, json};

use tandem_testkit::{Client, Extension, Frame, TestApp, client::quiet};

/// A node behind a proxy, and a host at an address of its own.
async fn room(pin: Option<&str>) -> (TestApp, Client) {
    let app = TestApp::start_with(&[("TRUST_PROXY_HOPS", "1")]).await;
    let mut host = Client::connect_from(&app, "198.51.100.1").await;
    host.enter("room", "host", json!({"features": ["ack"], "pin": pin})).await;
    (app, host)
}

async fn come(app: &TestApp, address: &str, user: &str, fields: Value) -> (Client, Frame) {
    let mut client = Client::connect_from(app, address).await;
    client.send_join("room", user, fields).await;
    let answer = client.next().await;
    (client, answer)
}

#[tokio::test]
async fn a_locked_room_lets_nobody_in_but_its_own() {
    let (app, mut host) = room(None).await;
    let features = json!({"features": ["resume", "ack"]});
    let (mut guest, state) = come(&app, "203.0.113.1", "guest", features.clone()).await;
    assert_eq!((&state["locked"], &state["pinRequired"]), (&json!(false), &json!(false)));
    let mut older = Client::connect_from(&app, "203.0.113.2").await;
    older.send(json!({"type": "JOIN", "roomId": "room", "userId": "older"})).await;
    older.expect("ROOM_STATE").await;
    for client in [&mut host, &mut guest] {
        client.until("USER_JOINED").await;
    }
    guest.ping().await;
    host.acked(json!({"type": "LOCK_ROOM", "locked": true})).await;
    let told = guest.until("ROOM_LOCKED").await;
    assert_eq!((&told["locked"], told.str("userId")), (&json!(true), "host"));
    quiet(&mut [&mut older]).await;

    let (_, error) = come(&app, "203.0.113.3", "late", json!({"features": []})).await;
    assert_eq!((error.str("code"), &error["retryable"]), ("room_locked", &json!(true)));
    // A client of the first generation waits, as it does for a place.
    let (mut waiting, error) = come(&app, "203.0.113.4", "waiting", json!({})).await;
    assert_eq!(error.str("code"), "room_locked");

    guest.reset();
    host.until("MEMBER_AWAY").await;
    let mut back = Client::connect_from(&app, "203.0.113.9").await;
    back.send(json!({"type": "RESUME", "roomId": "room", "userId": "guest", "resumeToken": state["resumeToken"],
        "epoch": state["epoch"], "version": state["version"], "features": ["resume", "ack"]}))
        .await;
    back.until("RESUMED").await;

    host.acked(json!({"type": "LOCK_ROOM", "locked": false})).await;
    assert_eq!(waiting.until("ROOM_STATE").await["locked"], false);
}

#[tokio::test]
async fn a_new_pin_is_for_those_who_come_next() {
    let (app, mut host) = room(Some("123456")).await;
    let (mut guest, state) = come(&app, "203.0.113.1", "guest", json!({"features": ["ack"], "pin": "123456"})).await;
    assert_eq!(state["pinRequired"], true);
    guest.refused(json!({"type": "SET_PIN", "pin": null}), "forbidden").await;
    host.refused(json!({"type": "SET_PIN"}), "invalid_message").await;
    host.acked(json!({"type": "SET_PIN", "pin": "654321"})).await;
    let told = guest.until("PIN_CHANGED").await;
    assert_eq!((&told["pinRequired"], told.str("userId")), (&json!(true), "host"));
    let (_, error) = come(&app, "203.0.113.2", "late", json!({"features": [], "pin": "123456"})).await;
    assert_eq!(error.str("code"), "invalid_pin");
    assert!(come(&app, "203.0.113.3", "new", json!({"features": [], "pin": "654321"})).await.1.is("ROOM_STATE"));
    host.acked(json!({"type": "SET_PIN", "pin": null})).await;
    assert!(come(&app, "203.0.113.4", "open", json!({"features": []})).await.1.is("ROOM_STATE"));
    // Whoever is in is not asked.
    guest.send_join("room", "guest", json!({"features": ["ack"]})).await;
    guest.until("ROOM_STATE").await;
}

#[tokio::test]
async fn a_banned_user_stays_out_until_the_ban_is_lifted() {
    let (app, mut host) = room(None).await;
    let (mut pest, _) = come(&app, "203.0.113.1", "pest", json!({"features": ["resume"], "username": "Pest"})).await;
    host.until("USER_JOINED").await;
    host.acked(json!({"type": "BAN", "targetUserId": "pest", "reason": "spoilers"})).await;
    assert_eq!(pest.closed().await.1, Some(4503));
    for (address, user) in [("203.0.113.2", "pest"), ("203.0.113.1", "another")] {
        let (_, error) = come(&app, address, user, json!({"features": []})).await;
        assert_eq!((error.str("code"), &error["retryable"]), ("banned", &json!(false)), "{user} from {address}");
    }
    // What nobody can tell: another id at another address.
    let (mut back, _) = come(&app, "203.0.113.5", "somebody", json!({"features": ["ack"]})).await;
    back.refused(json!({"type": "LIST_BANS"}), "forbidden").await;
    host.send(json!({"type": "LIST_BANS"})).await;
    let list = host.until("BANS").await;
    assert_eq!(list["bans"].as_array().unwrap().len(), 1);
    let ban = &list["bans"][0];
    assert_eq!((&ban["userId"], &ban["username"], &ban["byAddress"]), (&json!("pest"), &json!("Pest"), &json!(true)));
    host.acked(json!({"type": "UNBAN", "targetUserId": "pest"})).await;
    assert!(come(&app, "203.0.113.1", "pest", json!({"features": []})).await.1.is("ROOM_STATE"));
    let kinds: Vec<_> =
        app.audit_until(&["--room", "room"], 9).await.into_iter().map(|event| event["event_type"].clone()).collect();
    for kind in ["USER_BANNED", "USER_KICKED", "USER_UNBANNED"] {
        assert!(kinds.contains(&json!(kind)), "{kinds:?}");
    }
}

#[tokio::test]
async fn a_kicked_impostor_does_not_shut_the_owner_out() {
    let (app, mut host) = room(None).await;
    let (mut impostor, _) = come(&app, "203.0.113.1", "ana", json!({"features": []})).await;
    host.until("USER_JOINED").await;
    host.send(json!({"type": "KICK", "targetUserId": "ana"})).await;
    impostor.closed().await;
    let (_, error) = come(&app, "203.0.113.1", "ana", json!({"features": []})).await;
    assert_eq!(error.str("code"), "forbidden");
    assert!(come(&app, "203.0.113.2", "ana", json!({"features": []})).await.1.is("ROOM_STATE"));
}

#[tokio::test]
async fn the_extension_is_not_told_of_locks_and_pins() {
    let app = TestApp::start().await;
    let mut host = Client::join_with(&app, "room", "user_host1", json!({"features": ["ack"]})).await.0;
    let mut older = Extension::join(&app, "room", "user_older").await;
    host.until("USER_JOINED").await;
    for frame in [
        json!({"type": "LOCK_ROOM", "locked": true}),
        json!({"type": "SET_PIN", "pin": "123456"}),
        json!({"type": "BAN", "targetUserId": "nobody"}),
    ] {
        host.acked(frame).await;
    }
    quiet(&mut [&mut older.client]).await;
}
