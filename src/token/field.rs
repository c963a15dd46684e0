use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::Value;

use super::TokenError;

/// A member of a JSON object that is absent, or given, or given as something that it cannot be. `null` is the last of these: a claim that
/// cannot be read is never one that is not there.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) enum Field<T> {
    #[default]
    Absent,
    Given(T),
    Wrong,
}

impl<T> Field<T> {
    /// Whether it is there and cannot be read.
    pub(super) fn is_wrong(&self) -> bool {
        matches!(self, Self::Wrong)
    }

    /// The value, if the claim of this name is there.
    pub(super) fn optional(self, claim: &'static str) -> Result<Option<T>, TokenError> {
        match self {
            Self::Absent => Ok(None),
            Self::Given(value) => Ok(Some(value)),
            Self::Wrong => Err(TokenError::Claim(claim)),
        }
    }

    /// The value; the claim has to be there.
    pub(super) fn required(self, claim: &'static str) -> Result<T, TokenError> {
        self.optional(claim)?.ok_or(TokenError::Missing(claim))
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(from)?;
        Ok(T::deserialize(value).map_or(Self::Wrong, Self::Given))
    }
}

/// A JSON object. Without it a list would do, too: serde takes its values for the fields of a struct, in their order.
#[derive(Debug)]
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct OfMap<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for OfMap<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }
        from.deserialize_map(OfMap(PhantomData))
    }
}
