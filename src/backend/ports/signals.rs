use async_trait::async_trait;

use crate::{
    backend::BackendError,
    id::{ConnId, NodeId, RoomId, UserId},
    protocol::Frame,
};

/// What became of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// It was handed to the node of its target.
    Sent,
    /// It is kept for a member that is away.
    Kept,
    /// There is no such member.
    Nobody,
}

/// What was kept for a member while it was away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inbox {
    /// Oldest first.
    pub frames: Vec<Frame>,
    /// There were more than are kept, and the oldest are gone.
    pub lost: bool,
}

/// Carries frames to one member, wherever its socket is, and keeps them while the member is away.
#[async_trait]
pub trait SignalBus: Send + Sync + 'static {
    /// Hands `frame` to `to`, which was last known to be at the node `at`, or away. Frames of one member to another arrive in order,
    /// except those that follow a member which is moving just now.
    async fn direct(
        &self,
        room: &RoomId,
        to: &UserId,
        at: Option<&NodeId>,
        frame: Frame,
    ) -> Result<Delivery, BackendError>;

    /// Whether that socket of a member at `node` still answers a ping: see [`answered`](super::answered). Nothing when the node does not
    /// say so; a dead node never does, and its lease tells.
    async fn answers(
        &self,
        node: &NodeId,
        room: &RoomId,
        user: &UserId,
        conn: ConnId,
    ) -> Result<Option<bool>, BackendError>;

    /// What was kept for a member while it was away. It stays there until it is [`taken`](SignalBus::taken).
    async fn inbox(&self, room: &RoomId, user: &UserId) -> Result<Inbox, BackendError>;

    /// `inbox` has reached the member. What has come since stays.
    async fn taken(&self, room: &RoomId, user: &UserId, inbox: &Inbox) -> Result<(), BackendError>;
}
