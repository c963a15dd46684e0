use serde::{Deserialize, Serialize};

use super::Change;
use crate::{clock::Millis, id::RoomId};

/// The changes of one commit: the first takes the room from `base` to `base + 1`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Update {
    /// The room.
    pub room: RoomId,
    /// The resulting epoch.
    pub epoch: u64,
    /// The version that was changed.
    pub base: u64,
    /// When it was decided.
    pub at: Millis,
    /// The changes, in order.
    pub changes: Vec<Change>,
}

impl Update {
    /// The version that results.
    pub fn version(&self) -> u64 {
        self.base + self.changes.len() as u64
    }

    /// The approximate memory of the update, in bytes.
    pub fn weight(&self) -> usize {
        size_of::<Self>() + self.changes.iter().map(Change::weight).sum::<usize>()
    }
}
