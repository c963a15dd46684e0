//! Rooms that this node runs without having members in them: those of dead nodes, and overdue ones.

use futures_util::{StreamExt as _, stream};

use super::{Hub, HubError};
use crate::{
    backend::BackendError,
    clock::Millis,
    id::{NodeId, RoomId},
    replica::{Job, Why},
    room::{Command, Room},
};

/// Maximum number of rooms that are run at the same time.
const AT_ONCE: usize = 32;
/// Interval, in ms, at which a room that can be neither decoded nor restored is tried again.
const UNREADABLE: Millis = 60_000;

impl Hub {
    /// Reaps a dead node in these rooms. Returns whether that succeeded in all of them.
    pub async fn reap(&self, node: &NodeId, rooms: Vec<RoomId>) -> bool {
        let wanted = rooms.len();
        self.run_in_rooms(rooms, &Job::Orphan(Command::Reap { node: node.clone() })).await.len() == wanted
    }

    /// Gives up the seats of this node that have no socket, in these rooms: whoever loads a room finds them. Returns whether that succeeded
    /// in all of them.
    pub async fn tidy(&self, rooms: Vec<RoomId>) -> bool {
        let wanted = rooms.len();
        self.run_in_rooms(rooms, &Job::Orphan(Command::Tick)).await.len() == wanted
    }

    /// Runs the timers of overdue rooms. Returns when each is due next.
    pub async fn run_overdue(&self, rooms: Vec<RoomId>) -> Vec<(RoomId, Option<Millis>)> {
        self.run_in_rooms(rooms, &Job::Orphan(Command::Tick)).await
    }

    /// Has every room loaded again, because other nodes may have reaped this one.
    pub fn resync_all(&self) {
        self.all().iter().for_each(|room| self.resync_soon(room, Why::LeaseLost));
    }

    /// The number of members that are present on this node, by the last known state of the rooms.
    pub fn seated(&self) -> usize {
        let here = |room: &Room| room.members.values().filter(|it| it.node == self.parts.node && it.present()).count();
        self.all().iter().map(|room| room.look(|replica| here(replica.room()))).sum()
    }

    async fn run_in_rooms(&self, rooms: Vec<RoomId>, job: &Job) -> Vec<(RoomId, Option<Millis>)> {
        let done = stream::iter(rooms)
            .map(|room| async move {
                let tended = self.run_in_room(&room, job).await;
                if let Err(HubError::Backend(BackendError::Corrupt { .. })) = tended {
                    // No node has the room, which is logged. Trying again each second would not help.
                    return Some((room, Some(self.now() + UNREADABLE)));
                }
                let failed = |error: &HubError| tracing::debug!(%room, %error, "a room could not be run");
                tended.inspect_err(failed).ok().map(|due| (room, due))
            })
            .buffer_unordered(AT_ONCE);
        done.filter_map(|tended| async { tended }).collect().await
    }

    /// Runs a job in a room, and returns when it is due next.
    async fn run_in_room(&self, id: &RoomId, job: &Job) -> Result<Option<Millis>, HubError> {
        let room = self.open(id);
        self.take_turn(&room, job).await?;
        Ok(room.look(|replica| replica.next_due(&self.parts.policy)))
    }
}
