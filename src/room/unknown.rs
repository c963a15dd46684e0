/// Fields of a record that this release does not know, because a later one wrote them: pairs of CBOR, as they stood there. They are passed on
/// unchanged, so that a change by this release does not remove them. Without such fields this costs one pointer.
#[derive(Debug, Clone, Default, PartialEq)]
#[allow(clippy::box_collection, reason = "a vector is three times as large as a pointer, and there is none as a rule")]
pub struct UnknownFields(Option<Box<Vec<u8>>>);

impl UnknownFields {
    /// Whether there are no such fields.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The fields, one after the other.
    pub fn pairs(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |pairs| pairs.as_slice())
    }
}

impl From<Vec<u8>> for UnknownFields {
    fn from(pairs: Vec<u8>) -> Self {
        Self((!pairs.is_empty()).then(|| Box::new(pairs)))
    }
}
