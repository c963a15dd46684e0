use async_trait::async_trait;

use crate::{
    backend::{BackendError, Inbox},
    id::{ConnId, NodeId, RoomId, UserId},
    protocol::Frame,
};

/// The outcome of sending a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// The signal was sent to the node of its target.
    Sent,
    /// The signal is in the inbox of a member that is away.
    Kept,
    /// The target is not in the room.
    Nobody,
}

/// Carries frames to one member, on whichever node its socket is, and keeps them while the member is away.
#[async_trait]
pub trait SignalBus: Send + Sync + 'static {
    /// Sends `frame` to `to`, whose last known node is `at` (`None`: away). Frames from one member to another arrive in order, except while
    /// the target moves to another node.
    async fn direct(
        &self,
        room: &RoomId,
        to: &UserId,
        at: Option<&NodeId>,
        frame: Frame,
    ) -> Result<Delivery, BackendError>;

    /// Whether the socket of a member at `node` still answers a ping: see [`answered`](super::answered). `None` if the node does not reply;
    /// a dead node never does, and its lease expires instead.
    async fn answers(
        &self,
        node: &NodeId,
        room: &RoomId,
        user: &UserId,
        conn: ConnId,
    ) -> Result<Option<bool>, BackendError>;

    /// Reads the inbox of a member. The frames stay there until they are [`taken`](SignalBus::taken).
    async fn inbox(&self, room: &RoomId, user: &UserId) -> Result<Inbox, BackendError>;

    /// Removes the frames of `inbox`, which have reached the member. Newer ones stay.
    async fn taken(&self, room: &RoomId, user: &UserId, inbox: &Inbox) -> Result<(), BackendError>;
}
