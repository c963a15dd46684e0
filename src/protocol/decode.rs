//! Bytes from a socket to a [`ClientMessage`]. Whatever comes in, the answer is a value: nothing in here can fail otherwise.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    ClientFrameType, ClientMessage, Code, Hello, MAX_MESSAGE_BYTES, MemberMessage, Signal, SignalKind, Whisper,
};
use crate::room::{Action, Json, UrlTime};

/// The longest explanation of what is wrong, in characters.
const MAX_EXPLANATION: usize = 160;

mod check;
mod fields;
mod salvage;
mod scan;

pub use fields::{JoinFrame, ResumeFrame};

/// A frame that was understood.
#[derive(Debug)]
pub struct Inbound {
    /// What the sender wants its answer to be marked with: a JSON string or integer.
    pub id: Option<Json>,
    /// Its type.
    pub kind: ClientFrameType,
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
    let Some(kind) = ClientFrameType::parse(&head.kind) else {
        let kind: String = head.kind.chars().filter(|c| !c.is_control()).take(check::MAX_LABEL_BYTES).collect();
        return Err(Malformed { id, code: Code::UnknownType, message: format!("unknown type {kind:?}") });
    };
    match message(kind, text) {
        Ok(message) => Ok(Inbound { id, kind, message }),
        Err(error) => Err(Malformed { id, code: Code::InvalidMessage, message: explain(kind, error) }),
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
fn explain(kind: ClientFrameType, message: String) -> String {
    let nameless = ["missing field", "is empty", "invalid type: null"].iter().any(|what| message.contains(what));
    let name = ["roomId", "userId"].iter().any(|name| message.contains(name));
    if kind == ClientFrameType::Join && nameless && name { "Missing roomId or userId".to_owned() } else { message }
}

#[allow(clippy::too_many_lines, reason = "one arm a type: the table of docs/protocol.md")]
fn message(kind: ClientFrameType, text: &str) -> Result<ClientMessage, String> {
    let hello = |hello| Ok(ClientMessage::Hello(hello));
    let member = |message| Ok(ClientMessage::Member(message));
    let act = |action| member(MemberMessage::Act(action));
    match kind {
        ClientFrameType::Join => hello(Hello::Join(read(text)?)),
        ClientFrameType::Resume => hello(Hello::Resume(read(text)?)),
        ClientFrameType::Ping => {
            let frame: fields::Ping = read(text)?;
            Ok(ClientMessage::Ping { t0: frame.t0 })
        }
        ClientFrameType::Leave => act(Action::Leave),
        ClientFrameType::UpdateUsername => {
            let frame: fields::Username = read(text)?;
            frame.username.map_or(member(MemberMessage::Ignored), |username| act(Action::Rename { username }))
        }
        ClientFrameType::PlayPause => {
            let frame: fields::PlayPause = read(text)?;
            let playing = matches!(frame.control, fields::Control::Play);
            act(Action::PlayPause {
                playing,
                position: frame.current_time,
                event: frame.event_timestamp,
                rate: frame.rate,
            })
        }
        ClientFrameType::Seek => {
            let frame: fields::Playback = read(text)?;
            act(Action::Seek { position: frame.current_time, playing: frame.is_playing, event: frame.event_timestamp })
        }
        ClientFrameType::Ready => {
            let frame: fields::Ready = read(text)?;
            act(Action::Ready { target: frame.target_time })
        }
        ClientFrameType::PositionUpdate => {
            let frame: fields::Playback = read(text)?;
            member(MemberMessage::Position { position: frame.current_time, playing: frame.is_playing })
        }
        ClientFrameType::HostHeartbeat => {
            let frame: fields::Playback = read(text)?;
            act(Action::Heartbeat {
                position: frame.current_time,
                playing: frame.is_playing,
                event: frame.event_timestamp,
            })
        }
        ClientFrameType::UrlChange => {
            let frame: fields::UrlChange = read(text)?;
            act(Action::ChangeUrl { url: frame.url, time: frame.current_time.map(UrlTime::Seconds) })
        }
        ClientFrameType::RequestSync => {
            let frame: fields::RequestSync = read(text)?;
            member(MemberMessage::RequestSync { respect_auto_play: frame.respect_auto_play.unwrap_or(false) })
        }
        ClientFrameType::Offer => signal(SignalKind::Offer, text),
        ClientFrameType::Answer => signal(SignalKind::Answer, text),
        ClientFrameType::IceCandidate => signal(SignalKind::IceCandidate, text),
        ClientFrameType::Renegotiate => signal(SignalKind::Renegotiate, text),
        ClientFrameType::Bye => signal(SignalKind::Bye, text),
        ClientFrameType::PlaybackAck => signal(SignalKind::PlaybackAck, text),
        ClientFrameType::Broadcast => {
            let fields::Broadcast { event, data, to } = read(text)?;
            match to {
                Some(to) => member(MemberMessage::Whisper(Whisper { event, data, to })),
                None => act(Action::Broadcast { event, data }),
            }
        }
        ClientFrameType::ToggleGuestControl => {
            let frame: fields::GuestControl = read(text)?;
            act(Action::GuestControl { enabled: frame.enabled })
        }
        ClientFrameType::TransferHost => {
            let frame: fields::Target = read(text)?;
            act(Action::TransferHost { to: frame.target_user_id })
        }
        ClientFrameType::SetRole => {
            let frame: fields::SetRole = read(text)?;
            act(Action::SetRole { to: frame.target_user_id, role: frame.role })
        }
        ClientFrameType::Kick => {
            let frame: fields::Kick = read(text)?;
            act(Action::Kick { who: frame.target_user_id, note: frame.reason })
        }
        // Answers to a question that this server answers itself: relaying them would let a member lead another astray.
        ClientFrameType::SyncResponse | ClientFrameType::SyncPlayback => member(MemberMessage::Ignored),
    }
}

fn signal(kind: SignalKind, text: &str) -> Result<ClientMessage, String> {
    let frame: fields::Directed = read(text)?;
    let fields::Directed { to, offer, answer, candidate, control, negotiation_id } = frame;
    let payload = match kind {
        SignalKind::Offer => offer,
        SignalKind::Answer => answer,
        SignalKind::IceCandidate => candidate,
        SignalKind::PlaybackAck => control,
        SignalKind::Renegotiate | SignalKind::Bye => None,
    };
    if let Some(field) = kind.payload_field() {
        let payload = payload.as_ref().ok_or_else(|| format!("missing field `{field}`"))?;
        if !kind.accepts(&payload.0) {
            return Err(format!("{field}: invalid type"));
        }
    }
    Ok(ClientMessage::Member(MemberMessage::Signal(Signal { kind, payload, to, negotiation_id })))
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
        let Ok(Inbound { message: ClientMessage::Hello(Hello::Join(join)), .. }) = decode(&text.to_string()) else {
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
