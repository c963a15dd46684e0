//! Invitations that clients show: what they are worth, and how often they are used.

use std::sync::Arc;

use super::client_session::ClientSession;
use crate::{
    auth::Keys,
    clock::{Millis, millis},
    config::TokenConfig,
    hub::HubError,
    id::{RoomId, UserId},
    protocol::{Code, Confidential},
    room::{Grant, Rights},
    telemetry::InvitationRefused,
    token::{Invitation, InvitationKeys, Revoked, TokenError},
};

/// How the invitations of clients are judged.
#[derive(Debug)]
pub struct Invitations {
    keys: InvitationKeys,
    revoked: Arc<Revoked>,
}

/// Why an invitation does not open a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotInvited {
    /// It is not valid.
    #[error("invite: {0}")]
    Invalid(TokenError),
    /// It is for another room.
    #[error("invite: the invitation is for another room")]
    OtherRoom,
    /// Others have used it as often as it may be used.
    #[error("invite: the invitation has been used as often as it may be")]
    Spent,
}

impl NotInvited {
    pub(super) fn label(self) -> InvitationRefused {
        match self {
            Self::Invalid(TokenError::Expired) => InvitationRefused::Expired,
            Self::Invalid(TokenError::Revoked) => InvitationRefused::Revoked,
            Self::Invalid(_) => InvitationRefused::Invalid,
            Self::OtherRoom => InvitationRefused::OtherRoom,
            Self::Spent => InvitationRefused::Spent,
        }
    }

    /// The code for the client.
    pub(super) fn code(self) -> Code {
        match self {
            Self::Invalid(error) if error.is_temporary() => Code::Unavailable,
            _ => Code::InvalidInvitation,
        }
    }
}

impl Invitations {
    /// Invitations that were signed with the key of the deployment and are not revoked.
    pub fn new(keys: &Keys, config: &TokenConfig, revoked: Arc<Revoked>) -> Result<Self, &'static str> {
        let (now, before) = keys.invitations();
        Ok(Self { keys: InvitationKeys::new(&now, before.as_ref(), millis(config.most_lifetime()))?, revoked })
    }

    /// What an invitation says. That it is looked at uses nothing up.
    pub(super) fn verify(&self, text: &str, now: Millis) -> Result<Invitation, NotInvited> {
        let invitation = self.keys.verify(text, now).map_err(NotInvited::Invalid)?;
        if !self.revoked.is_read() {
            return Err(NotInvited::Invalid(TokenError::RevocationsAway));
        }
        if self.revoked.has_invitation(&invitation, now) {
            return Err(NotInvited::Invalid(TokenError::Revoked));
        }
        Ok(invitation)
    }
}

/// What is granted to whoever shows an invitation, if `grant` is what they have without it.
pub(super) fn invited(grant: Option<Box<Grant>>, invitation: &Invitation) -> Option<Box<Grant>> {
    match grant {
        // An application says more of its users than an invitation.
        Some(grant) if grant.verified => Some(Box::new(Grant { role: grant.role.or(invitation.role), ..*grant })),
        _ if invitation.role.is_none() && invitation.rights == Rights::ALL => None,
        _ => Some(Box::new(Grant {
            verified: false,
            role: invitation.role,
            rights: invitation.rights,
            named: false,
            metadata: None,
        })),
    }
}

/// Why an invitation did not let a client in.
#[derive(Debug)]
pub(super) enum Uninvited {
    /// It does not open the room.
    Invitation(NotInvited),
    /// Its uses cannot be counted now.
    Hub(HubError),
}

impl ClientSession {
    /// Looks at an invitation into a room, and counts its use. Returns whether that is a new one.
    pub(super) async fn redeem(
        &self,
        text: &Confidential,
        room: &RoomId,
        user: &UserId,
    ) -> Result<(Invitation, bool), Uninvited> {
        let gateway = &self.gateway;
        let invitation = gateway.invitations.verify(text, gateway.clock.now()).map_err(Uninvited::Invitation)?;
        if invitation.room != *room {
            return Err(Uninvited::Invitation(NotInvited::OtherRoom));
        }
        let by = gateway.keys.guest(&invitation.id, user);
        match gateway.hub.claim_use(&invitation, by).await {
            Ok(Some(is_new)) => Ok((invitation, is_new)),
            Ok(None) => Err(Uninvited::Invitation(NotInvited::Spent)),
            Err(error) => Err(Uninvited::Hub(error)),
        }
    }

    /// Takes back a use that led nowhere.
    pub(super) async fn unredeem(&self, invitation: &Invitation, user: &UserId) {
        let by = self.gateway.keys.guest(&invitation.id, user);
        if let Err(error) = self.gateway.hub.release_use(invitation, by).await {
            tracing::warn!(%error, "the use of an invitation that led nowhere could not be taken back");
        }
    }

    /// Answers whoever is not let in by its invitation.
    pub(super) fn not_invited(&self, id: Option<&crate::room::Json>, why: NotInvited) {
        self.gateway.metrics.invitations_refused.inc(why.label());
        if let Some(skipped) = self.gateway.refusals.pass(self.gateway.clock.now()) {
            tracing::info!(r#type = self.hearing.as_str(), code = why.code().as_str(), %why, skipped, "refused");
        }
        let retry = (why.code() == Code::Unavailable).then_some(1_000);
        self.error(id, why.code(), &why.to_string(), retry);
    }
}
