//! Frames that are refused for what they are.

use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use super::{
    frames::{join, marked, valid},
    stage::Stage,
};

/// Every type before JOIN, and then with fields that are not as documented.
#[tokio::test]
async fn bad_input() {
    let mut stage = Stage::with(&[]).await;
    stage.connect("ana").await;
    for frame in valid().into_iter().chain([json!({"type": "LEAVE"}), json!({"type": "KICK", "targetUserId": "ben"})]) {
        stage.says("ana", marked(frame, json!("early"))).await;
    }
    let refused = [
        json!({"type": "JOIN", "userId": "ana"}),
        json!({"type": "JOIN", "roomId": "", "userId": "ana"}),
        json!({"type": "JOIN", "roomId": null, "userId": "ana"}),
        json!({"type": "JOIN", "roomId": "room", "userId": "server"}),
        json!({"type": "JOIN", "roomId": "room", "userId": 1}),
        json!({"type": "JOIN", "roomId": "room", "userId": "ana", "pin": 123_456}),
        json!({"type": "JOIN", "roomId": "room", "userId": "ana", "features": "resume"}),
        json!({"type": "RESUME", "roomId": "room", "userId": "ana", "resumeToken": "x"}),
        json!({"type": "RESUME", "roomId": "room", "userId": "ana", "resumeToken": "x", "epoch": -1, "version": 1}),
    ];
    for frame in refused {
        stage.says("ana", frame.clone()).await;
        stage.says("ana", marked(frame, json!(7))).await;
    }
    stage.says("ana", join("room", "ana", &json!({"features": ["ack"]}))).await;
    for frame in [
        json!({"type": "PING", "t0": "1"}),
        json!({"type": "PING", "t0": -1}),
        json!({"type": "UPDATE_USERNAME", "username": 5}),
        json!({"type": "PLAY_PAUSE", "control": "stop"}),
        json!({"type": "PLAY_PAUSE", "control": "play", "rate": 9}),
        json!({"type": "PLAY_PAUSE", "control": "play", "currentTime": -1}),
        json!({"type": "SEEK", "currentTime": 5}),
        json!({"type": "SEEK", "currentTime": 1.1e10, "isPlaying": true}),
        json!({"type": "READY"}),
        json!({"type": "POSITION_UPDATE", "currentTime": null, "isPlaying": true}),
        json!({"type": "HOST_HEARTBEAT", "isPlaying": true}),
        json!({"type": "URL_CHANGE", "url": "javascript:alert(1)"}),
        json!({"type": "URL_CHANGE"}),
        json!({"type": "REQUEST_SYNC", "respectAutoPlay": 1}),
        json!({"type": "OFFER", "to": "ben"}),
        json!({"type": "OFFER", "to": "ben", "offer": "sdp"}),
        json!({"type": "ANSWER", "answer": {}}),
        json!({"type": "ANSWER", "to": "ben", "answer": null}),
        json!({"type": "ICE_CANDIDATE", "to": "ben"}),
        json!({"type": "ICE_CANDIDATE", "to": "ben", "candidate": 1}),
        json!({"type": "RENEGOTIATE"}),
        json!({"type": "BYE", "to": ""}),
        json!({"type": "PLAYBACK_ACK", "to": "ben"}),
        json!({"type": "PLAYBACK_ACK", "to": "ben", "control": "stop"}),
        json!({"type": "BROADCAST", "event": ""}),
        json!({"type": "BROADCAST", "data": 1}),
        json!({"type": "TOGGLE_GUEST_CONTROL", "enabled": "yes"}),
        json!({"type": "TRANSFER_HOST"}),
        json!({"type": "SET_ROLE", "targetUserId": "ben", "role": "king"}),
        json!({"type": "KICK", "targetUserId": "\u{7}"}),
        json!({"type": "NOPE"}),
        json!({"type": "HOST_CHANGED", "hostUserId": "ana"}),
        json!({"type": 5}),
        json!({"type": "REQUEST_SYNC", "id": {"a": 1}}),
        json!({"type": "REQUEST_SYNC", "id": 1.5}),
    ] {
        stage.says("ana", frame.clone()).await;
        if frame.get("id").is_none() {
            stage.says("ana", marked(frame, json!("m"))).await;
        }
    }
    for text in [
        "",
        "[]",
        "null",
        "{",
        "{}",
        r#"{"type":"LEAVE"} x"#,
        r#"{"type":"BROADCAST","event":"e","data":1e999}"#,
        r#"{"type":"BROADCAST","event":"e","data":"\ud800","id":3}"#,
    ] {
        stage.says_text("ana", text).await;
    }
    stage.sends("ana", "a binary frame", Message::binary(vec![1, 2, 3])).await;
    stage.says("ana", json!({"type": "REQUEST_SYNC", "id": 1})).await;
    let large = format!(r#"{{"type":"BROADCAST","id":9,"event":"e","data":"{}"}}"#, "x".repeat(65_536));
    stage.sends("ana", "a frame of more than 65,536 bytes", Message::text(large)).await;
    let deep = format!(r#"{{"type":"BROADCAST","id":9,"event":"e","data":{}{}}}"#, "[".repeat(32), "]".repeat(32));
    stage.sends("ana", "a frame of more than 32 levels", Message::text(deep)).await;
    stage.says("ana", json!({"type": "REQUEST_SYNC", "id": 2})).await;
    stage.compare("bad_input");
}
