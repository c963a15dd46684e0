//! One received frame: its value, and the very text it came as.

use std::{collections::BTreeMap, fmt, ops::Deref};

use serde_json::{Value, value::RawValue};

use crate::schema;

#[derive(Clone)]
pub struct Frame {
    value: Value,
    text: String,
}

impl Frame {
    /// Panics when the schema does not have such a frame.
    pub fn parse(text: &str) -> Self {
        let value: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("not JSON: {error}\n{text}"));
        if let Err(why) = schema::check("server", &value) {
            panic!("a frame that is not as documented:\n{text}\n{why}");
        }
        Self { value, text: text.to_owned() }
    }

    pub fn kind(&self) -> &str {
        self.value["type"].as_str().unwrap()
    }

    pub fn is(&self, kind: &str) -> bool {
        self.kind() == kind
    }

    pub fn has(&self, field: &str) -> bool {
        self.value.get(field).is_some()
    }

    pub fn str(&self, field: &str) -> &str {
        self.value[field].as_str().unwrap_or_else(|| panic!("no text `{field}` in {self:?}"))
    }

    pub fn int(&self, field: &str) -> u64 {
        self.value[field].as_u64().unwrap_or_else(|| panic!("no integer `{field}` in {self:?}"))
    }

    pub fn num(&self, field: &str) -> f64 {
        self.value[field].as_f64().unwrap_or_else(|| panic!("no number `{field}` in {self:?}"))
    }

    pub fn version(&self) -> u64 {
        self.int("version")
    }

    /// A number by its exact text: `serde_json::Value` may be off by one in the last place.
    pub fn exact(&self, field: &str) -> f64 {
        let fields: BTreeMap<String, &RawValue> = serde_json::from_str(&self.text).unwrap();
        fields[field].get().parse().unwrap()
    }

    /// The ids in `users`, in their order.
    pub fn users(&self) -> Vec<&str> {
        let users = self.value["users"].as_array().unwrap();
        users.iter().map(|user| user["userId"].as_str().unwrap()).collect()
    }

    /// One entry of `users`.
    pub fn user(&self, id: &str) -> &Value {
        let users = self.value["users"].as_array().unwrap();
        users.iter().find(|user| user["userId"] == id).unwrap_or_else(|| panic!("no {id} in {self:?}"))
    }
}

impl Deref for Frame {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.value
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Nothing but a word for each frame, for comparing whole conversations.
pub fn kinds(frames: &[Frame]) -> Vec<&str> {
    frames.iter().map(Frame::kind).collect()
}
