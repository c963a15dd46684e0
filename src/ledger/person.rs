//! A person whose traces are searched for, and what was found of them.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;

use crate::id::UserId;

/// Stands where the id of somebody stood who was erased.
pub const FORGOTTEN: &str = "forgotten";

/// Somebody who is to be forgotten.
#[derive(Debug, Clone)]
pub struct Person {
    /// Their id.
    pub user: UserId,
    /// The id as a text in JSON.
    quoted: String,
}

/// How much of a person was found or erased.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Erased {
    /// Events that they caused.
    pub events: u64,
    /// Events of others that name them. These stay, with [`FORGOTTEN`] in place of the name.
    pub mentions: u64,
    /// Rows of `users` and `room_bans`: one for each room that they were in, or may not come into.
    pub users: u64,
    /// Rows of `rooms` that name them as the host.
    pub rooms: u64,
    /// Dead letters that name them.
    pub dead_letters: u64,
    /// Entries that waited in Redis.
    pub queued: u64,
    /// Other keys in Redis.
    pub keys: u64,
}

impl Erased {
    /// Whether there was nothing.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// Adds what another pass found.
    pub fn add(&mut self, other: Self) {
        let Self { events, mentions, users, rooms, dead_letters, queued, keys } = other;
        self.events += events;
        self.mentions += mentions;
        self.users += users;
        self.rooms += rooms;
        self.dead_letters += dead_letters;
        self.queued += queued;
        self.keys += keys;
    }
}

impl Person {
    /// The person with this id.
    pub fn new(user: UserId) -> Self {
        let quoted = Value::from(user.as_str()).to_string();
        Self { user, quoted }
    }

    /// The id as it stands in the text of JSON.
    pub(super) fn quoted(&self) -> &str {
        &self.quoted
    }

    /// Whether any text in a value is their id.
    pub fn is_in(&self, value: &Value) -> bool {
        match value {
            Value::String(text) => text == self.user.as_str(),
            Value::Array(all) => all.iter().any(|value| self.is_in(value)),
            Value::Object(fields) => fields.iter().any(|(name, value)| name == self.user.as_str() || self.is_in(value)),
            _ => false,
        }
    }

    /// Whether bytes that nobody may be able to decode name them, in JSON or in CBOR.
    pub fn is_in_bytes(&self, bytes: &[u8]) -> bool {
        let mut text = Vec::new();
        // A vector takes everything.
        let _ = minicbor::encode(self.user.as_str(), &mut text);
        [self.quoted.as_bytes(), text.as_slice()]
            .iter()
            .any(|wanted| bytes.windows(wanted.len()).any(|window| window == *wanted))
    }

    /// The data of an event of somebody else without them, if it names them. Their words, such as why they threw somebody out, go too.
    pub(super) fn scrubbed<'a>(&self, data: &'a str) -> Cow<'a, str> {
        let Ok(mut value) = serde_json::from_str::<Value>(data) else { return Cow::Borrowed(data) };
        if !self.is_in(&value) {
            return Cow::Borrowed(data);
        }
        if value.get("by").and_then(Value::as_str) == Some(self.user.as_str())
            && let Some(reason) = value.get_mut("reason")
        {
            *reason = Value::Null;
        }
        self.replace(&mut value);
        Cow::Owned(value.to_string())
    }

    fn replace(&self, value: &mut Value) {
        match value {
            Value::String(text) if text == self.user.as_str() => FORGOTTEN.clone_into(text),
            Value::Array(all) => all.iter_mut().for_each(|value| self.replace(value)),
            Value::Object(fields) => fields.values_mut().for_each(|value| self.replace(value)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(name: &str) -> Person {
        Person::new(UserId::parse(name).unwrap())
    }

    #[test]
    fn whoever_is_named_is_named_no_more_and_nothing_else_changes() {
        let ana = person("ana");
        let kick = r#"{"by":"ana","reason":"he is a banana","peerId":"x"}"#;
        assert_eq!(ana.scrubbed(kick), r#"{"by":"forgotten","peerId":"x","reason":null}"#);
        assert_eq!(ana.scrubbed(r#"{"all":[{"user":"ana"},"anab"]}"#), r#"{"all":[{"user":"forgotten"},"anab"]}"#);
        for kept in [r#"{"by": "ben", "reason": "ana did it"}"#, r#"{"username":"banana"}"#, "no JSON, ana", "1"] {
            assert_eq!(ana.scrubbed(kept), kept);
        }
    }

    #[test]
    fn an_id_is_found_in_bytes_as_a_whole() {
        let quote = person("a\"n");
        assert!(quote.is_in_bytes(br#"xx {"user":"a\"n"} and"#));
        assert!(quote.is_in_bytes(b"1\x84\x63a\"n\x00"));
        assert!(!person("ana").is_in_bytes(b"\"banana\" \x66banana anab"));
        assert!(person("ana").is_in(&serde_json::json!({"ana": 1})));
    }
}
