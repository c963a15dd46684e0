use tracing::Level;

use crate::{protocol::Code, telemetry::Cause, token::RevocationsFull};

/// Why shared state could not be used. The cause for metrics, the log level and the error code for members all follow from it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BackendError {
    /// The limit of rooms is reached.
    #[error("this node holds as many rooms as it may (MAX_ROOMS)")]
    Full,
    /// There is no connection, or it was lost.
    #[error("Redis cannot be reached: {0}")]
    Unreachable(String),
    /// The answer did not come in time.
    #[error("Redis did not answer within REDIS_TIMEOUT_SECONDS")]
    Timeout,
    /// Redis answered with an error.
    #[error("Redis refuses: {words}")]
    Refused {
        /// The code of the error, such as `OOM`; usually its first word.
        code: Box<str>,
        /// The whole error.
        words: Box<str>,
    },
    /// A record cannot be decoded.
    #[error("{what} cannot be read: {why}")]
    Corrupt {
        /// The key of the record.
        what: Box<str>,
        /// What is wrong with the record.
        why: Box<str>,
    },
    /// A newer release wrote the record.
    #[error("{what} cannot be read: {why}")]
    Newer {
        /// The key of the record.
        what: Box<str>,
        /// The version of the record.
        why: Box<str>,
    },
    /// Other nodes change the room faster than this node can commit.
    #[error("{0} changes faster than this node can follow")]
    Contended(Box<str>),
    /// The ledger queue is full.
    #[error("the ledger's queue is full (LEDGER_STREAM_BYTES, LEDGER_STREAM_MAX)")]
    LedgerFull,
    /// There are as many revocations as there may be.
    #[error(transparent)]
    TooManyRevocations(#[from] RevocationsFull),
    /// The file of a single node cannot be used.
    #[error("the ledger cannot be used: {0}")]
    File(String),
    /// The proposal cannot be encoded.
    #[error("a change cannot be written: {0}")]
    Unencodable(String),
}

impl BackendError {
    /// The label for metrics.
    pub fn cause(&self) -> Cause {
        match self {
            Self::Full => Cause::RoomLimit,
            Self::Unreachable(_) | Self::File(_) => Cause::Unreachable,
            Self::Timeout => Cause::Timeout,
            Self::Refused { code, .. } => Cause::of_refusal(code),
            Self::Corrupt { .. } | Self::Newer { .. } => Cause::Corrupt,
            Self::Contended(_) => Cause::Contended,
            Self::LedgerFull | Self::TooManyRevocations(_) => Cause::LedgerFull,
            Self::Unencodable(_) => Cause::Unencodable,
        }
    }

    /// A warning for what passes by itself, an error for what an operator has to fix.
    pub(super) fn level(&self) -> Level {
        match self {
            Self::Corrupt { .. }
            | Self::Newer { .. }
            | Self::LedgerFull
            | Self::TooManyRevocations(_)
            | Self::File(_)
            | Self::Unencodable(_) => Level::ERROR,
            Self::Full | Self::Unreachable(_) | Self::Timeout | Self::Refused { .. } | Self::Contended(_) => {
                Level::WARN
            }
        }
    }

    /// The error code for the member whose command failed.
    pub fn code(&self) -> Code {
        match self {
            Self::Unencodable(_) => Code::Internal,
            _ => Code::Unavailable,
        }
    }

    /// The key that the error is about, where several may fail at the same time.
    pub(super) fn place(&self) -> &str {
        match self {
            Self::Corrupt { what, .. } | Self::Newer { what, .. } | Self::Contended(what) => what,
            _ => "",
        }
    }
}
