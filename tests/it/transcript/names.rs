//! Gives names to what differs from one run to the next, so that two transcripts can be compared.

use std::collections::HashMap;

use serde_json::{Value, json};

/// Ids that were seen, by the kind of id, in the order in which they came.
#[derive(Default)]
pub(super) struct Names(HashMap<&'static str, Vec<String>>);

/// Fields that hold an id. Equal ids get equal names.
const IDS: [(&str, &str); 6] = [
    ("peerId", "peer"),
    ("session", "peer"),
    ("nodeId", "node"),
    ("resumeToken", "token"),
    ("signalId", "signal"),
    ("epoch", "epoch"),
];

/// Fields that hold a moment or a random wait.
const TIMES: [&str; 8] = ["expiresAt", "timestamp", "serverTime", "at", "until", "deadline", "t1", "t2"];

/// Texts longer than this are not shown.
const LONG: usize = 4_096;

impl Names {
    /// The frame with names in the place of ids, tokens and times. Every other value stays as it came.
    pub(super) fn applied_to(&mut self, frame: &Value) -> Value {
        let mut frame = frame.clone();
        let runs = frame["isPlaying"] == true;
        if runs && (frame["type"] == "ROOM_STATE" || frame["type"] == "SYNC_RESPONSE") {
            frame["currentTime"] = json!("<position>");
        }
        // The moment in which the ready gate opened.
        if frame["type"] == "PLAY_PAUSE" && frame["userId"] == "server" {
            frame["eventTimestamp"] = json!("<time>");
        }
        self.replace(&mut frame);
        frame
    }

    fn replace(&mut self, value: &mut Value) {
        match value {
            Value::Array(all) => all.iter_mut().for_each(|one| self.replace(one)),
            Value::Object(fields) => {
                for (field, value) in fields {
                    if let Some((_, kind)) = IDS.iter().find(|(id, _)| id == field) {
                        *value = self.name(kind, value);
                    } else if TIMES.contains(&field.as_str()) && value.is_u64() {
                        *value = json!("<time>");
                    } else if field == "retryAfterMs" && value.is_u64() {
                        *value = json!("<wait>");
                    } else if field == "token" && value.is_string() {
                        *value = json!("<jwt>");
                    } else if field == "credential" {
                        *value = json!("<credential>");
                    } else if let Some((_, user)) =
                        value.as_str().filter(|_| field == "username").and_then(|name| name.split_once(':'))
                    {
                        *value = json!(format!("<expiry>:{user}"));
                    } else {
                        self.replace(value);
                    }
                }
            }
            Value::String(text) if text.len() > LONG => *text = format!("<{} bytes>", text.len()),
            _ => {}
        }
    }

    fn name(&mut self, kind: &'static str, value: &Value) -> Value {
        let seen = self.0.entry(kind).or_default();
        let id = value.to_string();
        let place = seen.iter().position(|one| *one == id).unwrap_or_else(|| {
            seen.push(id);
            seen.len() - 1
        });
        json!(format!("<{kind} {}>", place + 1))
    }
}
