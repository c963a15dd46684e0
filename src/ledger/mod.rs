//! What happened, for auditors: an append-only table of events, and the tables that are derived from it.
//!
//! No room waits for the ledger. On a single node entries go through a bounded [`Journal`] to one [`Writer`], which writes them to SQLite
//! in batches. In a cluster they go through Redis to [`crate::worker`], which writes them to PostgreSQL, the [`Database`].

mod archive;
mod bans;
mod cell;
mod entry;
mod event;
mod forget;
mod journal;
mod latest;
mod local_tokens;
mod migrations;
mod person;
mod postgres;
mod query;
mod restore;
mod room_row;
mod room_state;
mod sql_value;
mod sqlite;
mod store;
mod table;
mod trace;
mod writer;

pub use archive::{Archive, ArchiveError, PgRoomArchive};
pub use entry::Entry;
pub use event::Event;
pub use forget::LocalLedger;
pub use journal::Journal;
pub use local_tokens::{LocalTokens, LocalTokensError};
pub use person::{Erased, FORGOTTEN, Person};
pub use postgres::{
    Database, DeadLetter, DeadRow, Duty, LedgerError, Lock, LockSession, MigrateError, Schema, Unfit, Verdict,
    without_nul,
};
pub use query::{EventRow, Query, query};
pub use restore::restore;
pub use room_row::RoomRow;
pub use room_state::{Film, RoomState};
pub use store::EventStore;
pub use trace::EventType;
pub use writer::{Writer, WriterError};
