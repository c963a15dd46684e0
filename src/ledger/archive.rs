use async_trait::async_trait;

use super::RoomRow;
use crate::{
    clock::Millis,
    id::RoomId,
    room::{Policy, Room, Timeline, Vacancy},
};

/// Rooms as the ledger last knew them.
#[async_trait]
pub trait Archive: Send + Sync + 'static {
    /// A room that was never closed, and not too long ago; within a deadline.
    async fn recall(&self, room: &RoomId) -> Result<Option<RoomRow>, ArchiveError>;
}

/// Why the ledger could not be asked.
#[derive(Debug, thiserror::Error)]
#[error("the ledger cannot be read: {0}")]
pub struct ArchiveError(pub String);

impl RoomRow {
    /// The room, empty, in a new incarnation: the last versions of the old one may not have reached the ledger. Nothing for one that
    /// was closed, or was empty for too long.
    pub fn into_room(self, policy: &Policy, now: Millis) -> Option<Room> {
        if self.archived || self.empty_until.is_some_and(|until| until <= now) {
            return None;
        }
        let until = now + policy.host_grace;
        let vacancy = self.host.map(|user| Vacancy { user, origin: self.host_origin, until });
        Some(Room {
            epoch: now.max(self.epoch + 1),
            version: self.version,
            pin: self.pin,
            vacancy,
            guest_control: self.guest_control,
            url: self.url,
            timeline: Timeline {
                position: self.position,
                playing: self.playing,
                rate: self.rate,
                at: self.position_at,
                by: None,
            },
            empty_until: Some(self.empty_until.unwrap_or(now + policy.empty_grace)),
            ..Room::vacant(self.id)
        })
    }
}
