//! How often invitations are used.

use super::{Hub, HubError};
use crate::{
    backend::{Claim, InvitationUse},
    room::Digest,
    token::Invitation,
};

impl Hub {
    /// Counts the use of an invitation by somebody. `Some(true)` if it is a new one, and `None` if there is none left.
    pub async fn claim_use(&self, invitation: &Invitation, by: Digest) -> Result<Option<bool>, HubError> {
        let Some(claim) = claim(invitation, by) else { return Ok(Some(false)) };
        Ok(match self.backend().claim_use(&claim, self.now()).await? {
            Claim::Counted => Some(true),
            Claim::Known => Some(false),
            Claim::Spent => None,
        })
    }

    /// Takes such a use back.
    pub async fn release_use(&self, invitation: &Invitation, by: Digest) -> Result<(), HubError> {
        let Some(claim) = claim(invitation, by) else { return Ok(()) };
        Ok(self.backend().release_use(&claim).await?)
    }
}

/// Nothing if nobody counts.
fn claim(invitation: &Invitation, by: Digest) -> Option<InvitationUse> {
    let Invitation { id, uses, expires_at, .. } = invitation;
    Some(InvitationUse { invitation: id.clone(), by, uses: (*uses)?, until: *expires_at })
}
