use std::sync::Arc;

use async_trait::async_trait;
use tokio::task::spawn_blocking;

use super::{Memory, MemoryNode, lock};
use crate::{
    backend::{BackendError, Claim, InvitationUse, LogPosition, RevocationPage, TokenStore},
    clock::Millis,
    ledger::{LocalTokens, LocalTokensError},
    token::Revocation,
};

#[async_trait]
impl TokenStore for MemoryNode {
    async fn revoke(&self, revocations: &[Revocation], now: Millis) -> Result<(), BackendError> {
        let revocations = revocations.to_vec();
        let revoked = self.shared.with_tokens(move |tokens| Ok(tokens.revoke(&revocations, now))).await?;
        revoked.map_err(|error| match error {
            LocalTokensError::Full(full) => full.into(),
            LocalTokensError::Sqlite(error) => BackendError::File(error.to_string()),
        })
    }

    async fn revocations(&self, after: LogPosition) -> Result<RevocationPage, BackendError> {
        let read =
            move |tokens: &mut LocalTokens| Ok((tokens.revocations(after.0)?, after.0 == 0 || tokens.has(after.0)?));
        let (found, continues) = self.shared.with_tokens(read).await?;
        let position = found.last().map_or(after, |(number, _)| LogPosition(*number, 0));
        let revocations = found.into_iter().map(|(_, revocation)| revocation).collect();
        Ok(RevocationPage { revocations, position, continues })
    }

    async fn claim_use(&self, claim: &InvitationUse, now: Millis) -> Result<Claim, BackendError> {
        let InvitationUse { invitation, by, uses, until } = claim.clone();
        let claimed = move |tokens: &mut LocalTokens| {
            tokens.forget_uses(now)?;
            tokens.claim_use(&invitation, &String::from(by), uses, until)
        };
        Ok(match self.shared.with_tokens(claimed).await? {
            Some(true) => Claim::Counted,
            Some(false) => Claim::Known,
            None => Claim::Spent,
        })
    }

    async fn release_use(&self, claim: &InvitationUse) -> Result<(), BackendError> {
        let InvitationUse { invitation, by, .. } = claim.clone();
        self.shared.with_tokens(move |tokens| tokens.release_use(&invitation, &String::from(by))).await
    }
}

impl Memory {
    /// Does something with the file, where waiting for a disk harms nobody.
    async fn with_tokens<T: Send + 'static>(
        self: &Arc<Self>,
        act: impl FnOnce(&mut LocalTokens) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, BackendError> {
        let shared = Arc::clone(self);
        match spawn_blocking(move || act(&mut lock(&shared.tokens))).await {
            Ok(done) => done.map_err(|error| BackendError::File(error.to_string())),
            Err(error) => Err(BackendError::File(error.to_string())),
        }
    }
}
