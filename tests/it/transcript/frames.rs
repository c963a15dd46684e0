//! Frames as clients send them.

use serde_json::{Value, json};

use super::{FILM, stage::Stage};

/// A valid frame of each type, but for JOIN and RESUME, which need a room, and LEAVE, which ends it.
pub(super) fn valid() -> Vec<Value> {
    vec![
        json!({"type": "PING"}),
        json!({"type": "PING", "t0": 1.5}),
        json!({"type": "UPDATE_USERNAME", "username": " Ana \u{2615}\u{7} "}),
        json!({"type": "UPDATE_USERNAME", "username": null}),
        json!({"type": "URL_CHANGE", "url": FILM}),
        json!({"type": "URL_CHANGE", "url": "http://localhost:8080/b.mp4", "currentTime": 61.25}),
        json!({"type": "PLAY_PAUSE", "control": "pause"}),
        json!({"type": "PLAY_PAUSE", "control": "play", "currentTime": 12.345_678_9, "eventTimestamp": 1_795_000_000_000.5_f64, "rate": 1.25}),
        json!({"type": "REQUEST_SYNC"}),
        json!({"type": "REQUEST_SYNC", "respectAutoPlay": true}),
        json!({"type": "PLAY_PAUSE", "control": "pause", "currentTime": 13, "eventTimestamp": 1_795_000_000_000_u64}),
        json!({"type": "SEEK", "currentTime": 100.5, "isPlaying": false, "eventTimestamp": 5}),
        json!({"type": "SEEK", "currentTime": 100, "isPlaying": false}),
        json!({"type": "READY", "targetTime": 100}),
        json!({"type": "POSITION_UPDATE", "currentTime": 100, "isPlaying": false}),
        json!({"type": "HOST_HEARTBEAT", "currentTime": 100.25, "isPlaying": false, "eventTimestamp": 7.5}),
        json!({"type": "HOST_HEARTBEAT", "currentTime": 100, "isPlaying": false}),
        json!({"type": "OFFER", "to": "ben", "offer": {"type": "offer", "sdp": "v=0\r\n"}, "negotiationId": "n1", "from": "eve", "userId": "eve"}),
        json!({"type": "ANSWER", "to": "ben", "answer": {"type": "answer", "sdp": ""}}),
        json!({"type": "ICE_CANDIDATE", "to": "ben", "candidate": {"candidate": "", "sdpMid": "0"}, "negotiationId": {"n": 1}}),
        json!({"type": "ICE_CANDIDATE", "to": "ben", "candidate": null}),
        json!({"type": "RENEGOTIATE", "to": "ben"}),
        json!({"type": "BYE", "to": "ben", "negotiationId": 3}),
        json!({"type": "PLAYBACK_ACK", "to": "ben", "control": "play"}),
        json!({"type": "BROADCAST", "event": "wave", "data": {"deep": [1, 1.5, null, "\u{1F44B}"]}}),
        json!({"type": "BROADCAST", "event": "wave"}),
        json!({"type": "BROADCAST", "event": "wave", "data": "psst", "to": "ben"}),
        json!({"type": "SYNC_RESPONSE", "to": "ben", "currentTime": 1, "isPlaying": true}),
        json!({"type": "SYNC_PLAYBACK", "currentTime": 1}),
        json!({"type": "TOGGLE_GUEST_CONTROL", "enabled": true}),
        json!({"type": "SET_ROLE", "targetUserId": "ben", "role": "co-host"}),
        json!({"type": "SET_ROLE", "targetUserId": "ben", "role": "member"}),
        json!({"type": "LOCK_ROOM", "locked": true}),
        json!({"type": "LOCK_ROOM", "locked": false}),
        json!({"type": "SET_PIN", "pin": "654321"}),
        json!({"type": "SET_PIN", "pin": null}),
        json!({"type": "BAN", "targetUserId": "eve", "reason": "spoilers"}),
        json!({"type": "LIST_BANS"}),
        json!({"type": "UNBAN", "targetUserId": "eve"}),
        json!({"type": "TRANSFER_HOST", "targetUserId": "ben"}),
    ]
}

/// The same frame with a mark, on which it is answered.
pub(super) fn marked(mut frame: Value, id: Value) -> Value {
    frame["id"] = id;
    frame
}

pub(super) fn join(room: &str, user: &str, fields: &Value) -> Value {
    let mut frame = json!({"type": "JOIN", "roomId": room, "userId": user});
    for (field, value) in fields.as_object().unwrap() {
        frame[field] = value.clone();
    }
    frame
}

/// A RESUME from what the last ROOM_STATE or RESUMED of this client said, with some of its fields changed.
pub(super) fn resume(stage: &Stage, name: &str, kind: &str, version: u64, fields: &Value) -> Value {
    let told = stage.last(name, kind);
    let mut frame = json!({"type": "RESUME", "roomId": "room", "userId": name, "resumeToken": told["resumeToken"],
        "epoch": told["epoch"], "version": version, "features": ["resume", "ack"]});
    for (field, value) in fields.as_object().unwrap() {
        frame[field] = value.clone();
    }
    frame
}
