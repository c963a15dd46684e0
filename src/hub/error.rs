use crate::{
    backend::BackendError,
    clock::Millis,
    id::{ConnId, NodeId},
    protocol::Code,
    replica::Failure,
    room::Refusal,
};

/// Why a member's wish was not granted.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// The rules say no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The seat is held by a socket that has to be asked first.
    #[error("somebody else is here under this userId")]
    SeatHeld {
        /// Where that socket is.
        node: NodeId,
        /// Which it is.
        conn: ConnId,
    },
    /// Shared state cannot be used.
    #[error("Processing error")]
    Backend(#[from] BackendError),
    /// The room was let go of in the same moment.
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
    /// Its word on the wire.
    pub fn code(&self) -> Code {
        match self {
            Self::Refused(refusal) => (*refusal).into(),
            Self::SeatHeld { .. } => Code::IdentityInUse,
            Self::Backend(error) => error.code(),
            Self::Retired => Code::Unavailable,
        }
    }

    /// When to try again, if that is known.
    pub fn retry_after(&self) -> Option<Millis> {
        match self {
            Self::Refused(Refusal::PinLocked { retry_after }) => Some(*retry_after),
            Self::Backend(_) | Self::Retired => Some(1_000),
            _ => None,
        }
    }
}
