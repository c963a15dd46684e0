//! Hands out the messages of a schedule when they are due.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Instant,
};

use anyhow::Result;
use tokio::sync::mpsc::Sender;

use crate::{latency::Latency, schedule::Schedule};

/// What came of a schedule on this side of the wire.
#[derive(Debug)]
pub(crate) struct Paced {
    /// How late the generator itself was.
    pub(crate) lag: Latency,
    /// How many could not be handed to their client.
    pub(crate) unsent: u64,
}

/// Runs a schedule with the senders of each room on a thread of its own: the runtime's timers are good to a millisecond only, and would be late just when
/// there is much to do.
pub(crate) async fn pace(schedule: Schedule, senders: Vec<Vec<Sender<u64>>>) -> Result<Paced> {
    let cancelled = Arc::new(AtomicBool::new(false));
    let _guard = CancelOnDrop(Arc::clone(&cancelled));
    tokio::task::spawn_blocking(move || {
        let mut paced = Paced { lag: Latency::new()?, unsent: 0 };
        for slot in schedule.slots() {
            if cancelled.load(Ordering::Relaxed) {
                break;
            }
            let wait = slot.due.saturating_duration_since(Instant::now());
            if !wait.is_zero() {
                thread::sleep(wait);
            }
            paced.lag.record(slot.due, Instant::now());
            let sender = senders.get(slot.room).and_then(|room| room.get(slot.sender));
            let sent = sender.is_some_and(|sender| sender.try_send(slot.sequence).is_ok());
            paced.unsent += u64::from(!sent);
        }
        Ok(paced)
    })
    .await?
}

struct CancelOnDrop(Arc<AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
