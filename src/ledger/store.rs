use async_trait::async_trait;

use super::{Database, DeadLetter, Entry, LedgerError};

/// The store that workers write to.
#[async_trait]
pub trait EventStore: Send + Sync + 'static {
    /// Writes entries in one transaction: their events, and the rows of rooms and users. Entries that were written before, or that arrive
    /// in another order, change nothing. Returns the number of new events.
    async fn write(&self, entries: &[&Entry]) -> Result<u64, LedgerError>;

    /// Adds a dead letter. Adding it again has no effect.
    async fn dead_letter(&self, letter: &DeadLetter) -> Result<(), LedgerError>;

    /// Checks whether the store accepts a harmless entry, which is rolled back.
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
