//! Decodes the text of a frame to a [`ClientMessage`]. Every input gives a message or an error value.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{ClientFrameType, ClientMessage, Code, MAX_MESSAGE_BYTES, check, client::message};
use crate::room::Json;

/// The maximum length of an explanation, in characters.
const MAX_EXPLANATION: usize = 160;

mod salvage;
mod scan;

/// A decoded frame.
#[derive(Debug)]
pub struct Inbound {
    /// The `id` for the answer: a JSON string or integer.
    pub id: Option<Json>,
    /// Its type.
    pub kind: ClientFrameType,
    /// The message.
    pub message: ClientMessage,
}

/// A frame that cannot be decoded.
#[derive(Debug)]
pub struct Malformed {
    /// Its `id`, if that could be read.
    pub id: Option<Json>,
    /// `invalid_message`, `unknown_type` or `too_large`.
    pub code: Code,
    /// The explanation.
    pub message: String,
}

/// Decodes one text frame.
pub fn decode(text: &str) -> Result<Inbound, Malformed> {
    let refuse = |code, message: String| Malformed { id: salvage::id(text), code, message };
    if text.len() > MAX_MESSAGE_BYTES {
        let message = format!("the frame has {} bytes, {MAX_MESSAGE_BYTES} are allowed", text.len());
        return Err(refuse(Code::TooLarge, message));
    }
    // serde would accept an array as the fields of an object, in order.
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

/// Decodes the fields of a frame. Only invalid frames pay for a second pass, which finds the error.
pub(super) fn read<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, String> {
    serde_json::from_str(text).or_else(|_| {
        let mut reader = serde_json::Deserializer::from_str(text);
        serde_path_to_error::deserialize(&mut reader).map_err(|error| {
            let path = error.path().to_string();
            let what = error.into_inner().to_string();
            // The position in the text does not help, and the rest of the message may contain what was sent.
            let what = what.rsplit_once(" at line ").map_or(what.as_str(), |(what, _)| what);
            let what: String = what.chars().take(MAX_EXPLANATION).collect();
            if path == "." { what } else { format!("{path}: {what}") }
        })
    })
}

/// The explanation. First-generation clients know a certain text for a JOIN without user or room.
fn explain(kind: ClientFrameType, message: String) -> String {
    let nameless = ["missing field", "is empty", "invalid type: null"].iter().any(|what| message.contains(what));
    let name = ["roomId", "userId"].iter().any(|name| message.contains(name));
    if kind == ClientFrameType::Join && nameless && name { "Missing roomId or userId".to_owned() } else { message }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Hello;

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
    fn what_is_shown_for_a_frame_has_no_secret() {
        for text in [
            r#"{"type":"JOIN","roomId":"r","userId":"u","pin":"hush","resumeToken":"hush"}"#,
            r#"{"type":"RESUME","roomId":"r","userId":"u","resumeToken":"hush","epoch":1,"version":1}"#,
            r#"{"type":"SET_PIN","pin":"hush"}"#,
        ] {
            let shown = format!("{:?}", decode(text).expect("it is valid"));
            assert!(!shown.contains("hush"), "{shown}");
        }
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
