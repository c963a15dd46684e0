//! Every field of every frame, with what it must not be.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{PLENTY, pair};
use tandem_testkit::{Frame, TestApp, schema::types};

/// A frame that is right, and what one field of it must not be.
struct Case {
    valid: Value,
    field: &'static str,
    wrong: Vec<Value>,
    needed: bool,
}

fn case(valid: Value, field: &'static str, needed: bool, wrong: &[&Vec<Value>]) -> Case {
    Case { valid, field, needed, wrong: wrong.iter().flat_map(|values| values.iter().cloned()).collect() }
}

#[allow(clippy::too_many_lines)] // A table.
fn cases() -> Vec<Case> {
    let list = |value: Value| value.as_array().unwrap().clone();
    let no_text = list(json!([1, 1.5, true, [], {}, ["x"]]));
    let no_number = list(json!(["1", "NaN", "", true, [], {}, [1]]));
    let no_bool = list(json!(["true", "", 0, 1, [], {}]));
    let no_time = list(json!([-1, -0.001, 10_000_000_001_u64, 1e300, -1e300]));
    let no_stamp = list(json!([-1, -1e300]));
    let mut no_id = list(json!(["", "a\u{0}b", "\n", "a\u{1f}", "\u{7f}", "\u{85}"]));
    no_id.push(json!("x".repeat(129)));
    no_id.push(json!("é".repeat(65)));
    let no_control = list(json!(["stop", "PLAY", "", "play "]));
    let no_url = list(json!([
        "",
        "/relative",
        "//example.org/x",
        "example.org",
        "javascript:alert(1)",
        "JAVASCRIPT:alert(1)",
        "java\nscript:alert(1)",
        " javascript:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "ftp://example.org/",
        "blob:https://example.org/1",
        "about:blank",
        "http://",
        "https://",
        "https:///",
        "https://exa mple.org/",
        "https://[::1",
        "https://example.org:99999/",
        "chrome://settings"
    ]));
    let mut long_url = list(json!([]));
    long_url.push(json!(format!("https://example.org/{}", "x".repeat(2_048))));
    let no_reason = list(json!([1, true, [], {}]));
    let mut all = Vec::new();

    for kind in ["JOIN", "RESUME"] {
        let valid = json!({"type": kind, "roomId": "room", "userId": "host", "username": "host", "pin": null,
            "resumeToken": "0123456789abcdef", "epoch": 1, "version": 1, "features": []});
        all.push(case(valid.clone(), "roomId", true, &[&no_text, &no_id]));
        all.push(case(valid.clone(), "userId", true, &[&no_text, &no_id]));
        all.push(case(valid.clone(), "resumeToken", kind == "RESUME", &[&no_text]));
        all.push(case(
            valid.clone(),
            "features",
            false,
            &[&list(json!(["resume", 1, true, {}, [1], [null], [["a"]]]))],
        ));
        if kind == "JOIN" {
            all.push(case(valid.clone(), "username", false, &[&no_text]));
            all.push(case(valid.clone(), "pin", false, &[&no_text, &vec![json!("1".repeat(65))]]));
        } else {
            let no_count = list(json!([-1, 1.5, "1", true, [], {}]));
            all.push(case(valid.clone(), "epoch", true, &[&no_count]));
            all.push(case(valid, "version", true, &[&no_count]));
        }
    }
    all.push(case(json!({"type": "PING", "t0": 1}), "t0", false, &[&no_number, &no_stamp]));
    all.push(case(json!({"type": "UPDATE_USERNAME", "username": "x"}), "username", false, &[&no_text]));
    let valid = json!({"type": "PLAY_PAUSE", "control": "play", "currentTime": 1, "eventTimestamp": 1, "rate": 1});
    all.push(case(valid.clone(), "control", true, &[&no_text, &no_control]));
    all.push(case(valid.clone(), "currentTime", false, &[&no_number, &no_time]));
    all.push(case(valid.clone(), "eventTimestamp", false, &[&no_number, &no_stamp]));
    all.push(case(valid, "rate", false, &[&no_number, &list(json!([0, -1, 0.2, 4.1, 1e300]))]));
    for kind in ["SEEK", "HOST_HEARTBEAT", "POSITION_UPDATE"] {
        let mut valid = json!({"type": kind, "currentTime": 1, "isPlaying": true});
        all.push(case(valid.clone(), "currentTime", true, &[&no_number, &no_time]));
        all.push(case(valid.clone(), "isPlaying", true, &[&no_bool]));
        if kind != "POSITION_UPDATE" {
            valid["eventTimestamp"] = json!(1);
            all.push(case(valid, "eventTimestamp", false, &[&no_number, &no_stamp]));
        }
    }
    all.push(case(json!({"type": "READY", "targetTime": 1}), "targetTime", true, &[&no_number, &no_time]));
    let valid = json!({"type": "URL_CHANGE", "url": "https://example.org/", "currentTime": 1});
    all.push(case(valid.clone(), "url", true, &[&no_text, &no_url, &long_url]));
    all.push(case(valid, "currentTime", false, &[&no_number, &list(json!([-1, 1e300]))]));
    let valid = json!({"type": "REQUEST_SYNC", "respectAutoPlay": true});
    all.push(case(valid, "respectAutoPlay", false, &[&no_bool]));
    for (kind, payload) in [("OFFER", "offer"), ("ANSWER", "answer"), ("ICE_CANDIDATE", "candidate"), ("BYE", "")] {
        let mut valid = json!({"type": kind, "to": "guest"});
        if !payload.is_empty() {
            valid[payload] = json!({});
        }
        all.push(case(valid, "to", true, &[&no_text, &no_id]));
    }
    all.push(case(json!({"type": "RENEGOTIATE", "to": "guest"}), "to", true, &[&no_text, &no_id]));
    let valid = json!({"type": "BROADCAST", "event": "e", "data": 1, "to": "guest"});
    all.push(case(valid.clone(), "event", true, &[&no_text, &vec![json!(""), json!("x".repeat(65))]]));
    all.push(case(valid, "to", false, &[&no_text, &no_id]));
    let valid = json!({"type": "TOGGLE_GUEST_CONTROL", "enabled": true});
    all.push(case(valid, "enabled", true, &[&no_bool]));
    let valid = json!({"type": "LOCK_ROOM", "locked": true});
    all.push(case(valid, "locked", true, &[&no_bool]));
    // Null is a PIN, too: none. So the field must be there, and the frame is looked at without it elsewhere.
    let valid = json!({"type": "SET_PIN", "pin": "1"});
    all.push(case(valid, "pin", false, &[&no_text, &vec![json!("1".repeat(65))]]));
    all.push(case(json!({"type": "REFRESH_TOKEN", "token": "t"}), "token", true, &[&no_text]));
    for kind in ["TRANSFER_HOST", "KICK", "BAN", "UNBAN", "SET_ROLE"] {
        let valid = json!({"type": kind, "targetUserId": "guest", "role": "co-host", "reason": "r"});
        all.push(case(valid.clone(), "targetUserId", true, &[&no_text, &no_id]));
        match kind {
            "KICK" | "BAN" => all.push(case(valid, "reason", false, &[&no_reason])),
            "SET_ROLE" => {
                all.push(case(valid, "role", true, &[&no_text, &list(json!(["host", "owner", "", "CO-HOST"]))]));
            }
            _ => {}
        }
    }
    let valid = json!({"type": "PLAYBACK_ACK", "to": "guest", "control": "play"});
    all.push(case(valid.clone(), "to", true, &[&no_text, &no_id]));
    all.push(case(valid, "control", true, &[&no_text, &no_control]));
    all
}

impl Case {
    /// The frames that this makes, each wrong in one field.
    fn frames(self) -> Vec<Value> {
        let with = |value: Value| {
            let mut frame = self.valid.clone();
            frame[self.field] = value;
            frame
        };
        let mut frames: Vec<Value> = self.wrong.iter().cloned().map(with).collect();
        if self.needed {
            frames.push(with(Value::Null));
            let mut without = self.valid.clone();
            without.as_object_mut().unwrap().remove(self.field);
            frames.push(without);
        }
        frames
    }
}

#[tokio::test]
async fn a_field_of_the_wrong_type_or_out_of_range_is_refused() {
    let app = TestApp::start_with(&PLENTY).await;
    let (mut host, mut guest) = pair(&app).await;
    let mut bad = Vec::new();
    for mut frame in cases().into_iter().flat_map(Case::frames) {
        frame["id"] = json!("the-one");
        host.send(frame.clone()).await;
        let answers = host.fence().await;
        let heard = guest.fence().await;
        let right = matches!(&answers[..], [error] if error["code"] == "invalid_message" && error["id"] == "the-one");
        if !right || !heard.is_empty() {
            bad.push(format!("{:.200}\n   answered {answers:?}\n   others heard {heard:?}", frame.to_string()));
        }
        // What was taken for right may have ended the conversation in its own way.
        let state = host.enter("room", "host", json!({"features": []})).await;
        assert_eq!(state["hostUserId"], "host", "after {frame}");
        guest.expect("USER_JOINED").await;
    }
    assert!(bad.is_empty(), "{} frames were not refused as documented:\n{}", bad.len(), bad.join("\n"));
    host.send(json!({"type": "PLAY_PAUSE", "control": "play"})).await;
    guest.expect("PLAY_PAUSE").await;
}

#[tokio::test]
async fn an_error_names_the_field() {
    let app = TestApp::start_with(&PLENTY).await;
    let (mut host, _guest) = pair(&app).await;
    let mut bad = Vec::new();
    for case in cases() {
        let field = case.field;
        for frame in case.frames() {
            host.send(frame.clone()).await;
            let answers = host.fence().await;
            let named = |error: &Frame| {
                let message = error.str("message");
                message.contains(field) || message == "Missing roomId or userId"
            };
            if let [error] = &answers[..]
                && error["code"] == "invalid_message"
                && !named(error)
            {
                bad.push(format!("{field}: {:.200}\n   {error:?}", frame.to_string()));
            }
        }
    }
    assert!(bad.is_empty(), "{} errors do not name the field:\n{}", bad.len(), bad.join("\n"));
}

/// Frames of these types have no field that must be of a type.
const WITHOUT_FIELDS: [&str; 4] = ["LEAVE", "LIST_BANS", "SYNC_RESPONSE", "SYNC_PLAYBACK"];

#[test]
fn every_type_has_a_case() {
    let tried = cases().into_iter().map(|case| case.valid["type"].as_str().unwrap().to_owned());
    let tried: BTreeSet<_> = tried.chain(WITHOUT_FIELDS.map(ToOwned::to_owned)).collect();
    assert_eq!(tried, types("client").into_iter().collect());
}
