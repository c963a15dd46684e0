//! Names of rooms, users, nodes and sockets: checked once, at the door, and cheap to clone after that.

use std::{fmt, sync::Arc};

use minicbor::{Decode, Decoder, Encode, Encoder, decode, encode, encode::Write};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The longest room or user id, in bytes.
pub const MAX_ID_BYTES: usize = 128;

/// The sender of what the server does by itself: no user may be called so.
pub const SERVER: &str = "server";

/// Why a text cannot be an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// It has no characters.
    #[error("is empty")]
    Empty,
    /// It is longer than [`MAX_ID_BYTES`].
    #[error("is longer than {MAX_ID_BYTES} bytes")]
    TooLong,
    /// It has a control character.
    #[error("has a control character")]
    Control,
    /// It is [`SERVER`].
    #[error("is reserved")]
    Reserved,
}

fn check(text: &str) -> Result<(), IdError> {
    if text.is_empty() {
        Err(IdError::Empty)
    } else if text.len() > MAX_ID_BYTES {
        Err(IdError::TooLong)
    } else if text.chars().any(char::is_control) {
        Err(IdError::Control)
    } else {
        Ok(())
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident $(but $reserved:ident)?) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks `text`: 1 to [`MAX_ID_BYTES`] bytes, no control characters.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                $(if text == $reserved {
                    return Err(IdError::Reserved);
                })?
                check(text).map(|()| Self(text.into()))
            }

            /// The id as it was given.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::parse(&text)
            }
        }

        impl<C> Encode<C> for $name {
            fn encode<W: Write>(&self, to: &mut Encoder<W>, _: &mut C) -> Result<(), encode::Error<W::Error>> {
                to.str(&self.0)?.ok()
            }
        }

        impl<'b, C> Decode<'b, C> for $name {
            fn decode(from: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
                Self::parse(from.str()?).map_err(|_| decode::Error::message("it is no id"))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

text_id! {
    /// A room, named by its founder.
    RoomId
}
text_id! {
    /// A person, or rather one running client: named by itself.
    UserId but SERVER
}
text_id! {
    /// A node of the cluster.
    NodeId
}

/// One WebSocket connection: the wire calls it `peerId` and `session`. Public, and never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ConnId(pub Uuid);

impl ConnId {
    /// A fresh one.
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }
}

impl<C> Encode<C> for ConnId {
    fn encode<W: Write>(&self, to: &mut Encoder<W>, _: &mut C) -> Result<(), encode::Error<W::Error>> {
        to.bytes(self.0.as_bytes())?.ok()
    }
}

impl<'b, C> Decode<'b, C> for ConnId {
    fn decode(from: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
        Uuid::from_slice(from.bytes()?).map(Self).map_err(|_| decode::Error::message("it is no id of a connection"))
    }
}

impl fmt::Display for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_checked() {
        assert_eq!(RoomId::parse(""), Err(IdError::Empty));
        assert_eq!(RoomId::parse(&"x".repeat(129)), Err(IdError::TooLong));
        assert_eq!(UserId::parse("a\u{7}b"), Err(IdError::Control));
        assert_eq!(UserId::parse("server"), Err(IdError::Reserved));
        assert_eq!(UserId::parse("é ☂").unwrap().as_str(), "é ☂");
    }
}
