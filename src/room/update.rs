use serde::{Deserialize, Serialize};

use super::{Change, Footprint};
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

    /// What of the room's record it replaces: of more than one change with a footprint, all of it.
    pub fn footprint(&self) -> Footprint {
        let mut all = Footprint::Nothing;
        for change in &self.changes {
            all = match (all, change.footprint()) {
                (all, Footprint::Nothing) => all,
                (Footprint::Nothing, one) => one,
                _ => Footprint::Room,
            };
        }
        all
    }

    /// The approximate memory of the update, in bytes.
    pub fn weight(&self) -> usize {
        size_of::<Self>() + self.changes.iter().map(Change::weight).sum::<usize>()
    }
}
