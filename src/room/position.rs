use std::fmt;

use super::{Room, Update};

/// A point in the history of a room. Positions of one epoch are ordered by their version; epochs only grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct StreamPosition {
    /// The epoch.
    pub epoch: u64,
    /// The version within the epoch.
    pub version: u64,
}

impl fmt::Display for StreamPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.epoch, self.version)
    }
}

impl Room {
    /// The present position of the room.
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
