use serde_json::Value;

pub(super) fn number(frame: &Value, field: &str) -> u64 {
    frame[field].as_u64().unwrap_or_default()
}

pub(super) fn text(frame: &Value, field: &str) -> String {
    frame[field].as_str().unwrap_or_default().to_owned()
}
