use std::{fmt, str::FromStr};

use minicbor::{Decode, Encode};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Something that a token may allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// To enter a room.
    Join,
    /// To move playback, where the role may.
    Control,
    /// To send BROADCAST frames.
    Broadcast,
    /// To send signals of WebRTC.
    Signal,
    /// To do what hosts and co-hosts do, where the role may.
    Moderate,
}

impl Right {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Join, Self::Control, Self::Broadcast, Self::Signal, Self::Moderate];

    /// Its name in the claim `rights`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Control => "control",
            Self::Broadcast => "broadcast",
            Self::Signal => "signal",
            Self::Moderate => "moderate",
        }
    }

    fn bit(self) -> u8 {
        1 << (self as u8)
    }
}

/// A word that names no right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected one of join, control, broadcast, signal and moderate")]
pub struct UnknownRight;

impl FromStr for Right {
    type Err = UnknownRight;
    fn from_str(name: &str) -> Result<Self, UnknownRight> {
        Self::ALL.into_iter().find(|right| right.name() == name).ok_or(UnknownRight)
    }
}

/// A set of rights. It limits what a role may do, and adds nothing to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct Rights(#[n(0)] u8);

impl Rights {
    /// No right.
    pub const NONE: Self = Self(0);
    /// Every right: the role alone decides.
    pub const ALL: Self = Self(0b1_1111);

    /// Whether it has this one.
    pub fn has(self, right: Right) -> bool {
        self.0 & right.bit() != 0
    }

    /// Those that both sets have.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Its rights, in order.
    pub fn iter(self) -> impl Iterator<Item = Right> {
        Right::ALL.into_iter().filter(move |right| self.has(*right))
    }

    /// As a number, for records.
    pub fn bits(self) -> u8 {
        self.0
    }

    /// From a number of a record; bits that mean nothing here are left out.
    pub fn of_bits(bits: u8) -> Self {
        Self(bits).and(Self::ALL)
    }
}

impl FromIterator<Right> for Rights {
    fn from_iter<I: IntoIterator<Item = Right>>(rights: I) -> Self {
        Self(rights.into_iter().fold(0, |bits, right| bits | right.bit()))
    }
}

impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.iter().map(Right::name).collect::<Vec<_>>().join(","))
    }
}

impl Serialize for Rights {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_seq(self.iter().map(Right::name))
    }
}

impl<'de> Deserialize<'de> for Rights {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let names = Vec::<String>::deserialize(from)?;
        names.iter().map(|name| name.parse::<Right>()).collect::<Result<_, _>>().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_what_was_put_in() {
        let some: Rights = [Right::Join, Right::Signal].into_iter().collect();
        for right in Right::ALL {
            assert_eq!(some.has(right), matches!(right, Right::Join | Right::Signal));
            assert!(Rights::ALL.has(right) && !Rights::NONE.has(right));
            assert_eq!(right.name().parse(), Ok(right));
        }
        assert_eq!(Rights::of_bits(some.bits()), some);
        assert_eq!(Rights::of_bits(0xff), Rights::ALL);
        assert_eq!(some.to_string(), "join,signal");
        assert_eq!(serde_json::from_str::<Rights>(r#"["signal","join"]"#).unwrap(), some);
        assert_eq!(serde_json::from_str::<Rights>("[]").unwrap(), Rights::NONE);
        for wrong in [r#"["Join"]"#, r#"["all"]"#, r#""join""#, "[1]"] {
            serde_json::from_str::<Rights>(wrong).unwrap_err();
        }
    }
}
