//! How everything is written that nodes and workers leave for each other in shared state. Every record says in which version of the layout
//! it is written, so that releases that follow each other can run side by side:
//!
//! - A node tells with its lease the highest version that it [reads](Codec::reads), and writes the lowest of all nodes that live.
//! - A new field needs no new version if nodes that do not know it may hand it on unseen (see
//!   [`UnknownFields`](crate::room::UnknownFields)) and if it is set by changes of its own.
//! - Whatever else changes in a layout is a new version. `tests/backend/golden` has records of every version, and each release reads them.
//!
//! | Record | Text |
//! |---|---|
//! | room | version, JSON without the members |
//! | member | version, the node of its socket or nothing while it is away, a line feed, JSON. `keep.lua` reads the node |
//! | update | version, epoch, base and version of the room, a line feed, JSON |
//! | signal to a node | version, hops, lengths of room and user, a line feed, room, user, frame |
//! | question to a node | version, `?`, JSON |
//! | entry of the ledger | JSON whose first field is `"format"`: [dead letters](crate::ledger::DeadLetter) are JSON, too |

mod entry;
mod room;
mod signal;
mod update;

use std::sync::atomic::{AtomicU8, Ordering};

pub use entry::{decode_entry, encode_entry};
pub use room::{Fields, ROOM, member_field, raw_position};
pub use signal::SignalEnvelope;

/// The first version.
pub const OLDEST: u8 = 1;
/// The version that this release would write if it were alone.
pub const NEWEST: u8 = 1;

/// Why a record cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[allow(missing_docs, reason = "the message says it")]
    #[error(
        "it has version {written} of its layout, and this release reads {reads} at the most: a newer release wrote it"
    )]
    Newer { written: u8, reads: u8 },
    /// It does not begin as records do.
    #[error("it has no version")]
    Unversioned,
    /// What stands before the JSON is missing.
    #[error("it has no header")]
    Header,
    /// The fields beside the room do not say what they are to say.
    #[error("its version or epoch is no number")]
    Number,
    /// Two fields contradict each other.
    #[error("its version and epoch are not those of the room")]
    Position,
    /// There are a version and members, but no room.
    #[error("the room itself is missing")]
    Missing,
    /// The members are not those that the room names.
    #[error("a member is missing or has another's place")]
    Member,
    /// It is no text.
    #[error("{0}")]
    Utf8(#[from] std::str::Utf8Error),
    /// The rest of it cannot be read.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
}

/// Reads and writes records.
#[derive(Debug)]
pub struct Codec {
    reads: u8,
    writes: AtomicU8,
}

impl Default for Codec {
    fn default() -> Self {
        Self::new(NEWEST)
    }
}

impl Codec {
    /// Of a release that reads versions up to `reads`. It writes the oldest one until it is known what all others read.
    pub fn new(reads: u8) -> Self {
        Self { reads, writes: AtomicU8::new(OLDEST) }
    }

    /// The highest version that is read.
    pub fn reads(&self) -> u8 {
        self.reads
    }

    /// The version that is written.
    pub fn writes(&self) -> u8 {
        self.writes.load(Ordering::Relaxed)
    }

    /// From now on this version is written: all nodes read it.
    pub fn write_version(&self, version: u8) {
        self.writes.store(version.clamp(OLDEST, self.reads), Ordering::Relaxed);
    }

    /// The begin of a record.
    pub fn begin(&self) -> String {
        String::from(char::from(b'0' + self.writes()))
    }

    /// What follows the version of a record.
    pub fn open<'a>(&self, record: &'a [u8]) -> Result<&'a [u8], RecordError> {
        match record.split_first() {
            // Anything but a digit is no record at all.
            Some((first, rest)) if (b'1'..=b'9').contains(first) => {
                let written = first - b'0';
                if written > self.reads { Err(RecordError::Newer { written, reads: self.reads }) } else { Ok(rest) }
            }
            _ => Err(RecordError::Unversioned),
        }
    }
}
