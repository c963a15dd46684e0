use std::{sync::Arc, time::Duration};

use tokio::{sync::oneshot, time::timeout};

use crate::{
    id::{ConnId, RoomId, UserId},
    protocol::Frame,
    room::{StreamPosition, Update},
};

/// How long a socket has to answer a ping.
const PONG_WITHIN: Duration = Duration::from_secs(3);

/// Whether a socket that was [asked](RoomEvents::ask) answered in time. A socket that does not exist does not answer.
pub async fn answered(asked: Option<oneshot::Receiver<()>>) -> bool {
    match asked {
        Some(asked) => matches!(timeout(PONG_WITHIN, asked).await, Ok(Ok(()))),
        None => false,
    }
}

/// The callbacks from shared state to a node. All of them return at once.
pub trait RoomEvents: Send + Sync {
    /// Whether the replica of this node has reached `position`, so that the update that leads there need not be delivered.
    fn knows(&self, room: &RoomId, position: StreamPosition) -> bool;

    /// A room was updated.
    fn update(&self, update: &Arc<Update>);

    /// Updates of a room may have been missed: the room must be loaded again.
    fn stale(&self, room: &RoomId);

    /// Pings the socket of a member. The receiver resolves with the next sign of life of the socket; `None` if the socket is not on this
    /// node.
    fn ask(&self, room: &RoomId, user: &UserId, conn: ConnId) -> Option<oneshot::Receiver<()>>;

    /// A frame for a member whose socket should be on this node. False if it is not.
    fn signal(&self, room: &RoomId, to: &UserId, frame: &Frame) -> bool;
}
