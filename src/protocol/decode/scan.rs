//! One pass over the bytes of a frame, for errors that a parser which skips fields would not notice.

use std::{fmt, str::Bytes};

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// The maximum nesting of a frame. Real frames have four levels.
const MAX_DEPTH: usize = 32;
/// More consecutive digits than any number needs.
const MANY_DIGITS: usize = 40;

/// Refuses frames that are nested too deeply, or that some receivers of a relayed frame could not parse: half a surrogate pair, or a number
/// that JavaScript does not have.
pub(super) fn check(text: &str) -> Result<(), String> {
    let (mut depth, mut digits, mut doubtful) = (0_usize, 0_usize, false);
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => doubtful |= skip_string(&mut bytes),
            b'{' | b'[' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(format!("the frame nests deeper than {MAX_DEPTH} levels"));
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'e' | b'E' if digits > 0 => doubtful = true,
            _ => {}
        }
        digits = if byte.is_ascii_digit() { digits + 1 } else { 0 };
        doubtful |= digits > MANY_DIGITS;
    }
    // A second pass, which reads each text and each number as a receiver would, and keeps none.
    if doubtful && serde_json::from_str::<Read>(text).is_err() {
        return Err("the frame has a text or a number that is none".to_owned());
    }
    Ok(())
}

/// Any JSON, read and thrown away. `IgnoredAny` would not read its texts and numbers.
struct Read;

impl<'de> Deserialize<'de> for Read {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Read {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self, A::Error> {
        while list.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        while map.next_entry::<Self, Self>()?.is_some() {}
        Ok(self)
    }
}

/// Goes past the quote that ends a string, and says whether the string has a code unit as an escape (`\u`).
/// Nearly all bytes of a large frame are in strings, so this loop compares each with two values only.
fn skip_string(bytes: &mut Bytes<'_>) -> bool {
    let mut code_units = false;
    while bytes.find(|byte| matches!(byte, b'"' | b'\\')) == Some(b'\\') {
        code_units |= bytes.next() == Some(b'u');
    }
    code_units
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_could_not_read_is_refused() {
        for good in [r#"{"a":"\u00e9 \ud83d\ude00 1e999"}"#, r#"{"a":[1e5,-0.5E-3,true]}"#, r#"{"a":"\\ud800"}"#] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        let long = format!("{{\"a\":{}}}", "9".repeat(400));
        for bad in [r#"{"a":"\ud800"}"#, r#"{"a":["\udc00\ud800"]}"#, r#"{"a":1e999}"#, long.as_str()] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_string_ends_at_the_first_quote_that_is_not_escaped() {
        let deep = format!("{}{}", "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH));
        for inside in [format!(r#"{{"a":"\"{deep}"}}"#), format!(r#"{{"a":"\\\"{deep}"}}"#)] {
            assert_eq!(check(&inside), Ok(()), "{inside}");
        }
        for outside in [format!(r#"{{"a":"","b":{deep}}}"#), format!(r#"{{"a":"\\","b":{deep}}}"#)] {
            assert!(check(&outside).is_err(), "{outside}");
        }
    }
}
