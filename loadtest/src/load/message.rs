use serde::{Deserialize, Serialize};

use crate::{
    client::scan::{self, Arrival},
    units::float,
};

/// Bytes of a session description with one camera and one microphone.
const SDP_BYTES: usize = 3_000;

/// Bytes of a candidate.
const CANDIDATE_BYTES: usize = 130;

/// Messages of a call: an offer, its answer, and five candidates from each side.
const CALL: u64 = 12;

/// What members send. Each message carries its number in the room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Message {
    /// PLAY_PAUSE to the whole room, padded to so many bytes.
    Change { bytes: u32 },
    /// Signals of calls to the next member, in the order and the sizes of browsers.
    Call,
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
            Self::Call => {
                let kind = match number % CALL {
                    0 => "OFFER",
                    1 => "ANSWER",
                    _ => "ICE_CANDIDATE",
                };
                signal(kind, to, number, 0)
            }
            Self::Candidate { bytes } => padded_signal("ICE_CANDIDATE", to, number, 0, |empty| {
                usize::try_from(bytes).unwrap_or(0).saturating_sub(empty)
            }),
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

/// A signal as large as browsers make it. It carries its number, and the moment `since` as the sender counts it.
pub(crate) fn signal(kind: &str, to: &str, number: u64, since: u64) -> String {
    let bytes = if kind == "ICE_CANDIDATE" { CANDIDATE_BYTES } else { SDP_BYTES };
    padded_signal(kind, to, number, since, |_| bytes)
}

/// `padding` is told the length of the frame without any.
fn padded_signal(kind: &str, to: &str, number: u64, since: u64, padding: impl Fn(usize) -> usize) -> String {
    let (field, name) = match kind {
        "OFFER" => ("offer", "sdp"),
        "ANSWER" => ("answer", "sdp"),
        _ => ("candidate", "candidate"),
    };
    let frame = |text: &str| {
        format!(r#"{{"type":"{kind}","to":"{to}","{field}":{{"n":{number},"t0":{since},"{name}":"{text}"}}}}"#)
    };
    frame(&"v".repeat(padding(frame("").len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_finds_the_number_of_every_message() {
        for message in [Message::Change { bytes: 0 }, Message::Call, Message::Candidate { bytes: 150 }] {
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

    #[test]
    fn a_call_begins_with_an_offer_and_its_answer() {
        let kinds = (0..14).map(|number| Message::Call.frame(number, "x"));
        let kinds: Vec<_> = kinds.map(|frame| scan::text(&frame, "\"type\":").unwrap().to_owned()).collect();
        assert_eq!(kinds[..3], ["OFFER", "ANSWER", "ICE_CANDIDATE"]);
        assert_eq!(kinds[11..], ["ICE_CANDIDATE", "OFFER", "ANSWER"]);
    }
}
