use async_trait::async_trait;

use super::{Database, DeadLetter, Entry, LedgerError};

/// Where a worker writes what happened.
#[async_trait]
pub trait EventStore: Send + Sync + 'static {
    /// Writes entries in one step, all or none: their events, and what follows from them for rooms and users. Entries that were written
    /// before, or that come in another order, change nothing. How many events were new.
    async fn write(&self, entries: &[&Entry]) -> Result<u64, LedgerError>;

    /// Keeps what could not be written. Once, however often it is told.
    async fn dead_letter(&self, letter: &DeadLetter) -> Result<(), LedgerError>;

    /// Whether it takes an entry that nobody can object to, which leaves nothing behind.
    async fn takes_entries(&self) -> Result<(), LedgerError>;
}

#[async_trait]
impl EventStore for Database {
    async fn write(&self, entries: &[&Entry]) -> Result<u64, LedgerError> {
        Self::write(self, entries).await
    }

    async fn dead_letter(&self, letter: &DeadLetter) -> Result<(), LedgerError> {
        self.add_dead_letter(letter).await
    }

    async fn takes_entries(&self) -> Result<(), LedgerError> {
        Self::takes_entries(self).await
    }
}
