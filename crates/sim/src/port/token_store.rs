use async_trait::async_trait;
use tandem::{
    backend::{BackendError, Claim, InvitationUse, LogPosition, RevocationPage, TokenStore},
    clock::Millis,
    token::Revocation,
};

use super::port::Port;

fn nothing() -> BackendError {
    BackendError::Unreachable("the simulation has no tokens".to_owned())
}

/// No client of the simulation shows a token or an invitation, so nothing is ever revoked or used.
#[async_trait]
impl TokenStore for Port {
    async fn revoke(&self, _revocations: &[Revocation], _now: Millis) -> Result<(), BackendError> {
        Err(nothing())
    }

    async fn revocations(&self, _after: LogPosition) -> Result<RevocationPage, BackendError> {
        Err(nothing())
    }

    async fn claim_use(&self, _claim: &InvitationUse, _now: Millis) -> Result<Claim, BackendError> {
        Err(nothing())
    }

    async fn release_use(&self, _claim: &InvitationUse) -> Result<(), BackendError> {
        Err(nothing())
    }
}
