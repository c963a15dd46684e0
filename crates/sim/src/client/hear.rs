//! How a client reacts to a frame.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::{
    client::{Client, Open, PATIENCE},
    over::Over,
};
use crate::record::Event;

/// How long a client of the first generation that was refused waits until its user tries again.
const WAITS: Duration = Duration::from_secs(20);

impl Client {
    /// There are two. If the other one is wrong, the room has got the first.
    fn try_another_pin(&mut self) {
        self.pin |= self.guesses;
        self.guesses = !self.guesses;
    }

    pub(super) fn hear(&mut self, open: &mut Open, frame: &Value) -> Option<Over> {
        self.record.add(Event::Got { line: open.line, frame: frame.clone() });
        let kind = frame["type"].as_str().unwrap_or_default();
        if let Some(id) = frame["id"].as_u64()
            && open.asked.remove(&id)
        {
            open.patience = (!open.asked.is_empty()).then(|| Instant::now() + PATIENCE);
        }
        match kind {
            "ROOM_STATE" | "RESUMED" => {
                open.entered = true;
                if std::mem::take(&mut open.waits) {
                    open.patience = None;
                }
                if let Some(token) = frame["resumeToken"].as_str() {
                    self.token = Some(token.to_owned());
                }
                if kind == "ROOM_STATE" {
                    self.host = frame["hostUserId"].as_str().map(str::to_owned);
                }
            }
            "HOST_CHANGED" => self.host = frame["hostUserId"].as_str().map(str::to_owned),
            "SEEK_PAUSE" if frame["deadline"].is_u64() => self.gate = frame["currentTime"].as_f64(),
            "ERROR" if frame["id"].as_u64() == Some(open.entry) => {
                let code = frame["code"].as_str().unwrap_or_default();
                if code == "invalid_pin" {
                    self.try_another_pin();
                }
                if !self.modern
                    && matches!(code, "identity_in_use" | "room_full" | "room_locked" | "pin_locked" | "rate_limited")
                {
                    open.waits = true;
                    open.patience = Some(Instant::now() + WAITS);
                    return None;
                }
                if open.resumes && matches!(code, "not_joined" | "unauthorized") {
                    // Its seat is gone.
                    (self.token, self.seen) = (None, None);
                    self.come_in(open);
                    return None;
                }
                if self.stubborn && matches!(code, "banned" | "forbidden" | "room_locked") {
                    return Some(Over::ShutOut);
                }
                self.gone |= code == "forbidden";
                return Some(Over::Refused);
            }
            // Whether it has left is not known.
            "ERROR" if !self.wants && frame["retryable"] == true => {
                open.leaves = frame["retryAfterMs"].as_u64().map(|wait| Instant::now() + Duration::from_millis(wait));
            }
            // It was refused for another reason than before.
            "ERROR" if open.waits && frame["id"].is_null() && frame["code"] == "invalid_pin" => {
                self.try_another_pin();
                return Some(Over::Refused);
            }
            _ => {}
        }
        if !matches!(kind, "ACK" | "RESUMED")
            && let (Some(epoch), Some(version)) = (frame["epoch"].as_u64(), frame["version"].as_u64())
        {
            self.seen = Some((epoch, version));
        }
        None
    }
}
