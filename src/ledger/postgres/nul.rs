use serde_json::Value;

/// U+0000 as JSON escapes it.
const NUL: &str = "\\u0000";

/// The JSON text with U+FFFD for each U+0000 in its strings, because PostgreSQL cannot store U+0000. `None` if there is none, which is
/// nearly always the case.
pub fn without_nul(json: &str) -> Option<String> {
    if !json.contains(NUL) {
        return None;
    }
    // Not a mere replacement of text, because a preceding backslash makes the six letters an ordinary text.
    let mut value: Value = serde_json::from_str(json).ok()?;
    tidy(&mut value);
    Some(value.to_string())
}

fn tidy(value: &mut Value) {
    match value {
        Value::String(text) => clean(text),
        Value::Array(list) => list.iter_mut().for_each(tidy),
        Value::Object(map) => {
            *map = std::mem::take(map)
                .into_iter()
                .map(|(mut key, mut value)| {
                    clean(&mut key);
                    tidy(&mut value);
                    (key, value)
                })
                .collect();
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn clean(text: &mut String) {
    if text.contains('\0') {
        *text = text.replace('\0', "\u{FFFD}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_real_ones_are_replaced() {
        assert_eq!(without_nul(r#"{"a":"b"}"#), None);
        let tidy = without_nul(r#"{"a\u0000":["\u0000x", "\\u0000", 1.5]}"#).unwrap();
        assert_eq!(tidy, "{\"a\u{FFFD}\":[\"\u{FFFD}x\",\"\\\\u0000\",1.5]}");
    }
}
