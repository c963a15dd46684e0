use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

/// Fields of a record that this release does not know, because a later one wrote them. They are passed on unchanged, so that a change by
/// this release does not remove them. Without such fields this costs one pointer.
#[derive(Debug, Clone, Default, PartialEq)]
#[allow(clippy::box_collection, reason = "a map is three times as large as a pointer, and there is none as a rule")]
pub struct UnknownFields(Option<Box<Map<String, Value>>>);

impl UnknownFields {
    /// Whether there are no such fields.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

impl Serialize for UnknownFields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().flat_map(|fields| fields.iter()))
    }
}

impl<'de> Deserialize<'de> for UnknownFields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fields = Map::deserialize(deserializer)?;
        Ok(Self((!fields.is_empty()).then(|| Box::new(fields))))
    }
}
