//! The encoding of all records that nodes and workers leave for each other in shared state. Each record begins with the version of its
//! layout, so that consecutive releases can run side by side:
//!
//! - A node registers the highest version that it [reads](Codec::reads) with its lease, and writes the lowest of all live nodes.
//! - A new field needs no new version if nodes that do not know it can pass it on (see [`UnknownFields`](crate::room::UnknownFields)) and
//!   if it is set by changes of its own.
//! - Any other change of a layout makes a new version. `tests/backend/golden` has records of every version, and each release must read
//!   them.
//!
//! The values are CBOR; the number of each field stands at its type (`#[n(3)]`). The first byte of a record is a digit, its version.
//!
//! | Record | After the version |
//! |---|---|
//! | room | a map without the members |
//! | playback | an update, the last one that changed nothing but the playback |
//! | member | the node of its socket, or nothing while it is away, a line feed, a map. `keep.lua` reads the node |
//! | ban | an array |
//! | update | `[epoch, base, at - epoch, changes]`; the key or the channel names the room |
//! | signal to a node | `[hops, room, user, frame]` |
//! | question to a node | `?`, JSON |
//! | entry of the ledger | see [`encode_entry`] |

mod entry;
mod open_map;
mod room;
mod signal;
mod update;

use std::sync::atomic::{AtomicU8, Ordering};

pub use entry::{decode_entry, encode_entry, encode_entry_head};
pub use room::{Fields, LINEAGE, PLAYBACK, ROOM, ban_field, encode_lineage, member_field, raw_position};
pub use signal::SignalEnvelope;
pub use update::UpdateHead;

/// The first version.
pub const OLDEST: u8 = 1;
/// The newest version that this release writes and reads.
pub const NEWEST: u8 = 1;

/// The bytes of most updates, and of most entries of the ledger before their update.
const COMMON: usize = 96;

/// Why a record cannot be decoded.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[allow(missing_docs, reason = "the message says it")]
    #[error(
        "it has version {written} of its layout, and this release reads {reads} at the most: a newer release wrote it"
    )]
    Newer { written: u8, reads: u8 },
    /// The record does not begin with a version.
    #[error("it has no version")]
    Unversioned,
    /// The part before the map is missing.
    #[error("it has no header")]
    Header,
    /// A field of the hash beside the room is invalid.
    #[error("its version or epoch is no number")]
    Number,
    /// Two fields contradict each other.
    #[error("its version and epoch are not those of the room")]
    Position,
    /// The hash has a version and members, but no room.
    #[error("the room itself is missing")]
    Missing,
    /// The members in the hash are not those that the room names.
    #[error("a member is missing or has another's place")]
    Member,
    /// The record is not UTF-8.
    #[error("{0}")]
    Utf8(#[from] std::str::Utf8Error),
    /// The JSON cannot be decoded.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// The CBOR cannot be decoded.
    #[error("{0}")]
    Cbor(#[from] minicbor::decode::Error),
}

/// Decodes and encodes records.
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
    /// The codec of a release that reads versions up to `reads`. It writes the oldest version until the versions of all nodes are known.
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

    /// Sets the version that is written, once all nodes read it.
    pub fn write_version(&self, version: u8) {
        self.writes.store(version.clamp(OLDEST, self.reads), Ordering::Relaxed);
    }

    /// The begin of a record, with room for what most records have.
    pub fn begin(&self) -> Vec<u8> {
        let mut record = Vec::with_capacity(COMMON);
        record.push(b'0' + self.writes());
        record
    }

    /// The rest of a record after its version.
    pub fn open<'a>(&self, record: &'a [u8]) -> Result<&'a [u8], RecordError> {
        match record.split_first() {
            // Every record begins with a digit.
            Some((first, rest)) if (b'1'..=b'9').contains(first) => {
                let written = first - b'0';
                if written > self.reads { Err(RecordError::Newer { written, reads: self.reads }) } else { Ok(rest) }
            }
            _ => Err(RecordError::Unversioned),
        }
    }
}
