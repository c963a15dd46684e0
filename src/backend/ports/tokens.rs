use async_trait::async_trait;

use crate::{backend::BackendError, clock::Millis, room::Digest, token::Revocation};

/// What all nodes have to know of tokens and invitations.
#[async_trait]
pub trait TokenStore: Send + Sync + 'static {
    /// Adds revocations. Every node reads them at its next look.
    async fn revoke(&self, revocations: &[Revocation], now: Millis) -> Result<(), BackendError>;

    /// The revocations after a position, oldest first; all of them after the default one.
    async fn revocations(&self, after: LogPosition) -> Result<RevocationPage, BackendError>;

    /// Counts that an invitation is used, unless it has been used as often as it may.
    async fn claim_use(&self, claim: &InvitationUse, now: Millis) -> Result<Claim, BackendError>;

    /// Takes back a use that was counted, because it led nowhere.
    async fn release_use(&self, claim: &InvitationUse) -> Result<(), BackendError>;
}

/// A position in the log of revocations. They grow, with gaps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogPosition(pub u64, pub u64);

/// A part of the log of revocations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevocationPage {
    /// In the order in which they came.
    pub revocations: Vec<Revocation>,
    /// The position of the last one.
    pub position: LogPosition,
    /// Whether the store still has what was last read. If not, it may have lost more.
    pub continues: bool,
}

/// One user's use of an invitation. It is counted once, however often that user comes back with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvitationUse {
    /// The name of the invitation.
    pub invitation: Box<str>,
    /// A keyed hash of the user.
    pub by: Digest,
    /// How many users may use it.
    pub uses: u32,
    /// When it expires.
    pub until: Millis,
}

/// What came of a claim to use an invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// It was counted.
    Counted,
    /// It had been counted before.
    Known,
    /// Others have used the invitation as often as it may be used.
    Spent,
}
