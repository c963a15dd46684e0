//! Tells senders to send when the messages of a schedule are due.

use std::{thread, time::Instant};

use anyhow::Result;
use tokio::sync::mpsc::Sender;

use super::Schedule;
use crate::measure::Latency;

/// How a schedule went on the side of the generator.
#[derive(Debug)]
pub(super) struct Paced {
    /// How late messages were handed to their senders.
    pub(super) lag: Latency,
    /// Messages whose sender could not take them.
    pub(super) unsent: u64,
}

/// Runs a schedule on a thread of its own; `senders` are those of each room. The timers of the runtime are accurate to a millisecond
/// only, and would be late exactly when there is much to do.
pub(super) async fn pace(schedule: Schedule, senders: Vec<Vec<Sender<u64>>>) -> Result<Paced> {
    tokio::task::spawn_blocking(move || {
        let mut paced = Paced { lag: Latency::new()?, unsent: 0 };
        for slot in schedule.slots() {
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

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::channel;

    use super::*;

    #[tokio::test]
    async fn a_message_that_its_sender_cannot_take_is_unsent() {
        let (busy, _receiver) = channel(1);
        let (idle, mut numbers) = channel(8);
        // Six messages, three for each room.
        let schedule = Schedule::new(Instant::now(), 2, 1).lasting(6, 1, 4);
        let paced = pace(schedule, vec![vec![busy], vec![idle]]).await.unwrap();
        assert_eq!((paced.unsent, paced.lag.count()), (2, 6));
        assert_eq!([numbers.recv().await, numbers.recv().await, numbers.recv().await], [Some(4), Some(5), Some(6)]);
    }
}
