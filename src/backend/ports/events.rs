use std::{sync::Arc, time::Duration};

use tokio::{sync::oneshot, time::timeout};

use crate::{
    id::{ConnId, RoomId, UserId},
    protocol::Frame,
    room::{StreamPosition, Update},
};

/// How long a socket has to give a sign of life.
const PONG_WITHIN: Duration = Duration::from_secs(3);

/// Whether a socket that was [asked](RoomEvents::ask) gave a sign of life in time. A socket that is not there gives none.
pub async fn answered(asked: Option<oneshot::Receiver<()>>) -> bool {
    match asked {
        Some(asked) => matches!(timeout(PONG_WITHIN, asked).await, Ok(Ok(()))),
        None => false,
    }
}

/// A node, as shared state sees it. All calls return at once.
pub trait RoomEvents: Send + Sync {
    /// Whether this node's copy of the room has come as far as `position`, so that the update that leads there need not be handed over.
    fn knows(&self, room: &RoomId, position: StreamPosition) -> bool;

    /// A room has changed.
    fn update(&self, update: &Arc<Update>);

    /// Updates of a room may have been missed: the room has to be read again.
    fn stale(&self, room: &RoomId);

    /// Pings a member's socket. The receiver resolves with the socket's next sign of life; there is none if the socket is not here.
    fn ask(&self, room: &RoomId, user: &UserId, conn: ConnId) -> Option<oneshot::Receiver<()>>;

    /// A frame for a member whose socket this node was said to hold. False if this node does not hold it.
    fn signal(&self, room: &RoomId, to: &UserId, frame: &Frame) -> bool;
}
