//! A back end in front of another one, which tests listen in on and disturb.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tandem::{
    backend::{
        Backend, BackendError, Claim, Commit, Delivery, Due, Inbox, InvitationUse, LogPosition, Proposal,
        RevocationPage, RoomStore, ShortCodes, SignalBus, TokenStore,
    },
    clock::Millis,
    id::{ConnId, NodeId, RoomId, UserId},
    protocol::Frame,
    room::{Room, StreamPosition, Update},
    token::Revocation,
};

pub type History = Result<Option<Vec<Arc<Update>>>, BackendError>;

/// How a test disturbs calls.
#[async_trait]
pub trait Taps: Send + Sync + 'static {
    fn is_up(&self, up: bool) -> bool {
        up
    }
    fn commit(&self, _proposal: &Proposal) {}
    fn resolve(&self, _code: &str) {}
    /// Between the answer and the caller.
    async fn history(&self, read: History) -> History {
        read
    }
}

pub struct Tapped<T> {
    pub inner: Arc<dyn Backend>,
    pub taps: Arc<T>,
}

#[async_trait]
impl<T: Taps> RoomStore for Tapped<T> {
    fn is_up(&self) -> bool {
        self.taps.is_up(self.inner.is_up())
    }
    async fn until_up(&self, within: Duration) -> bool {
        self.inner.until_up(within).await
    }
    async fn subscribe(&self, room: &RoomId) -> Result<Room, BackendError> {
        self.inner.subscribe(room).await
    }
    async fn unsubscribe(&self, room: &RoomId) -> Result<(), BackendError> {
        self.inner.unsubscribe(room).await
    }
    async fn commit(&self, proposal: Proposal) -> Result<Commit, BackendError> {
        self.taps.commit(&proposal);
        self.inner.commit(proposal).await
    }
    async fn restore(&self, room: &Room, found: Option<StreamPosition>, due: Due) -> Result<Commit, BackendError> {
        self.inner.restore(room, found, due).await
    }
    async fn alarm(&self, room: &RoomId) -> Result<(), BackendError> {
        self.inner.alarm(room).await
    }
    async fn repair(&self, room: &Room, due: Due) -> Result<Commit, BackendError> {
        self.inner.repair(room, due).await
    }
    async fn history(&self, room: &RoomId, epoch: u64, after: u64) -> History {
        self.taps.history(self.inner.history(room, epoch, after).await).await
    }
    async fn exists(&self, room: &RoomId) -> Result<bool, BackendError> {
        self.inner.exists(room).await
    }
    async fn overdue(&self, at: Millis) -> Result<Vec<RoomId>, BackendError> {
        self.inner.overdue(at).await
    }
    async fn set_due(&self, room: &RoomId, due: Option<Millis>) -> Result<(), BackendError> {
        self.inner.set_due(room, due).await
    }
    async fn extend_rooms(&self) -> Result<(), BackendError> {
        self.inner.extend_rooms().await
    }
}

#[async_trait]
impl<T: Taps> SignalBus for Tapped<T> {
    async fn direct(
        &self,
        room: &RoomId,
        to: &UserId,
        at: Option<&NodeId>,
        frame: Frame,
    ) -> Result<Delivery, BackendError> {
        self.inner.direct(room, to, at, frame).await
    }
    async fn answers(
        &self,
        node: &NodeId,
        room: &RoomId,
        user: &UserId,
        conn: ConnId,
    ) -> Result<Option<bool>, BackendError> {
        self.inner.answers(node, room, user, conn).await
    }
    async fn inbox(&self, room: &RoomId, user: &UserId) -> Result<Inbox, BackendError> {
        self.inner.inbox(room, user).await
    }
    async fn taken(&self, room: &RoomId, user: &UserId, inbox: &Inbox) -> Result<(), BackendError> {
        self.inner.taken(room, user, inbox).await
    }
}

#[async_trait]
impl<T: Taps> ShortCodes for Tapped<T> {
    async fn claim_code(&self, code: &str, room: &RoomId, until: Millis, now: Millis) -> Result<bool, BackendError> {
        self.inner.claim_code(code, room, until, now).await
    }
    async fn resolve_code(&self, code: &str, now: Millis) -> Result<Option<RoomId>, BackendError> {
        self.taps.resolve(code);
        self.inner.resolve_code(code, now).await
    }
}

#[async_trait]
impl<T: Taps> TokenStore for Tapped<T> {
    async fn revoke(&self, revocations: &[Revocation], now: Millis) -> Result<(), BackendError> {
        self.inner.revoke(revocations, now).await
    }
    async fn revocations(&self, after: LogPosition) -> Result<RevocationPage, BackendError> {
        self.inner.revocations(after).await
    }
    async fn claim_use(&self, claim: &InvitationUse, now: Millis) -> Result<Claim, BackendError> {
        self.inner.claim_use(claim, now).await
    }
    async fn release_use(&self, claim: &InvitationUse) -> Result<(), BackendError> {
        self.inner.release_use(claim).await
    }
}
