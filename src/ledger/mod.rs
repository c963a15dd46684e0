//! What happened, for auditors: an append-only table of events, and the tables that are derived from it.
//!
//! Nothing in here is waited for by a room. Entries go through a bounded [`Journal`] to one [`Writer`], which puts them into the
//! database in batches.

mod archive;
mod entry;
mod event;
mod journal;
mod query;
mod restore;
mod sqlite;
mod writer;

pub use archive::{Archive, ArchiveError};
pub use entry::{Entry, RoomRow};
pub use event::{Event, EventType, events};
pub use journal::Journal;
pub use query::{EventRow, Query, query};
pub use restore::restore;
pub use writer::{Writer, WriterError};
