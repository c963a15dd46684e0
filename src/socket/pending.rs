use std::time::Duration;

use tokio::time::Instant;

use crate::{clock::Millis, hub::Wait, id::RoomId, protocol::Code, room::Join};

/// How often it is tried again whatever is known of the room: in a cluster it changes on other nodes.
const EVERY: Duration = Duration::from_secs(5);
/// And not more often than this, however often the room changes.
const REST: Duration = Duration::from_millis(250);

/// A JOIN of a first-generation client that was refused by something that passes by itself. Such a client shows a party that it is not
/// in, and never asks again; so the node does it instead, for as long as the socket is open.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) room: RoomId,
    pub(super) join: Join,
    /// What it was refused with.
    pub(super) why: Code,
    /// When it was decided last.
    tried: Instant,
    /// When it is decided next.
    pub(super) next: Instant,
    /// Hears of changes of the room.
    #[expect(dead_code, reason = "it counts by being there")]
    wait: Wait,
}

impl Pending {
    /// Refused just now; `retry_after` says when it may be granted at the earliest.
    pub(super) fn new(room: RoomId, join: Join, why: Code, retry_after: Option<Millis>, wait: Wait) -> Self {
        let now = Instant::now();
        Self { room, join, why, tried: now, next: now + pause(retry_after), wait }
    }

    /// Refused once more.
    pub(super) fn refused(&mut self, why: Code, retry_after: Option<Millis>) {
        self.why = why;
        self.tried = Instant::now();
        self.next = self.tried + pause(retry_after);
    }

    /// The room has changed.
    pub(super) fn prompt(&mut self) {
        self.next = self.next.min(self.tried + REST);
    }
}

fn pause(retry_after: Option<Millis>) -> Duration {
    retry_after.map_or(EVERY, |ms| Duration::from_millis(ms).clamp(REST, EVERY))
}
