use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::time::{Instant, timeout};

use super::{Database, RoomRow};
use crate::id::RoomId;

/// Reads rooms from the ledger.
#[async_trait]
pub trait Archive: Send + Sync + 'static {
    /// Finds a room that was not closed and is not too old. Answers within a deadline.
    async fn recall(&self, room: &RoomId) -> Result<Option<RoomRow>, ArchiveError>;
}

/// Why the ledger could not be read.
#[derive(Debug, thiserror::Error)]
#[error("the ledger cannot be read: {0}")]
pub struct ArchiveError(pub String);

/// How long a JOIN waits for the ledger.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long no JOIN waits for a ledger that failed.
const PAUSE: Duration = Duration::from_secs(5);

/// The archive in PostgreSQL. A JOIN waits for it, so its deadline is short.
#[derive(Debug)]
pub struct PgRoomArchive {
    database: Database,
    resting: Mutex<Option<Instant>>,
}

impl PgRoomArchive {
    /// Reads from `database`.
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
impl Archive for PgRoomArchive {
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
