use std::{
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Duration,
};

use tokio::{sync::watch, time::timeout};

use super::{Identity, Invitation, Revocation, Revocations, RevocationsFull, TokenError};
use crate::{clock::Millis, id::RoomId};

/// What is revoked, as this process knows it: written by the one task that hears of revocations, read by all who look at tokens.
#[derive(Debug)]
pub struct Revoked {
    known: RwLock<Revocations>,
    /// Whether it has been read once. Before, nobody knows whether a token is revoked.
    is_read: watch::Sender<bool>,
}

impl Default for Revoked {
    /// Nothing is revoked.
    fn default() -> Self {
        Self { known: RwLock::default(), is_read: watch::Sender::new(true) }
    }
}

impl Revoked {
    /// For revocations that have not been read yet.
    pub fn unread() -> Self {
        Self { known: RwLock::default(), is_read: watch::Sender::new(false) }
    }

    /// Notes that everything that was revoked so far has been read.
    pub fn set_read(&self) {
        self.is_read.send_if_modified(|is_read| !std::mem::replace(is_read, true));
    }

    /// Whether everything that was revoked at the start has been read.
    pub fn is_read(&self) -> bool {
        *self.is_read.borrow()
    }

    /// Waits until that is so, for a while.
    pub async fn until_read(&self, within: Duration) {
        // The sender lives as long as this.
        let _ = timeout(within, self.is_read.subscribe().wait_for(|is_read| *is_read)).await;
    }

    /// Adds a revocation. Those who are inside with such a token are found with [`Revoked::has`].
    pub fn add(&self, revocation: Revocation, now: Millis) -> Result<(), RevocationsFull> {
        self.write().add(revocation, now)
    }

    /// Forgets revocations of tokens that have expired. Returns how many are left.
    pub fn forget(&self, now: Millis) -> usize {
        let mut known = self.write();
        known.forget(now);
        known.len()
    }

    /// All of them, in no order.
    pub fn all(&self) -> Vec<Revocation> {
        self.read().iter().collect()
    }

    /// Whether a token is revoked: itself, all of its user or, in that room, all of the room.
    pub fn has(&self, identity: &Identity, room: Option<&RoomId>, now: Millis) -> bool {
        let known = self.read();
        known.revoke(identity, now) || room.is_some_and(|room| known.revoke_in(room, identity, now))
    }

    /// Refuses a token that is revoked, or of which nobody knows yet whether it is.
    pub(super) fn check(&self, identity: &Identity, room: Option<&RoomId>, now: Millis) -> Result<(), TokenError> {
        if !self.is_read() {
            return Err(TokenError::RevocationsAway);
        }
        if self.has(identity, room, now) { Err(TokenError::Revoked) } else { Ok(()) }
    }

    /// Whether an invitation is revoked, by its name or by its room.
    pub fn has_invitation(&self, invitation: &Invitation, now: Millis) -> bool {
        self.read().revoke_invitation(invitation, now)
    }

    fn read(&self) -> RwLockReadGuard<'_, Revocations> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Revocations> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }
}
