use tracing::Level;

use crate::{protocol::Code, telemetry::Cause};

/// Why shared state could not be used. What is counted, at which level it is logged and what members are answered follows from it, here.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BackendError {
    /// There is no place for another room.
    #[error("this node holds as many rooms as it may (MAX_ROOMS)")]
    Full,
    /// There is no connection, or it has ended.
    #[error("Redis cannot be reached: {0}")]
    Unreachable(String),
    /// It is connected, but the answer did not come in time.
    #[error("Redis did not answer within REDIS_TIMEOUT_SECONDS")]
    Timeout,
    /// Redis answered, and the answer is no.
    #[error("Redis refuses: {words}")]
    Refused {
        /// Its code, such as `OOM`: as a rule the first word of its answer.
        code: Box<str>,
        /// All of its answer.
        words: Box<str>,
    },
    /// It has something that no node wrote.
    #[error("{what} cannot be read: {why}")]
    Corrupt {
        /// Where that is.
        what: Box<str>,
        /// What is wrong with it.
        why: Box<str>,
    },
    /// A newer release wrote it.
    #[error("{what} cannot be read: {why}")]
    Newer {
        /// Where that is.
        what: Box<str>,
        /// Which version it has.
        why: Box<str>,
    },
    /// Others change a room faster than this node can follow.
    #[error("{0} changes faster than this node can follow")]
    Contended(Box<str>),
    /// No more entries of the ledger may wait for a worker.
    #[error("the ledger's queue is full (LEDGER_STREAM_BYTES, LEDGER_STREAM_MAX)")]
    LedgerFull,
    /// What this node decided cannot be written down.
    #[error("a change cannot be written: {0}")]
    Unencodable(String),
}

impl BackendError {
    /// What it is counted as.
    pub fn cause(&self) -> Cause {
        match self {
            Self::Full => Cause::RoomLimit,
            Self::Unreachable(_) => Cause::Unreachable,
            Self::Timeout => Cause::Timeout,
            Self::Refused { code, .. } => Cause::of_refusal(code),
            Self::Corrupt { .. } | Self::Newer { .. } => Cause::Corrupt,
            Self::Contended(_) => Cause::Contended,
            Self::LedgerFull => Cause::LedgerFull,
            Self::Unencodable(_) => Cause::Unencodable,
        }
    }

    /// What passes by itself is a warning; what somebody has to see to is an error.
    pub(super) fn level(&self) -> Level {
        match self {
            Self::Corrupt { .. } | Self::Newer { .. } | Self::LedgerFull | Self::Unencodable(_) => Level::ERROR,
            Self::Full | Self::Unreachable(_) | Self::Timeout | Self::Refused { .. } | Self::Contended(_) => {
                Level::WARN
            }
        }
    }

    /// What a member is answered whose wish it kept from being granted.
    pub fn code(&self) -> Code {
        match self {
            Self::Unencodable(_) => Code::Internal,
            _ => Code::Unavailable,
        }
    }

    /// Where it is, if there may be several of its kind at once.
    pub(super) fn place(&self) -> &str {
        match self {
            Self::Corrupt { what, .. } | Self::Newer { what, .. } | Self::Contended(what) => what,
            _ => "",
        }
    }
}
