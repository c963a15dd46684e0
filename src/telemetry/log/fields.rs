use std::{borrow::Cow, fmt};

use serde::{
    Serialize,
    de::{Deserialize, Deserializer, MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// The fields of a log line, in their order, each once. A value is kept as the JSON that it was written as: nearly all of them are only
/// passed on, and a busy node writes thousands of lines a second.
#[derive(Debug, Default)]
pub(super) struct Fields<'a> {
    list: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

/// More fields than a line usually has.
const USUAL: usize = 16;

impl<'a> Fields<'a> {
    /// The fields of a line; `None` if it is no JSON object.
    pub(super) fn read(line: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.list.iter().map(|(key, json)| (&**key, &**json))
    }

    /// The JSON of a field.
    pub(super) fn json(&self, key: &str) -> Option<&str> {
        self.iter().find_map(|(known, json)| (known == key).then_some(json))
    }

    /// A field that is a text.
    pub(super) fn text(&self, key: &str) -> Option<Cow<'_, str>> {
        text(self.json(key)?)
    }

    /// A field that is an integer.
    pub(super) fn integer(&self, key: &str) -> Option<i64> {
        self.json(key)?.parse().ok()
    }

    pub(super) fn remove(&mut self, key: &str) {
        self.list.retain(|(known, _)| known != key);
    }

    /// Sets a field, in its place if it has one.
    pub(super) fn set(&mut self, key: &'a str, value: impl Serialize) {
        self.set_json(key.into(), written(&value).into());
    }

    /// Adds a text, unless the line has the field already.
    pub(super) fn add(&mut self, key: &'static str, value: &str) {
        if self.json(key).is_none() {
            self.list.push((key.into(), written(value).into()));
        }
    }

    /// Replaces a text by what `replace` makes of it.
    pub(super) fn replace(&mut self, key: &str, replace: impl FnOnce(&str) -> Option<String>) {
        if let Some((_, json)) = self.list.iter_mut().find(|(known, _)| known == key)
            && let Some(new) = text(json).and_then(|old| replace(&old))
        {
            *json = written(&new).into();
        }
    }

    fn set_json(&mut self, key: Cow<'a, str>, json: Cow<'a, str>) {
        match self.list.iter_mut().find(|(known, _)| *known == key) {
            Some((_, old)) => *old = json,
            None => self.list.push((key, json)),
        }
    }
}

/// The text that a JSON value is.
pub(super) fn text(json: &str) -> Option<Cow<'_, str>> {
    match json.strip_prefix('"')?.strip_suffix('"')? {
        plain if !plain.contains('\\') => Some(plain.into()),
        _ => serde_json::from_str(json).ok().map(Cow::Owned),
    }
}

fn written(value: &(impl Serialize + ?Sized)) -> String {
    // Texts and numbers can always be written.
    serde_json::to_string(value).unwrap_or_default()
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Fields { list: Vec::with_capacity(USUAL) };
        while let Some((key, json)) = map.next_entry::<Key<'de>, &'de RawValue>()? {
            // Of two equal keys the last one counts.
            fields.set_json(key.0, json.get().into());
        }
        Ok(fields)
    }
}

#[derive(serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_passed_on_as_they_were_written() {
        let line = r#"{"a":"x\ny","b":1.50,"c":[1, {"d":null}],"a\tb":true}"#;
        let mut fields = Fields::read(line.as_bytes()).unwrap();
        let found: Vec<_> = fields.iter().collect();
        assert_eq!(found, [("a", r#""x\ny""#), ("b", "1.50"), ("c", r#"[1, {"d":null}]"#), ("a\tb", "true")]);
        assert_eq!((fields.text("a").as_deref(), fields.text("b"), fields.integer("b")), (Some("x\ny"), None, None));
        fields.set("a", "\"");
        fields.add("b", "not this");
        fields.add("e", "\u{1b}");
        fields.remove("c");
        fields.remove("a\tb");
        let found: Vec<_> = fields.iter().collect();
        assert_eq!(found, [("a", r#""\"""#), ("b", "1.50"), ("e", r#""\u001b""#)]);
    }

    #[test]
    fn of_two_equal_keys_the_last_one_counts() {
        let fields = Fields::read(br#"{"a":1,"b":2,"a":3}"#).unwrap();
        assert_eq!(fields.iter().collect::<Vec<_>>(), [("a", "3"), ("b", "2")]);
        assert!(Fields::read(b"[]").is_none() && Fields::read(b"{").is_none());
    }

    #[test]
    fn only_texts_are_replaced() {
        let mut fields = Fields::read(br#"{"a":"x","b":7}"#).unwrap();
        for key in ["a", "b", "c"] {
            fields.replace(key, |old| Some(old.repeat(2)));
        }
        assert_eq!(fields.iter().collect::<Vec<_>>(), [("a", r#""xx""#), ("b", "7")]);
    }
}
