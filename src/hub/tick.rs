//! What rooms do by themselves when its time has come.

use std::sync::Arc;

use futures_util::{StreamExt as _, stream};

use super::{
    Hub, HubError, LocalRoom,
    local::{Local, Phase},
};
use crate::{
    clock::Millis,
    room::{Action, Command, next_due},
};

/// A member that has not reported its position for this long is not watching.
const WATCHING: Millis = 10_000;
/// How long a room that could not do what was due waits for its next try.
pub(super) const RETRY: Millis = 1_000;
/// Rooms whose time has come that are looked after at once.
const TICKS: usize = 64;

impl Hub {
    /// Does what rooms have to do by themselves, for ever.
    pub async fn run(&self) {
        loop {
            let due = self.schedule.next(&self.parts.clock).await;
            let ticks = stream::iter(due).for_each_concurrent(TICKS, |(at, id)| async move {
                let Some(room) = self.rooms.get(&id).map(|room| Arc::clone(&room)) else { return };
                {
                    let mut local = room.local();
                    if local.scheduled == Some(at) {
                        local.scheduled = None;
                    }
                }
                if let Err(error) = self.tick(&room).await {
                    // Whoever talks to shared state says so once when it is away: not here, for every room.
                    tracing::debug!(room = %id, %error, "a room could not do what was due, it is tried again");
                    let mut local = room.local();
                    let again = Some(self.now() + RETRY);
                    self.schedule.set(&id, local.scheduled, again);
                    local.scheduled = again;
                }
            });
            ticks.await;
        }
    }

    async fn tick(&self, room: &Arc<LocalRoom>) -> Result<(), HubError> {
        let mut phase = room.turn.lock().await;
        if *phase != Phase::Live {
            return Ok(());
        }
        self.enliven(room, &mut phase).await?;
        self.exhaust(room, &Command::Tick).await?;
        self.forget_idle_watchers(room).await?;
        self.settle(room, &mut phase).await;
        self.reschedule(room);
        Ok(())
    }

    async fn forget_idle_watchers(&self, room: &LocalRoom) -> Result<(), HubError> {
        let now = self.now();
        let idle: Vec<_> = {
            let mut local = room.local();
            let stale = |at: Millis| now.saturating_sub(at) >= WATCHING;
            let idle = local.seats.iter_mut().filter(|(_, seat)| seat.reported.is_some_and(stale));
            idle.map(|(user, seat)| {
                seat.reported = None;
                (user.clone(), seat.conn)
            })
            .collect()
        };
        for (user, conn) in idle {
            self.commit(room, &Command::Act { user, conn, action: Action::Watching { watching: false } }).await?;
        }
        Ok(())
    }

    pub(super) fn unschedule(&self, room: &LocalRoom) {
        let mut local = room.local();
        self.schedule.set(&room.id, local.scheduled.take(), None);
    }

    pub(super) fn reschedule(&self, room: &LocalRoom) {
        self.place(&mut room.local());
    }

    pub(super) fn place(&self, local: &mut Local) {
        let due = next_due(&local.replica, &self.parts.policy);
        let idle = local.seats.values().filter_map(|seat| seat.reported).min().map(|at| at + WATCHING);
        let next = [due, idle, local.doubt].into_iter().flatten().min();
        self.schedule.set(&local.replica.id, local.scheduled, next);
        local.scheduled = next;
    }
}
