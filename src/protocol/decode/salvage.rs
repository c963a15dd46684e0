//! Reads the `id` of a frame that cannot be decoded.

use std::{borrow::Cow, fmt};

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::check;
use crate::room::Json;

/// The first `id` of a frame, if it can be read, whatever is wrong with other fields or after it.
pub(super) fn id(text: &str) -> Option<Json> {
    let mut found = None;
    // This fails where the frame is broken; the fields before that are known by then.
    let _ = Seeker(&mut found).deserialize(&mut serde_json::Deserializer::from_str(text));
    found
}

struct Seeker<'a>(&'a mut Option<Json>);

impl<'de> DeserializeSeed<'de> for Seeker<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Seeker<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            if key != "id" || self.0.is_some() {
                map.next_value::<IgnoredAny>()?;
            } else if let Some(raw) = map.next_value::<Option<&RawValue>>()? {
                *self.0 = check::mark(raw).ok();
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_found_wherever_it_can_be_read() {
        let deep = format!(r#"{{"x":{}{},"id":7}}"#, "[".repeat(5_000), "]".repeat(5_000));
        for text in [
            r#"{"id":7}"#,
            r#"{"type":5,"id":7}"#,
            r#"{"type":"SEEK","currentTime":1e999,"x":"\ud800","id":7}"#,
            r#"{"id":7,"id":8}"#,
            r#"{"id":7,"type":"SEEK","currentTime":}"#,
            r#"{"id":7"#,
            r#"{"id":7,"type":"LEAVE"} and more"#,
            deep.as_str(),
        ] {
            assert_eq!(id(text).expect(text).0.get(), "7", "{text:.80}");
        }
        for text in ["", "7", "[7]", r#"{"id":{}}"#, r#"{"id":null}"#, r#"{"id":1.5}"#, r#"{"x" "id":7}"#] {
            assert!(id(text).is_none(), "{text}");
        }
    }
}
