use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;

use crate::{
    clock::{Clock, Millis},
    id::RoomId,
};

/// Maximum wait before the clock is read again.
const RECKON: Duration = Duration::from_secs(10);

/// The times at which rooms are due: one timer for all rooms.
#[derive(Debug, Default)]
pub struct Schedule {
    due: Mutex<BTreeSet<(Millis, RoomId)>>,
    sooner: Notify,
}

impl Schedule {
    /// Moves a room from its old time to its new one.
    pub(super) fn set(&self, room: &RoomId, old: Option<Millis>, new: Option<Millis>) {
        if old == new {
            return;
        }
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(old) = old {
            due.remove(&(old, room.clone()));
        }
        if let Some(new) = new {
            let first = due.first().is_none_or(|(first, _)| new < *first);
            due.insert((new, room.clone()));
            if first {
                self.sooner.notify_one();
            }
        }
    }

    /// Waits until rooms are due, and removes them from the schedule.
    pub async fn next(&self, clock: &Clock) -> Vec<(Millis, RoomId)> {
        loop {
            let sooner = self.sooner.notified();
            let first = {
                let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
                let now = clock.now();
                let mut ready = Vec::new();
                while let Some(entry) = due.pop_first() {
                    if entry.0 > now {
                        due.insert(entry);
                        break;
                    }
                    ready.push(entry);
                }
                if !ready.is_empty() {
                    return ready;
                }
                due.first().map(|(at, _)| *at)
            };
            match first {
                Some(at) => {
                    tokio::select! {
                        biased;
                        () = tokio::time::sleep_until(clock.instant(at)) => {}
                        // The clock may run faster meanwhile, or the machine may sleep.
                        () = tokio::time::sleep(RECKON) => {}
                        () = sooner => {}
                    }
                }
                None => sooner.await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn wakes_in_order_and_for_what_comes_sooner() {
        let clock = Clock::of_tokio(1_000_000);
        let schedule = Schedule::default();
        let room = |name| RoomId::parse(name).unwrap();
        let start = clock.now();
        schedule.set(&room("late"), None, Some(start + 60_000));
        let (first, ()) = tokio::join!(schedule.next(&clock), async {
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            schedule.set(&room("soon"), None, Some(start + 5_000));
        });
        assert_eq!(first, [(start + 5_000, room("soon"))]);
        assert!(clock.now() - start < 10_000);
        schedule.set(&room("late"), Some(start + 60_000), Some(start + 7_000));
        assert_eq!(schedule.next(&clock).await, [(start + 7_000, room("late"))]);
    }
}
