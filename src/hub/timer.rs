//! What rooms do by themselves when its time has come.

use std::{collections::VecDeque, sync::Arc};

use futures_util::{StreamExt as _, stream::FuturesUnordered};

use super::{Hub, HubError};
use crate::{
    clock::Millis,
    id::RoomId,
    replica::{Job, Why},
    telemetry::contained,
};

/// How long a room that could not do what was due waits for its next try.
const RETRY: Millis = 1_000;
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
        Self::unscheduled(&room, at);
        match contained(self.take_turn(&room, &Job::Tick)).await {
            Some(Ok(_) | Err(HubError::Retired)) => self.reschedule(&room),
            Some(Err(error)) => {
                // Whoever talks to shared state says so once when it is away: not here, for every room.
                tracing::debug!(room = %id, %error, "a room's timer could not be run and will be tried again");
                self.postpone(&room, RETRY);
            }
            None => {
                tracing::error!(room = %id, "a bug stopped a room's timer; the room is read again");
                self.resync_soon(&room, Why::Broken);
            }
        }
    }
}
