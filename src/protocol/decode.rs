//! Bytes from a socket to a [`ClientMessage`]. Whatever comes in, the answer is a value: nothing in here can fail otherwise.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Code, MAX_MESSAGE_BYTES};
use crate::{
    id::{RoomId, UserId},
    room::{Action, Json},
};

/// The longest explanation of what is wrong, in characters.
const MAX_EXPLANATION: usize = 160;

mod check;
mod fields;
mod salvage;
mod scan;

/// A frame that was understood.
#[derive(Debug)]
pub struct Inbound {
    /// What the sender wants its answer to be marked with: a JSON string or integer.
    pub id: Option<Json>,
    /// What it says.
    pub message: ClientMessage,
}

/// A frame that was not.
#[derive(Debug)]
pub struct Malformed {
    /// Its mark, if that could be read.
    pub id: Option<Json>,
    /// `invalid_message`, `unknown_type` or `too_large`.
    pub code: Code,
    /// What is wrong with it.
    pub message: String,
}

/// Everything a client can say.
#[derive(Debug)]
pub enum ClientMessage {
    /// Come in.
    Join(JoinFrame),
    /// Come back.
    Resume(ResumeFrame),
    /// Are you there?
    Ping {
        /// The client's clock.
        t0: Option<f64>,
    },
    /// Where is the film?
    RequestSync {
        /// Echoed in the answer.
        respect_auto_play: bool,
    },
    /// Where the sender's own player is.
    Position {
        /// Seconds.
        position: f64,
        /// Whether it runs.
        playing: bool,
    },
    /// For one member, from its peer connection.
    Signal(Signal),
    /// An application's message for one member.
    Whisper(Whisper),
    /// Something the room decides on.
    Act(Action),
    /// Understood, and nothing follows from it.
    Ignored,
}

/// JOIN.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "docs/protocol.md has them")]
pub struct JoinFrame {
    pub room_id: RoomId,
    pub user_id: UserId,
    #[serde(default, deserialize_with = "check::username")]
    pub username: Option<Box<str>>,
    #[serde(default, deserialize_with = "check::pin")]
    pub pin: Option<Box<str>>,
    pub features: Option<Vec<Box<str>>>,
    pub resume_token: Option<Box<str>>,
}

/// RESUME.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "docs/protocol.md has them")]
pub struct ResumeFrame {
    pub room_id: RoomId,
    pub user_id: UserId,
    pub resume_token: Box<str>,
    pub epoch: u64,
    pub version: u64,
    pub features: Option<Vec<Box<str>>>,
}

/// A directed frame: relayed as it is, with the sender stamped by the server.
#[derive(Debug)]
pub struct Signal {
    /// OFFER, ANSWER and so on.
    pub kind: &'static str,
    /// The name of its payload field, if it has one.
    pub payload: Option<(&'static str, Json)>,
    /// For whom.
    pub to: UserId,
    /// Passed through.
    pub negotiation_id: Option<Json>,
}

/// BROADCAST with a `to`.
#[derive(Debug)]
#[allow(missing_docs, reason = "docs/protocol.md has them")]
pub struct Whisper {
    pub event: Box<str>,
    pub data: Option<Json>,
    pub to: UserId,
}

/// Understands one text frame.
pub fn decode(text: &str) -> Result<Inbound, Malformed> {
    let refuse = |code, message: String| Malformed { id: salvage::id(text), code, message };
    if text.len() > MAX_MESSAGE_BYTES {
        let message = format!("the frame has {} bytes, {MAX_MESSAGE_BYTES} are allowed", text.len());
        return Err(refuse(Code::TooLarge, message));
    }
    // serde would take an array for an object's fields in order.
    if !text.trim_ascii_start().starts_with('{') {
        return Err(refuse(Code::InvalidMessage, "a frame is one JSON object".to_owned()));
    }
    scan::check(text).map_err(|message| refuse(Code::InvalidMessage, message))?;
    let head: Head<'_> = serde_json::from_str(text).map_err(|error| refuse(Code::InvalidMessage, error.to_string()))?;
    let id =
        head.id.map(check::mark).transpose().map_err(|message| refuse(Code::InvalidMessage, message.to_owned()))?;
    match message(&head.kind, text) {
        Ok(Some(message)) => Ok(Inbound { id, message }),
        Ok(None) => {
            let kind: String = head.kind.chars().filter(|c| !c.is_control()).take(check::MAX_LABEL_BYTES).collect();
            Err(Malformed { id, code: Code::UnknownType, message: format!("unknown type {kind:?}") })
        }
        Err(error) => Err(Malformed { id, code: Code::InvalidMessage, message: explain(&head.kind, error) }),
    }
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
}

/// Reads a frame's fields. What is wrong with them is found out in a second reading, which only those that are wrong pay for.
fn read<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, String> {
    serde_json::from_str(text).or_else(|_| {
        let mut reader = serde_json::Deserializer::from_str(text);
        serde_path_to_error::deserialize(&mut reader).map_err(|error| {
            let path = error.path().to_string();
            let what = error.into_inner().to_string();
            // Where in the text does not help anybody; it may also hold all that was sent.
            let what = what.rsplit_once(" at line ").map_or(what.as_str(), |(what, _)| what);
            let what: String = what.chars().take(MAX_EXPLANATION).collect();
            if path == "." { what } else { format!("{path}: {what}") }
        })
    })
}

/// The text that first-generation clients know for a JOIN that does not say who or where; for all else what is wrong.
fn explain(kind: &str, message: String) -> String {
    let nameless = ["missing field", "is empty", "invalid type: null"].iter().any(|what| message.contains(what));
    let name = ["roomId", "userId"].iter().any(|name| message.contains(name));
    if kind == "JOIN" && nameless && name { "Missing roomId or userId".to_owned() } else { message }
}

/// Nothing for a type that no client may send.
#[allow(clippy::too_many_lines, reason = "one arm a type: the table of docs/protocol.md")]
fn message(kind: &str, text: &str) -> Result<Option<ClientMessage>, String> {
    let act = |action| Ok(Some(ClientMessage::Act(action)));
    match kind {
        "JOIN" => Ok(Some(ClientMessage::Join(read(text)?))),
        "RESUME" => Ok(Some(ClientMessage::Resume(read(text)?))),
        "LEAVE" => act(Action::Leave),
        "PING" => {
            let frame: fields::Ping = read(text)?;
            Ok(Some(ClientMessage::Ping { t0: frame.t0 }))
        }
        "UPDATE_USERNAME" => {
            let frame: fields::Username = read(text)?;
            frame.username.map_or(Ok(Some(ClientMessage::Ignored)), |username| act(Action::Rename { username }))
        }
        "PLAY_PAUSE" => {
            let frame: fields::PlayPause = read(text)?;
            let playing = matches!(frame.control, fields::Control::Play);
            act(Action::PlayPause {
                playing,
                position: frame.current_time,
                event: frame.event_timestamp,
                rate: frame.rate,
            })
        }
        "SEEK" => {
            let frame: fields::Playback = read(text)?;
            act(Action::Seek { position: frame.current_time, playing: frame.is_playing, event: frame.event_timestamp })
        }
        "READY" => {
            let frame: fields::Ready = read(text)?;
            act(Action::Ready { target: frame.target_time })
        }
        "POSITION_UPDATE" => {
            let frame: fields::Playback = read(text)?;
            Ok(Some(ClientMessage::Position { position: frame.current_time, playing: frame.is_playing }))
        }
        "HOST_HEARTBEAT" => {
            let frame: fields::Playback = read(text)?;
            act(Action::Heartbeat {
                position: frame.current_time,
                playing: frame.is_playing,
                event: frame.event_timestamp,
            })
        }
        "URL_CHANGE" => {
            let frame: fields::UrlChange = read(text)?;
            act(Action::ChangeUrl { url: frame.url, time: frame.current_time, legacy: false })
        }
        "REQUEST_SYNC" => {
            let frame: fields::RequestSync = read(text)?;
            Ok(Some(ClientMessage::RequestSync { respect_auto_play: frame.respect_auto_play.unwrap_or(false) }))
        }
        "OFFER" => signal("OFFER", Some("offer"), text),
        "ANSWER" => signal("ANSWER", Some("answer"), text),
        "ICE_CANDIDATE" => signal("ICE_CANDIDATE", Some("candidate"), text),
        "RENEGOTIATE" => signal("RENEGOTIATE", None, text),
        "BYE" => signal("BYE", None, text),
        "PLAYBACK_ACK" => signal("PLAYBACK_ACK", Some("control"), text),
        "BROADCAST" => {
            let fields::Broadcast { event, data, to } = read(text)?;
            match to {
                Some(to) => Ok(Some(ClientMessage::Whisper(Whisper { event, data, to }))),
                None => act(Action::Broadcast { event, data }),
            }
        }
        "TOGGLE_GUEST_CONTROL" => {
            let frame: fields::GuestControl = read(text)?;
            act(Action::GuestControl { enabled: frame.enabled })
        }
        "TRANSFER_HOST" => {
            let frame: fields::Target = read(text)?;
            act(Action::TransferHost { to: frame.target_user_id })
        }
        "SET_ROLE" => {
            let frame: fields::SetRole = read(text)?;
            act(Action::SetRole { to: frame.target_user_id, role: frame.role })
        }
        "KICK" => {
            let frame: fields::Kick = read(text)?;
            act(Action::Kick { who: frame.target_user_id, note: frame.reason })
        }
        // Answers to a question that this server answers itself: relaying them would let a member lead another astray.
        "SYNC_RESPONSE" | "SYNC_PLAYBACK" => Ok(Some(ClientMessage::Ignored)),
        _ => Ok(None),
    }
}

fn signal(kind: &'static str, field: Option<&'static str>, text: &str) -> Result<Option<ClientMessage>, String> {
    let frame: fields::Directed = read(text)?;
    let payload = match field {
        None => None,
        Some(field) => {
            let value = match field {
                "offer" => frame.offer,
                "answer" => frame.answer,
                "candidate" => frame.candidate,
                _ => frame.control,
            };
            let value = value.ok_or_else(|| format!("missing field `{field}`"))?;
            let shape = value.0.get();
            let fits = match field {
                "control" => matches!(shape, "\"play\"" | "\"pause\""),
                "candidate" => shape.starts_with('{') || shape == "null",
                _ => shape.starts_with('{'),
            };
            if !fits {
                return Err(format!("{field}: invalid type"));
            }
            Some((field, value))
        }
    };
    Ok(Some(ClientMessage::Signal(Signal { kind, payload, to: frame.to, negotiation_id: frame.negotiation_id })))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> Code {
        decode(text).map(|inbound| format!("{inbound:?}")).expect_err(text).code
    }

    #[test]
    fn what_is_not_an_object_is_refused() {
        for text in ["", "[]", "[\"JOIN\"]", "1", "null", "\"x\"", "{", "{}", "{\"type\":1}", "{\"type\":\"LEAVE\"} x"]
        {
            assert_eq!(code(text), Code::InvalidMessage, "{text}");
        }
        assert_eq!(code("{\"type\":\"HOST_CHANGED\"}"), Code::UnknownType);
        assert_eq!(code(&format!("{{\"type\":\"{}\"}}", "X".repeat(MAX_MESSAGE_BYTES))), Code::TooLarge);
    }

    #[test]
    fn depth_counts_brackets_outside_strings() {
        let nested = |n: usize| format!("{{\"type\":\"LEAVE\",\"x\":{}{}}}", "[".repeat(n), "]".repeat(n));
        assert!(decode(&nested(31)).is_ok());
        assert_eq!(code(&nested(32)), Code::InvalidMessage);
        assert!(decode(&format!("{{\"type\":\"LEAVE\",\"x\":\"\\\"{}\"}}", "[".repeat(99))).is_ok());
    }

    #[test]
    fn numbers_are_positions() {
        for bad in ["-1", "1e999", "\"5\"", "null", "true", "1.1e10", "{}"] {
            let text = format!("{{\"type\":\"SEEK\",\"currentTime\":{bad},\"isPlaying\":true}}");
            assert_eq!(code(&text), Code::InvalidMessage, "{bad}");
        }
    }

    #[test]
    fn urls_are_absolute_and_of_the_web() {
        let strange = ["javascript:alert(1)", "/watch/1", "data:text/html,x", "ftp://x/y", "http:", "https://a b/", ""];
        let mended = [
            "https:/x.org/",
            "https:x.org",
            "https:///x.org",
            "https:\\\\x.org",
            "https://x.org\\@y.org/",
            "https://?x",
            "https://x.org/\u{202e}gpj",
        ];
        for bad in strange.into_iter().chain(mended) {
            let text = serde_json::json!({"type": "URL_CHANGE", "url": bad}).to_string();
            assert_eq!(code(&text), Code::InvalidMessage, "{bad}");
        }
        for good in
            ["https://www.netflix.com/watch/1?trackId=2", "http://x", "http://[::1]:80/#/a", "https://x.org/?a=\\b"]
        {
            let text = serde_json::json!({"type": "URL_CHANGE", "url": good}).to_string();
            assert!(decode(&text).is_ok(), "{good}");
        }
    }

    #[test]
    fn marks_survive_errors() {
        let error = decode("{\"type\":\"NOPE\",\"id\":\"a1\"}").expect_err("unknown");
        assert_eq!(error.id.expect("id").0.get(), "\"a1\"");
        assert_eq!(code("{\"type\":\"LEAVE\",\"id\":{}}"), Code::InvalidMessage);
        assert_eq!(code("{\"type\":\"LEAVE\",\"id\":1.5}"), Code::InvalidMessage);
    }

    #[test]
    fn names_are_tidied() {
        let text = serde_json::json!({"type": "JOIN", "roomId": "r", "userId": "u", "username": format!(" a\u{7}{}", "é".repeat(99)), "pin": ""});
        let Ok(Inbound { message: ClientMessage::Join(join), .. }) = decode(&text.to_string()) else {
            panic!("a JOIN")
        };
        let name = join.username.expect("name");
        assert_eq!(name.chars().count(), check::MAX_USERNAME_CHARS);
        assert!(name.starts_with("aé"));
        assert!(join.pin.is_none());
        assert_eq!(
            decode("{\"type\":\"JOIN\",\"userId\":\"u\"}").expect_err("no room").message,
            "Missing roomId or userId"
        );
    }
}
