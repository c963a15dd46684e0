use std::time::Duration;

use tokio::time::Instant;

use crate::{clock::Millis, hub::Wait, id::RoomId, protocol::Code, room::Join};

/// Interval of retries without a change of the room on this node: in a cluster it also changes on other nodes.
const EVERY: Duration = Duration::from_secs(5);
/// Minimum interval between two retries.
const REST: Duration = Duration::from_millis(250);

/// A waiting JOIN: one of a first-generation client that was refused for a temporary reason. Such a client shows a party that it is not in,
/// and never asks again, so the node retries on its behalf while the socket is open.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) room: RoomId,
    pub(super) join: Join,
    /// The code of the last refusal.
    pub(super) why: Code,
    /// The time of the last attempt.
    tried: Instant,
    /// The time of the next attempt.
    pub(super) next: Instant,
    /// The registration for changes of the room.
    #[expect(dead_code, reason = "it counts by being there")]
    wait: Wait,
}

impl Pending {
    /// A JOIN that was just refused; `retry_after` is the earliest time at which it may be granted.
    pub(super) fn new(room: RoomId, join: Join, why: Code, retry_after: Option<Millis>, wait: Wait) -> Self {
        let now = Instant::now();
        Self { room, join, why, tried: now, next: now + pause(retry_after), wait }
    }

    /// Records another refusal.
    pub(super) fn refused(&mut self, why: Code, retry_after: Option<Millis>) {
        self.why = why;
        self.tried = Instant::now();
        self.next = self.tried + pause(retry_after);
    }

    /// Makes a retry due, because the room has changed.
    pub(super) fn prompt(&mut self) {
        self.next = self.next.min(self.tried + REST);
    }
}

fn pause(retry_after: Option<Millis>) -> Duration {
    retry_after.map_or(EVERY, |ms| Duration::from_millis(ms).clamp(REST, EVERY))
}
