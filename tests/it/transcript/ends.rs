//! The message budget, and how the server ends a socket.

use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use super::{
    frames::join,
    stage::{Stage, raw_text, stray_continuation},
};

#[tokio::test]
async fn errors() {
    let mut stage = Stage::with(&[("MESSAGES_PER_SECOND", "1"), ("MESSAGE_BURST", "10")]).await;
    for (name, features) in [("ana", json!({"features": []})), ("old", json!({}))] {
        stage.connect(name).await;
        stage.send(name, join("room", name, &features)).await;
        for frame in [
            join("room", name, &json!({"id": "again"})),
            json!({"type": "RESUME", "roomId": "room", "userId": name, "resumeToken": "x", "epoch": 1, "version": 1, "id": "back"}),
            json!({"type": "BROADCAST", "event": "e", "data": "x".repeat(40_000), "id": "said"}),
            json!({"type": "PING", "t0": 5}),
        ] {
            stage.send(name, frame).await;
        }
        stage.only_until(name, "PONG").await;
    }
    stage.compare("errors");
}

#[tokio::test]
async fn closes() {
    let settings = [
        ("MESSAGES_PER_SECOND", "1"),
        ("MESSAGE_BURST", "10"),
        ("DRAIN_SECONDS", "1"),
        ("PING_INTERVAL_SECONDS", "600"),
        // Longer than the flood takes to be closed.
        ("JOIN_TIMEOUT_SECONDS", "8"),
    ];
    let mut stage = Stage::with(&settings).await;
    stage.connect("1008").await;
    stage.connect("1002").await;
    stage.sends("1002", "a continuation of nothing", stray_continuation()).await;
    stage.closes("1002").await;
    stage.connect("1007").await;
    stage.sends("1007", "a text that is no UTF-8", raw_text(b"\xff")).await;
    stage.closes("1007").await;
    stage.connect("1009").await;
    stage.sends("1009", "a text of more than 262,144 bytes", Message::text("x".repeat(262_145))).await;
    stage.closes("1009").await;
    stage.connect("4429").await;
    let mark = stage.mark();
    for _ in 0..200 {
        stage.sends("4429", "far too much", Message::text("x")).await;
    }
    stage.forget_since(mark);
    stage.only_closes("4429").await;
    stage.only_closes("1008").await;
    stage.connect("1012").await;
    stage.send("1012", join("room", "ana", &json!({"features": ["resume"]}))).await;
    stage.only_until("1012", "ROOM_STATE").await;
    stage.connect("1012 old").await;
    stage.send("1012 old", join("room", "old", &json!({}))).await;
    stage.only_until("1012 old", "ROOM_STATE").await;
    stage.only_until("1012", "USER_JOINED").await;
    stage.app.sigterm().await;
    for name in ["1012", "1012 old"] {
        stage.only_until(name, "SERVER_DRAINING").await;
    }
    for name in ["1012", "1012 old"] {
        stage.only_closes(name).await;
    }
    stage.compare("closes");

    let settings = [("OUTBOX_BYTES", "60000"), ("PING_INTERVAL_SECONDS", "0.3"), ("PING_TIMEOUT_SECONDS", "0.3")];
    let mut stage = Stage::with(&settings).await;
    stage.connect("4008").await;
    stage.send("4008", join("room", "slow", &json!({"features": []}))).await;
    stage
        .sends(
            "4008",
            "an OFFER to itself that is larger than its outbox",
            Message::text(json!({"type": "OFFER", "to": "slow", "offer": {"sdp": "x".repeat(60_000)}}).to_string()),
        )
        .await;
    stage.only_closes("4008").await;
    stage.connect("4009").await;
    // A pong is sent only by who reads.
    stage.app.until_it_says("heartbeat lost").await;
    stage.closes("4009").await;
    stage.compare("mute");
}
