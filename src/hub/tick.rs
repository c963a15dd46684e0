//! What rooms do by themselves when its time has come.

use std::{collections::VecDeque, sync::Arc};

use futures_util::{StreamExt as _, stream::FuturesUnordered};

use super::{
    Hub, HubError, LocalRoom,
    local::{Local, Phase},
};
use crate::{
    clock::Millis,
    id::RoomId,
    room::{Action, Command, next_due},
    telemetry::contained,
};

/// A member that has not reported its position for this long is not watching.
const WATCHING: Millis = 10_000;
/// How long a room that could not do what was due waits for its next try.
pub(super) const RETRY: Millis = 1_000;
/// How long a room is kept whose last member here has gone to another node: it may come back.
const LINGER: Millis = 1_000;
/// Rooms whose time has come that are looked after at once.
const TICKS: usize = 64;

impl Hub {
    /// Does what rooms have to do by themselves, for ever. A room that has to wait keeps no other waiting.
    pub async fn run(&self) {
        let (mut due, mut ticks) = (VecDeque::new(), FuturesUnordered::new());
        loop {
            while ticks.len() < TICKS
                && let Some(next) = due.pop_front()
            {
                ticks.push(self.tick_when_due(next));
            }
            // In a fixed order, so that a simulation can be repeated: one is only asked when the other has nothing left.
            tokio::select! {
                biased;
                more = self.schedule.next(&self.parts.clock), if due.is_empty() => due.extend(more),
                Some(()) = ticks.next() => {}
            }
        }
    }

    async fn tick_when_due(&self, (at, id): (Millis, RoomId)) {
        let Some(room) = self.rooms.get(&id).map(|room| Arc::clone(&room)) else { return };
        {
            let mut local = room.local();
            if local.scheduled == Some(at) {
                local.scheduled = None;
            }
        }
        match contained(self.tick(&room)).await {
            Some(Ok(())) => {}
            Some(Err(error)) => {
                // Whoever talks to shared state says so once when it is away: not here, for every room.
                tracing::debug!(room = %id, %error, "a room could not do what was due, it is tried again");
                let mut local = room.local();
                let again = Some(self.now() + RETRY);
                self.schedule.set(&id, local.scheduled, again);
                local.scheduled = again;
            }
            None => {
                tracing::error!(room = %id, "a bug kept a room from doing what was due; it is read again");
                self.doubt(&room);
            }
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
        if *phase == Phase::Live {
            self.reschedule(room);
        }
        Ok(())
    }

    async fn forget_idle_watchers(&self, room: &LocalRoom) -> Result<(), HubError> {
        let now = self.now();
        let idle: Vec<_> = {
            let local = room.local();
            let stale = |at: Millis| now.saturating_sub(at) >= WATCHING;
            let idle = local.seats.iter().filter(|(_, seat)| seat.reported.is_some_and(stale));
            idle.map(|(user, seat)| (user.clone(), seat.conn)).collect()
        };
        for (user, conn) in idle {
            let cease = Command::Act { user: user.clone(), conn, action: Action::Watching { watching: false } };
            self.commit(room, &cease).await?;
            if let Some(seat) = room.local().seat(&user, conn) {
                seat.reported = None;
            }
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
        // However often it changes meanwhile.
        let leave = self.is_left(local).then(|| {
            let linger = self.now() + LINGER;
            local.scheduled.map_or(linger, |at| at.min(linger))
        });
        let next = [due, idle, local.doubt, leave].into_iter().flatten().min();
        self.schedule.set(&local.replica.id, local.scheduled, next);
        local.scheduled = next;
    }
}
