use crate::{
    account::Exceeded,
    backend::BackendError,
    clock::Millis,
    id::{ConnId, NodeId},
    protocol::Code,
    replica::Failure,
    room::Refusal,
};

/// Why a command of a member failed.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// The rules do not allow it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The seat is held by a socket that must be checked first.
    #[error("somebody else is here under this userId")]
    SeatHeld {
        /// The node of that socket.
        node: NodeId,
        /// The id of that socket.
        conn: ConnId,
    },
    /// Shared state cannot be used.
    #[error("Processing error")]
    Backend(#[from] BackendError),
    /// So many clients come in that this one did not get its turn in time.
    #[error("Processing error")]
    Crowded,
    /// The client's address has opened as many rooms as it may.
    #[error("this address has too many rooms")]
    TooManyRooms(#[from] Exceeded),
    /// The room was retired at the same moment.
    #[error("Processing error")]
    Retired,
}

impl From<Failure> for HubError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(refusal) => Self::Refused(refusal),
            Failure::SeatHeld { node, conn } => Self::SeatHeld { node, conn },
            Failure::Retired => Self::Retired,
            Failure::Backend(error) => Self::Backend(error),
        }
    }
}

impl HubError {
    /// The error code for the client.
    pub fn code(&self) -> Code {
        match self {
            Self::Refused(refusal) => (*refusal).into(),
            Self::SeatHeld { .. } => Code::IdentityInUse,
            Self::TooManyRooms(_) => Code::RateLimited,
            Self::Backend(error) => error.code(),
            Self::Crowded | Self::Retired => Code::Unavailable,
        }
    }

    /// When to retry, if known.
    pub fn retry_after(&self) -> Option<Millis> {
        match self {
            Self::Refused(Refusal::PinLocked { retry_after }) => Some(*retry_after),
            Self::Backend(_) | Self::Crowded | Self::Retired => Some(1_000),
            Self::TooManyRooms(_) => Some(10_000),
            _ => None,
        }
    }
}
