use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::time::{Instant, timeout};

use super::{Database, RoomRow};
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

/// How long somebody who joins a room waits for the ledger.
const PATIENCE: Duration = Duration::from_millis(500);
/// Once it could not be asked, nobody waits for it for this long.
const PAUSE: Duration = Duration::from_secs(5);

/// The archive in PostgreSQL. It is asked on the way of a JOIN, so it is soon given up.
#[derive(Debug)]
pub struct Recaller {
    database: Database,
    resting: Mutex<Option<Instant>>,
}

impl Recaller {
    /// Asks `database`.
    pub fn new(database: Database) -> Self {
        Self { database, resting: Mutex::default() }
    }

    fn rest(&self, until: Option<Instant>) {
        *self.resting.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }

    fn rests(&self) -> bool {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|until| Instant::now() < until)
    }
}

#[async_trait]
impl Archive for Recaller {
    async fn recall(&self, room: &RoomId) -> Result<Option<RoomRow>, ArchiveError> {
        if self.rests() {
            return Err(ArchiveError("it could not be reached a moment ago".to_owned()));
        }
        let asked = match timeout(PATIENCE, self.database.recall(room)).await {
            Ok(asked) => asked.map_err(|error| ArchiveError(error.to_string())),
            Err(_) => Err(ArchiveError("it does not answer".to_owned())),
        };
        self.rest(asked.is_err().then(|| Instant::now() + PAUSE));
        asked
    }
}

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
            epoch: now.max(self.epoch.saturating_add(1)),
            version: self.version,
            pin: self.pin,
            vacancy,
            guest_control: self.guest_control,
            url: self.url,
            timeline: Timeline {
                position: self.position,
                playing: self.playing,
                rate: self.rate,
                // Not later than now: where a clock was set back meanwhile the film would stand still until then.
                at: self.position_at.min(now),
                by: None,
            },
            empty_until: Some(self.empty_until.unwrap_or(now + policy.empty_grace)),
            ..Room::vacant(self.id)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restored_room_goes_on_from_its_stored_time() {
        let row = |position_at| RoomRow {
            id: RoomId::parse("r").unwrap(),
            epoch: 1,
            version: 7,
            host: None,
            host_origin: None,
            url: None,
            position: 100.0,
            playing: true,
            rate: 1.0,
            position_at,
            guest_control: false,
            pin: None,
            empty_until: None,
            archived: false,
            at: position_at,
        };
        // The film ran on while nobody had the room; the clock was set back meanwhile; by an hour.
        for (position_at, now, position) in [(1_000, 31_000, 130.0), (1_000, 1_000, 100.0), (3_601_000, 1_000, 100.0)] {
            let line = row(position_at).into_room(&Policy::default(), now).unwrap().timeline;
            assert!((line.position_at(now) - position).abs() < 1e-9, "{line:?}");
            assert!(
                (line.position_at(now + 10_000) - position - 10.0).abs() < 1e-9,
                "it does not stand still: {line:?}"
            );
        }
    }
}
