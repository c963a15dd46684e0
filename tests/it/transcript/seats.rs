//! Ways into a room and back into it, and seats that are lost.

use serde_json::json;

use super::{
    FILM,
    frames::{join, resume},
    stage::Stage,
};

#[tokio::test]
async fn resumed() {
    let settings = [("RESUME_WINDOW_SECONDS", "600"), ("HOST_GRACE_SECONDS", "600"), ("OUTBOX_BYTES", "65536")];
    let mut stage = Stage::with(&settings).await;
    let features = json!({"features": ["resume", "ack"]});
    for name in ["ana", "ben", "cem"] {
        stage.connect(name).await;
    }
    stage.says("ana", join("room", "ana", &features)).await;
    stage.says("ben", join("room", "ben", &features)).await;
    stage.says("cem", join("room", "cem", &json!({}))).await;
    let version = stage.last("ben", "USER_JOINED")["version"].as_u64().unwrap();
    let back = resume(&stage, "ben", "ROOM_STATE", version, &json!({"id": "back"}));
    stage.drop("ben");
    stage.until("ana", "MEMBER_AWAY").await;
    stage.says("ana", json!({"type": "URL_CHANGE", "url": FILM})).await;
    stage.says("ana", json!({"type": "OFFER", "to": "ben", "offer": {"sdp": "kept"}})).await;
    stage.says("cem", json!({"type": "BROADCAST", "event": "secret", "data": 1, "to": "ben"})).await;
    stage.says("cem", json!({"type": "BROADCAST", "event": "news", "data": 2})).await;
    stage.connect("ben").await;
    for (field, value) in
        [("resumeToken", json!("of somebody else")), ("userId", json!("nobody")), ("roomId", json!("nowhere"))]
    {
        let mut wrong = back.clone();
        wrong[field] = value;
        stage.says("ben", wrong).await;
    }
    stage.says("ben", back).await;
    stage.says("ben", json!({"type": "RESUME", "roomId": "room", "userId": "ben", "resumeToken": "x", "epoch": 1, "version": 1, "id": "twice"})).await;
    // Another incarnation of the room, and versions that never were.
    for (field, value) in [("epoch", json!(7)), ("version", json!(1_000_000))] {
        let again = resume(&stage, "ben", "RESUMED", 1, &json!({field: value}));
        stage.drop("ben");
        stage.until("ana", "MEMBER_AWAY").await;
        stage.connect("ben").await;
        stage.says("ben", again).await;
        // It comes back with its token by JOIN, too.
        let token = stage.last("ben", "ROOM_STATE")["resumeToken"].clone();
        stage.drop("ben");
        stage.until("ana", "MEMBER_AWAY").await;
        stage.connect("ben").await;
        stage.says("ben", join("room", "ben", &json!({"features": ["resume"], "resumeToken": token}))).await;
        let version = stage.last("ben", "ROOM_STATE")["version"].as_u64().unwrap();
        let again = resume(&stage, "ben", "ROOM_STATE", version, &json!({}));
        stage.drop("ben");
        stage.until("ana", "MEMBER_AWAY").await;
        stage.connect("ben").await;
        stage.says("ben", again).await;
    }
    // More than may be told at once.
    let version = stage.last("ben", "RESUMED")["version"].as_u64().unwrap();
    let again = resume(&stage, "ben", "RESUMED", version, &json!({}));
    stage.drop("ben");
    stage.until("ana", "MEMBER_AWAY").await;
    for _ in 0..3 {
        stage.says("ana", json!({"type": "BROADCAST", "event": "much", "data": "x".repeat(16_000)})).await;
    }
    stage.connect("ben").await;
    stage.says("ben", again).await;
    stage.compare("resume");
}

/// The ways into a room, and those that are shut.
#[tokio::test]
async fn entry() {
    let mut stage =
        Stage::with(&[("ROOM_MAX_MEMBERS", "2"), ("MAX_ROOMS", "2"), ("RESUME_WINDOW_SECONDS", "600")]).await;
    for name in ["ana", "ben", "old"] {
        stage.connect(name).await;
    }
    stage.says("ana", join("room", "ana", &json!({"pin": "123456", "features": ["resume"]}))).await;
    for fields in [json!({"features": []}), json!({"features": [], "pin": "654321", "id": "wrong"})] {
        stage.says("ben", join("room", "ben", &fields)).await;
    }
    stage.says("ben", join("room", "ana", &json!({"features": [], "pin": "123456", "id": "hers"}))).await;
    stage.says("ben", join("room", "ana", &json!({"features": [], "pin": "123456", "resumeToken": "x"}))).await;
    stage.says("ben", join("room", "ben", &json!({"features": [], "pin": "123456"}))).await;
    stage.connect("cem").await;
    stage.says("cem", join("room", "cem", &json!({"features": [], "pin": "123456", "id": "full"}))).await;
    // The first generation never asks again: it is let in when there is room.
    stage.says("old", json!({"type": "JOIN", "roomId": "room", "userId": "old", "pin": "123456"})).await;
    stage.send("ben", json!({"type": "LEAVE"})).await;
    stage.closes("ben").await;
    stage.until("old", "ROOM_STATE").await;
    // Another room, and no third one.
    stage.says("cem", join("second", "cem", &json!({"features": [], "pin": "123456"}))).await;
    stage.connect("dan").await;
    stage.says("dan", join("third", "dan", &json!({"features": [], "id": "no more"}))).await;
    stage.connect("older").await;
    stage.says_and_ends("older", json!({"type": "JOIN", "roomId": "third", "userId": "older"}), &["older"]).await;
    stage.says("dan", join("second", "dan", &json!({"features": [], "invite": "forged"}))).await;
    // A client guesses until no PIN is checked any more.
    stage.connect("eve").await;
    let mark = stage.mark();
    loop {
        stage.forget_since(mark);
        stage.says("eve", join("second", "eve", &json!({"features": [], "pin": "000000"}))).await;
        if stage.last("eve", "ERROR")["code"] != "invalid_pin" {
            break;
        }
    }
    stage.compare("entry");
}

#[tokio::test]
async fn credentials_are_renewed() {
    let settings = [("TURN_URLS", "turn:turn.example.org:3478"), ("TURN_SECRET", "secret"), ("TURN_TTL_SECONDS", "4")];
    let mut stage = Stage::with(&settings).await;
    stage.connect("ana").await;
    stage.send("ana", join("room", "ana", &json!({"features": []}))).await;
    stage.only_until("ana", "ROOM_STATE").await;
    stage.only_until("ana", "ICE_SERVERS").await;
    stage.compare("renewal");
}

/// Expiry of a seat that was kept, and of the role of its host.
#[tokio::test]
async fn seats_that_expire() {
    let mut stage = Stage::with(&[("RESUME_WINDOW_SECONDS", "3"), ("HOST_GRACE_SECONDS", "1")]).await;
    for (name, features) in
        [("ana", json!({"features": ["resume"]})), ("ben", json!({"features": []})), ("old", json!({}))]
    {
        stage.connect(name).await;
        stage.says(name, join("room", name, &features)).await;
    }
    stage.drop("ana");
    for kind in ["MEMBER_AWAY", "HOST_CHANGED", "USER_LEFT"] {
        stage.until("ben", kind).await;
    }
    stage.compare("expiry");
}
