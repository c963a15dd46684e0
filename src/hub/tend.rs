//! Rooms that this node looks after though none of its members is in them.

use futures_util::{StreamExt as _, stream};

use super::{Hub, HubError, LocalRoom, local::Phase};
use crate::{
    backend::BackendError,
    clock::Millis,
    id::{NodeId, RoomId},
    room::{Command, Room, next_due},
};

/// Rooms that are looked after at once.
const AT_ONCE: usize = 32;
/// When a room that cannot be read, and that nobody could put back, is looked at again.
const UNREADABLE: Millis = 60_000;

impl Hub {
    /// Gives up the seats that a dead node held in these rooms. Whether that was possible in all of them.
    pub async fn reap(&self, node: &NodeId, rooms: Vec<RoomId>) -> bool {
        let wanted = rooms.len();
        self.tend(rooms, &Command::Reap { node: node.clone() }).await.len() == wanted
    }

    /// Does what is due in rooms whose own node did not. When they have something to do next.
    pub async fn attend(&self, rooms: Vec<RoomId>) -> Vec<(RoomId, Option<Millis>)> {
        self.tend(rooms, &Command::Tick).await
    }

    /// Every room is read anew: this node may have been taken for dead.
    pub fn doubt_all(&self) {
        self.all().iter().for_each(|room| self.doubt(room));
    }

    /// Members whose seats are on this node, as shared state last had it.
    pub fn seated(&self) -> usize {
        let here = |room: &Room| room.members.values().filter(|it| it.node == self.parts.node && it.present()).count();
        self.all().iter().map(|room| here(&room.local().replica)).sum()
    }

    async fn tend(&self, rooms: Vec<RoomId>, command: &Command) -> Vec<(RoomId, Option<Millis>)> {
        let done = stream::iter(rooms)
            .map(|room| async move {
                let tended = self.tend_one(&room, command).await;
                if let Err(HubError::Backend(BackendError::Corrupt { .. })) = tended {
                    // Nobody has it, and that is said. Nothing can be done for it, least of all each second.
                    return Some((room, Some(self.now() + UNREADABLE)));
                }
                let failed = |error: &HubError| tracing::debug!(%room, %error, "a room could not be looked after");
                tended.inspect_err(failed).ok().map(|due| (room, due))
            })
            .buffer_unordered(AT_ONCE);
        done.filter_map(|tended| async { tended }).collect().await
    }

    /// When the room has something to do next.
    async fn tend_one(&self, id: &RoomId, command: &Command) -> Result<Option<Millis>, HubError> {
        let room = self.open(id);
        let mut phase = room.turn.lock().await;
        if *phase == Phase::Retired {
            return Err(HubError::Retired);
        }
        let done = match self.enliven(&room, &mut phase).await {
            Ok(()) => match command {
                Command::Tick => self.exhaust(&room, command).await,
                // All at once, and once: a node that lives after all may have its members back.
                _ => self.reap_once(&room, command).await,
            },
            Err(error) => Err(error),
        };
        let due = next_due(&room.local().replica, &self.parts.policy);
        self.settle(&room, &mut phase).await;
        done.map(|()| due)
    }

    async fn reap_once(&self, room: &LocalRoom, command: &Command) -> Result<(), HubError> {
        let before = room.local().replica.version;
        let after = self.commit(room, command).await?;
        self.parts.metrics.reaped_members.inc_by(after.saturating_sub(before));
        Ok(())
    }

    /// Until it changes nothing any more.
    pub(super) async fn exhaust(&self, room: &LocalRoom, command: &Command) -> Result<(), HubError> {
        loop {
            let before = room.local().replica.version;
            let after = self.commit(room, command).await?;
            if after == before {
                return Ok(());
            }
        }
    }
}
