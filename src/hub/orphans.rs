//! Rooms that this node runs without having members in them: those of dead nodes, and overdue ones.

use futures_util::{StreamExt as _, stream};

use super::{Hub, HubError};
use crate::{
    backend::BackendError,
    clock::Millis,
    id::{NodeId, RoomId},
    replica::{Job, Replica, Why},
    room::{Command, Room},
};

/// Maximum number of rooms that are run at the same time.
const AT_ONCE: usize = 32;
/// The same where nobody waits for it, in front of clients that come in.
const AT_LEISURE: usize = 4;
/// What the timer of a room does.
const TICK: Job = Job::Orphan(Command::Tick);
/// Interval, in ms, at which a room that can be neither decoded nor restored is tried again.
const UNREADABLE: Millis = 60_000;

impl Hub {
    /// Reaps a dead node in these rooms. Returns whether that succeeded in all of them.
    pub async fn reap(&self, node: &NodeId, rooms: Vec<RoomId>) -> bool {
        let wanted = rooms.len();
        let job = Job::Orphan(Command::Reap { node: node.clone() });
        run_in_rooms(rooms, AT_ONCE, |room| self.tend(room, &job)).await.len() == wanted
    }

    /// Gives up the seats of this node that have no socket, in these rooms and in those where they were kept for a while: whoever loads a
    /// room finds them. Each room waits for its turn among the clients that come in, most of whom take such a seat again. Returns whether
    /// that succeeded in all of them.
    pub async fn tidy(&self, mut rooms: Vec<RoomId>) -> bool {
        let keeping = self.all().into_iter().filter(|room| room.look(Replica::keeps_ghosts));
        rooms.extend(keeping.map(|room| room.id.clone()));
        let wanted = rooms.len();
        let tend = |room| async move {
            let _entry = self.entrance.enter().await.ok()?;
            self.tend(room, &TICK).await
        };
        run_in_rooms(rooms, AT_LEISURE, tend).await.len() == wanted
    }

    /// Runs the timers of overdue rooms. Returns when each is due next.
    pub async fn run_overdue(&self, rooms: Vec<RoomId>) -> Vec<(RoomId, Option<Millis>)> {
        run_in_rooms(rooms, AT_ONCE, |room| self.tend(room, &TICK)).await
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

    /// Runs a job in a room, and returns when it is due next; `None` if it has to be tried again.
    async fn tend(&self, room: RoomId, job: &Job) -> Option<(RoomId, Option<Millis>)> {
        match self.run_in_room(&room, job).await {
            Ok(due) => Some((room, due)),
            // No node has the room, which is logged. Trying again each second would not help.
            Err(HubError::Backend(BackendError::Corrupt { .. })) => Some((room, Some(self.now() + UNREADABLE))),
            Err(error) => {
                tracing::debug!(%room, %error, "a room could not be run");
                None
            }
        }
    }

    async fn run_in_room(&self, id: &RoomId, job: &Job) -> Result<Option<Millis>, HubError> {
        let room = self.open(id);
        self.take_turn(&room, job).await?;
        Ok(room.look(|replica| replica.next_due(&self.parts.policy)))
    }
}

/// Tends to rooms, so many at a time. Those that have to be tried again are missing in the answer.
async fn run_in_rooms<T, F: Future<Output = Option<T>>>(
    rooms: Vec<RoomId>,
    at_once: usize,
    tend: impl FnMut(RoomId) -> F,
) -> Vec<T> {
    let done = stream::iter(rooms).map(tend).buffer_unordered(at_once);
    done.filter_map(|tended| async { tended }).collect().await
}
