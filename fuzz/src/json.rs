//! Frames of the server, as clients that trust nothing read them.

use std::fmt;

use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};
use tandem::protocol::{Frame, ServerFrameType};

/// Checks that a frame is one JSON object that begins with its type and has no field twice.
pub fn check(frame: &Frame) {
    let text = frame.as_str();
    let fields = keys(text);
    let twice = fields.iter().enumerate().find(|(place, field)| fields[..*place].contains(field));
    assert_eq!(twice, None, "a field twice: {text}");
    assert_eq!(fields.first().map(String::as_str), Some("type"), "{text}");
    let word = text.strip_prefix("{\"type\":\"").and_then(|rest| rest.split_once('"')).map(|(word, _)| word);
    assert_eq!(word.and_then(ServerFrameType::parse), Some(frame.kind()), "{text}");
    assert!(!text.contains("\"code\":\"internal\""), "it could not be encoded: {text}");
}

/// The names of the fields of an object, in order.
pub fn keys(text: &str) -> Vec<String> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let keys = reader.deserialize_map(Keys).unwrap_or_else(|error| panic!("{error}: {text}"));
    reader.end().unwrap_or_else(|error| panic!("{error}: {text}"));
    keys
}

struct Keys;

impl<'de> Visitor<'de> for Keys {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut keys = Vec::new();
        while let Some((key, IgnoredAny)) = map.next_entry::<String, IgnoredAny>()? {
            keys.push(key);
        }
        Ok(keys)
    }
}
