//! Runs rooms that are due.

use std::{collections::VecDeque, sync::Arc};

use futures_util::{StreamExt as _, stream::FuturesUnordered};

use super::{Hub, HubError};
use crate::{
    clock::Millis,
    id::RoomId,
    replica::{Job, Why},
    telemetry::contained,
};

/// Pause before the next attempt of a room whose timer failed.
const RETRY: Millis = 1_000;
/// Maximum number of due rooms that are run at the same time.
const TICKS: usize = 64;

impl Hub {
    /// Runs due rooms. Does not return. A room that has to wait does not delay others.
    pub async fn run(&self) {
        let (mut due, mut ticks) = (VecDeque::new(), FuturesUnordered::new());
        loop {
            while ticks.len() < TICKS
                && let Some(next) = due.pop_front()
            {
                ticks.push(self.tick_when_due(next));
            }
            // In a fixed order, so that simulations are reproducible: the schedule is only asked when no room is running.
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
                // The back end logs an outage once, so it is not logged for every room.
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
