use serde::{Deserialize, Serialize};

use crate::{
    client::scan::{self, Arrival},
    units::float,
};

/// What members send. Each message carries its number in the room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Message {
    /// PLAY_PAUSE to the whole room, padded to so many bytes.
    Change { bytes: u32 },
    /// ICE_CANDIDATE to the next member, padded to so many bytes.
    Candidate { bytes: u32 },
}

impl Message {
    /// Whether it is for one member instead of the room.
    pub(crate) fn is_signal(self) -> bool {
        !matches!(self, Self::Change { .. })
    }

    pub(super) fn receivers(self, members: u32) -> u32 {
        if self.is_signal() { 1 } else { members }
    }

    /// The frame with that number, for the member `to` if it is a signal.
    pub(super) fn frame(self, number: u64, to: &str) -> String {
        match self {
            Self::Change { bytes } => change(number, bytes),
            Self::Candidate { bytes } => {
                let frame = |text: &str| {
                    let candidate = format!(r#"{{"n":{number},"candidate":"{text}"}}"#);
                    format!(r#"{{"type":"ICE_CANDIDATE","to":"{to}","candidate":{candidate}}}"#)
                };
                let bytes = usize::try_from(bytes).unwrap_or(0);
                frame(&"v".repeat(bytes.saturating_sub(frame("").len())))
            }
        }
    }

    /// The number in a frame that was received.
    pub(super) fn arrival(self, frame: &str) -> Option<Arrival> {
        if self.is_signal() { scan::signal(frame) } else { scan::change(frame) }
    }
}

/// Even numbers play and odd ones pause; `currentTime` carries the number.
fn change(number: u64, bytes: u32) -> String {
    let control = if number.is_multiple_of(2) { "play" } else { "pause" };
    let position = float(number) + 0.5;
    let short = format!(r#"{{"type":"PLAY_PAUSE","control":"{control}","currentTime":{position:.1}}}"#);
    let bytes = usize::try_from(bytes).unwrap_or(0);
    if short.len() >= bytes {
        return short;
    }
    let begin = format!(r#"{},"padding":""#, short.trim_end_matches('}'));
    let padding = "x".repeat(bytes.saturating_sub(begin.len() + 2));
    format!(r#"{begin}{padding}"}}"#)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_finds_the_number_of_every_message() {
        for message in [Message::Change { bytes: 0 }, Message::Candidate { bytes: 150 }] {
            for number in [0, 1, 2, 9_999_999] {
                let frame = message.frame(number, "user-1");
                serde_json::from_str::<serde_json::Value>(&frame).unwrap();
                assert_eq!(message.arrival(&frame), Some(Arrival { sequence: number, version: None }), "{frame}");
            }
        }
    }

    #[test]
    fn messages_are_padded() {
        assert_eq!(change(3, 0), r#"{"type":"PLAY_PAUSE","control":"pause","currentTime":3.5}"#);
        for number in [0, 1, 12_345] {
            assert_eq!(Message::Change { bytes: 120 }.frame(number, "").len(), 120);
            assert_eq!(Message::Candidate { bytes: 150 }.frame(number, "user-1").len(), 150);
        }
    }
}
