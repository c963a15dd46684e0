use std::fmt;

use super::{Room, Update};

/// A point in the life of a room. Positions of one epoch are ordered by their version; epochs only grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct StreamPosition {
    /// Which incarnation of the room.
    pub epoch: u64,
    /// The version within that incarnation.
    pub version: u64,
}

impl fmt::Display for StreamPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.epoch, self.version)
    }
}

impl Room {
    /// How far the room has come.
    pub fn position(&self) -> StreamPosition {
        StreamPosition { epoch: self.epoch, version: self.version }
    }
}

impl Update {
    /// The position that the update leads to.
    pub fn position(&self) -> StreamPosition {
        StreamPosition { epoch: self.epoch, version: self.version() }
    }
}
