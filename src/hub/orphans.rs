//! Rooms that this node looks after though none of its members is in them.

use futures_util::{StreamExt as _, stream};

use super::{Hub, HubError};
use crate::{
    backend::BackendError,
    clock::Millis,
    id::{NodeId, RoomId},
    replica::{Job, Why},
    room::{Command, Room},
};

/// Rooms that are looked after at once.
const AT_ONCE: usize = 32;
/// When a room that cannot be read, and that nobody could put back, is looked at again.
const UNREADABLE: Millis = 60_000;

impl Hub {
    /// Gives up the seats that a dead node held in these rooms. Whether that was possible in all of them.
    pub async fn reap(&self, node: &NodeId, rooms: Vec<RoomId>) -> bool {
        let wanted = rooms.len();
        self.tend(rooms, &Job::Tend(Command::Reap { node: node.clone() })).await.len() == wanted
    }

    /// Does what is due in rooms whose own node did not. When they have something to do next.
    pub async fn attend(&self, rooms: Vec<RoomId>) -> Vec<(RoomId, Option<Millis>)> {
        self.tend(rooms, &Job::Tend(Command::Tick)).await
    }

    /// Every room is read again: this node may have been taken for dead.
    pub fn doubt_all(&self) {
        self.all().iter().for_each(|room| self.resync_soon(room, Why::LeaseLost));
    }

    /// Members whose seats are on this node, as shared state last had it.
    pub fn seated(&self) -> usize {
        let here = |room: &Room| room.members.values().filter(|it| it.node == self.parts.node && it.present()).count();
        self.all().iter().map(|room| room.look(|replica| here(replica.room()))).sum()
    }

    async fn tend(&self, rooms: Vec<RoomId>, job: &Job) -> Vec<(RoomId, Option<Millis>)> {
        let done = stream::iter(rooms)
            .map(|room| async move {
                let tended = self.tend_one(&room, job).await;
                if let Err(HubError::Backend(BackendError::Corrupt { .. })) = tended {
                    // Nobody has it, and that is said. Nothing can be done for it, least of all each second.
                    return Some((room, Some(self.now() + UNREADABLE)));
                }
                let failed =
                    |error: &HubError| tracing::debug!(%room, %error, "a room of a dead node could not be taken over");
                tended.inspect_err(failed).ok().map(|due| (room, due))
            })
            .buffer_unordered(AT_ONCE);
        done.filter_map(|tended| async { tended }).collect().await
    }

    /// When the room has something to do next.
    async fn tend_one(&self, id: &RoomId, job: &Job) -> Result<Option<Millis>, HubError> {
        let room = self.open(id);
        self.take_turn(&room, job).await?;
        Ok(room.look(|replica| replica.next_due(&self.parts.policy)))
    }
}
