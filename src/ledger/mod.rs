//! What happened, for auditors: an append-only table of events, and the tables that are derived from it.
//!
//! Nothing in here is waited for by a room. On a single node entries go through a bounded [`Journal`] to one [`Writer`], which puts
//! them into SQLite in batches. In a cluster they go through Redis to [`crate::worker`], which puts them into PostgreSQL, the
//! [`Database`].

mod archive;
mod column;
mod detail;
mod entry;
mod event;
mod journal;
mod postgres;
mod query;
mod restore;
mod sqlite;
mod writer;

pub use archive::{Archive, ArchiveError, Recaller};
pub use entry::{Entry, RoomRow};
pub use event::{Event, EventType, events};
pub use journal::Journal;
pub use postgres::{
    Claim, Database, DeadLetter, DeadRow, Duty, LedgerError, Lock, MigrateError, PoolUse, Schema, Unfit, Verdict,
    without_nul,
};
pub use query::{EventRow, Query, query};
pub use restore::restore;
pub use writer::{Writer, WriterError};
