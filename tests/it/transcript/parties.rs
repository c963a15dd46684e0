//! Parties of both generations, and what a guest, a co-host and a host may do.

use serde_json::json;

use super::{
    frames::{join, marked, valid},
    stage::{Stage, wait},
};

#[tokio::test]
async fn modern() {
    let settings = [
        ("STUN_URLS", "stun:stun.example.org:3478"),
        ("TURN_URLS", "turn:turn.example.org:3478"),
        ("TURN_SECRET", "secret"),
        ("TURN_TTL_SECONDS", "3600"),
    ];
    let mut stage = Stage::with(&settings).await;
    for name in ["ana", "ben", "cem"] {
        stage.connect(name).await;
    }
    stage
        .says(
            "ana",
            join("room", "ana", &json!({"username": "Ana", "features": ["ack", "clock", "telepathy"], "id": 1})),
        )
        .await;
    stage.says("ben", join("room", "ben", &json!({"features": ["ack"]}))).await;
    // The first generation looks on: what it gets in addition is in this story, too.
    stage.says("cem", join("room", "user_cem0", &json!({"username": "Cem", "pin": null, "timestamp": 1}))).await;
    for (number, frame) in valid().into_iter().enumerate() {
        // With a mark now and then: a number, a text.
        let id = if number % 2 == 0 { json!(number) } else { json!(format!("mark {number}")) };
        stage.says("ana", marked(frame, id)).await;
    }
    // Ben is the host now. Everybody watches, a seek opens a gate, and all but Ben are waited for.
    stage.says("ben", json!({"type": "PLAY_PAUSE", "control": "play", "currentTime": 200})).await;
    for name in ["ana", "ben", "cem"] {
        stage.says(name, json!({"type": "POSITION_UPDATE", "currentTime": 200, "isPlaying": true})).await;
    }
    stage
        .says("ben", json!({"type": "SEEK", "currentTime": 300.002_148, "isPlaying": true, "eventTimestamp": 8}))
        .await;
    stage.connect("dan").await;
    stage.says("dan", join("room", "dan", &json!({"features": []}))).await;
    stage.says("ana", json!({"type": "READY", "targetTime": 300.002_148, "id": "r"})).await;
    stage.says("cem", json!({"type": "READY", "targetTime": 300.002_148})).await;
    stage.says("ana", json!({"type": "REQUEST_SYNC"})).await;
    stage.says("dan", join("room", "dan", &json!({"username": "Dan", "features": ["ack"]}))).await;
    stage
        .says_and_ends("ben", json!({"type": "KICK", "targetUserId": "dan", "reason": "noise", "id": "k"}), &["dan"])
        .await;
    stage.says("ana", join("other", "ana", &json!({"features": [], "pin": "123456"}))).await;
    stage.says_and_ends("ben", json!({"type": "LEAVE", "id": "bye"}), &["ben"]).await;
    stage.compare("modern");
}

#[tokio::test]
async fn first_generation() {
    let mut stage = Stage::with(&[]).await;
    for name in ["ana", "ben", "cem"] {
        stage.connect(name).await;
    }
    stage.says("ana", json!({"type": "JOIN", "roomId": "room", "userId": "ana", "username": "Ana", "pin": "123456", "timestamp": 1})).await;
    stage.says("ben", json!({"type": "JOIN", "roomId": "room", "userId": "ben", "username": null, "pin": "123456", "timestamp": 1})).await;
    stage.says("cem", join("room", "cem", &json!({"features": ["ack"], "pin": "123456"}))).await;
    // A host that reports its position but sends no heartbeat is told again that it is the host.
    wait(1_600).await;
    stage.says("ana", json!({"type": "POSITION_UPDATE", "currentTime": 0, "isPlaying": false})).await;
    for mut frame in valid() {
        // The extension stamps everything with who and where it is, and sends the time of a url in milliseconds.
        frame["userId"] = json!("ana");
        frame["roomId"] = json!("room");
        if frame["type"] == "POSITION_UPDATE" {
            continue;
        }
        if frame["type"] == "URL_CHANGE" && frame["currentTime"].is_number() {
            frame["currentTime"] = json!(61_250.5);
        }
        stage.says("ana", frame).await;
    }
    // A member that is not there is no mistake of this generation.
    stage.says("ana", json!({"type": "OFFER", "to": "nobody", "offer": {}})).await;
    stage.says("cem", json!({"type": "OFFER", "to": "nobody", "offer": {}})).await;
    // The JOIN after each load of a page, once as an older build sends it.
    stage
        .says("ben", json!({"type": "JOIN", "roomId": "room", "userId": "ben", "username": "Ben", "pin": "123456"}))
        .await;
    stage.says("ben", json!({"type": "JOIN", "roomId": "room", "userId": "ben"})).await;
    // The url that is on already, from anybody but the host.
    stage.says("ben", json!({"type": "URL_CHANGE", "url": "http://localhost:8080/c.mp4", "currentTime": 5_000})).await;
    stage.says("ana", json!({"type": "URL_CHANGE", "url": "http://LOCALHOST:8080/c.mp4", "currentTime": 9_000})).await;
    // It ends without LEAVE, and its userId is taken again by another socket of its.
    stage.drop("ana");
    stage.until("cem", "USER_LEFT").await;
    stage.connect("ana").await;
    stage
        .says("ana", json!({"type": "JOIN", "roomId": "room", "userId": "ana", "username": null, "pin": "123456"}))
        .await;
    stage.connect("ana again").await;
    stage.says("ana again", json!({"type": "JOIN", "roomId": "room", "userId": "ana", "pin": "123456"})).await;
    stage.says("ana", json!({"type": "REQUEST_SYNC"})).await;
    stage.says_and_ends("ben", json!({"type": "KICK", "targetUserId": "ana"}), &["ana again"]).await;
    stage
        .says_and_ends("ben", json!({"type": "LEAVE", "userId": "ben", "roomId": "room", "timestamp": 2}), &["ben"])
        .await;
    stage.compare("first_generation");
}

/// What a guest, a co-host and a host may do.
#[tokio::test]
async fn rights() {
    let mut stage = Stage::with(&[("URL_HOSTS", "example.org")]).await;
    for name in ["ana", "ben", "cem"] {
        stage.connect(name).await;
        stage.says(name, join("room", name, &json!({"features": ["ack"]}))).await;
    }
    let wishes = [
        json!({"type": "PLAY_PAUSE", "control": "play", "currentTime": 1}),
        json!({"type": "SEEK", "currentTime": 5, "isPlaying": false}),
        json!({"type": "HOST_HEARTBEAT", "currentTime": 5, "isPlaying": false}),
        json!({"type": "URL_CHANGE", "url": "https://www.example.org/1", "currentTime": 5}),
        json!({"type": "URL_CHANGE", "url": "https://example.net/1"}),
        json!({"type": "TOGGLE_GUEST_CONTROL", "enabled": false}),
        json!({"type": "SET_ROLE", "targetUserId": "cem", "role": "co-host"}),
        json!({"type": "TRANSFER_HOST", "targetUserId": "cem"}),
        json!({"type": "KICK", "targetUserId": "ana"}),
    ];
    for frame in &wishes {
        stage.says("ben", marked(frame.clone(), json!("guest"))).await;
    }
    stage.says("ben", wishes[0].clone()).await;
    stage.says("ana", json!({"type": "TOGGLE_GUEST_CONTROL", "enabled": true})).await;
    for frame in &wishes[..4] {
        stage.says("ben", marked(frame.clone(), json!("guest in control"))).await;
    }
    stage.says("ana", json!({"type": "TOGGLE_GUEST_CONTROL", "enabled": false})).await;
    stage.says("ana", json!({"type": "SET_ROLE", "targetUserId": "ben", "role": "co-host"})).await;
    for frame in &wishes {
        stage.says("ben", marked(frame.clone(), json!("co-host"))).await;
    }
    for frame in [
        json!({"type": "TRANSFER_HOST", "targetUserId": "nobody"}),
        json!({"type": "SET_ROLE", "targetUserId": "nobody", "role": "member"}),
        json!({"type": "KICK", "targetUserId": "nobody"}),
        json!({"type": "KICK", "targetUserId": "ana"}),
        json!({"type": "URL_CHANGE", "url": "https://example.net/1"}),
        json!({"type": "OFFER", "to": "nobody", "offer": {}}),
        json!({"type": "ANSWER", "to": "nobody", "answer": {}}),
        json!({"type": "ICE_CANDIDATE", "to": "nobody", "candidate": {}}),
        json!({"type": "RENEGOTIATE", "to": "nobody"}),
        json!({"type": "BYE", "to": "nobody"}),
        json!({"type": "PLAYBACK_ACK", "to": "nobody", "control": "play"}),
        json!({"type": "BROADCAST", "event": "e", "to": "nobody"}),
        json!({"type": "TRANSFER_HOST", "targetUserId": "ben"}),
    ] {
        stage.says("ana", marked(frame, json!("host"))).await;
    }
    stage.says_and_ends("ben", json!({"type": "KICK", "targetUserId": "cem"}), &["cem"]).await;
    stage.connect("cem").await;
    stage.says("cem", join("room", "cem", &json!({"features": [], "id": "again"}))).await;
    stage.says("ben", marked(json!({"type": "LOCK_ROOM", "locked": true}), json!("lock"))).await;
    stage.connect("dan").await;
    stage.says("dan", join("room", "dan", &json!({"features": [], "id": "late"}))).await;
    stage.says("ben", marked(json!({"type": "BAN", "targetUserId": "dan"}), json!("ban"))).await;
    stage.says("dan", join("room", "dan", &json!({"features": [], "id": "banned"}))).await;
    stage.compare("rights");
}
