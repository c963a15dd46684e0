use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, timeout},
};

use super::HubError;

/// JOINs and RESUMEs that are under way at once. That is enough to keep Redis busy; more would only wait there, in front of the changes of
/// those who are inside.
const ENTRIES: usize = 64;
/// Rooms that are read from shared state at once.
const LOADS: usize = 64;
/// How long a JOIN or RESUME waits for its turn. A client that still wants to come in then asks again.
const PATIENCE: Duration = Duration::from_secs(15);
/// Where the next one would have to wait for longer, no more clients are let into the node. Whoever waits for longer than its own patience
/// goes away and comes again, and what was done for it was for nothing; a node that is busy with those lets nobody in any more.
const LONGEST_WAIT: Duration = Duration::from_secs(3);
/// The time between two turns that is assumed before any was seen.
const INTERVAL: Duration = Duration::from_millis(1);
/// The part of a new interval in the smoothed one.
const SMOOTHING: u32 = 32;

/// Bounds what comes in all at once: the clients of a node that died, or all rooms after the connection to Redis was replaced. Whoever waits
/// here waits in the order of arrival, and costs nothing. If all of it were sent to Redis, its answers would come later than the deadline of
/// every command.
#[derive(Debug)]
pub(super) struct Entrance {
    entries: Semaphore,
    loads: Semaphore,
    waiting: AtomicU32,
    pace: Mutex<Pace>,
}

/// How fast turns come.
#[derive(Debug)]
struct Pace {
    /// When the last one came, or somebody began to wait for the first.
    last: Instant,
    /// The smoothed time between two.
    interval: Duration,
}

/// One that waits, until this is dropped.
struct Waiting<'a>(&'a AtomicU32);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Default for Entrance {
    fn default() -> Self {
        let pace = Mutex::new(Pace { last: Instant::now(), interval: INTERVAL });
        let (entries, loads) = (Semaphore::new(ENTRIES), Semaphore::new(LOADS));
        Self { entries, loads, waiting: AtomicU32::new(0), pace }
    }
}

impl Entrance {
    /// Waits for the turn of a JOIN or RESUME.
    pub(super) async fn enter(&self) -> Result<SemaphorePermit<'_>, HubError> {
        // Whoever need not wait needs no timer. Nobody overtakes: while somebody waits there are no permits left.
        if let Ok(entry) = self.entries.try_acquire() {
            return Ok(entry);
        }
        if self.waiting.fetch_add(1, Ordering::AcqRel) == 0 {
            self.pace().last = Instant::now();
        }
        let _waiting = Waiting(&self.waiting);
        let turn = timeout(PATIENCE, self.entries.acquire()).await;
        // The semaphore is never closed.
        let turn = turn.ok().and_then(Result::ok).ok_or(HubError::Crowded)?;
        self.pace().step();
        Ok(turn)
    }

    /// Whether the next one would have to wait for too long.
    pub(super) fn is_crowded(&self) -> bool {
        match self.waiting.load(Ordering::Acquire) {
            0 => false,
            waiting => self.pace().wait_of(waiting) > LONGEST_WAIT,
        }
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the turn of a room that is to be read.
    pub(super) async fn load(&self) -> Option<SemaphorePermit<'_>> {
        self.loads.acquire().await.ok()
    }
}

impl Pace {
    fn step(&mut self) {
        let now = Instant::now();
        let took = now.saturating_duration_since(self.last);
        self.interval = (self.interval * (SMOOTHING - 1) + took) / SMOOTHING;
        self.last = now;
    }

    /// How long the last of so many is going to wait. A turn that does not come at all counts, too.
    fn wait_of(&self, waiting: u32) -> Duration {
        (self.interval * waiting).max(self.last.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lets one in every `interval`, while there are those who wait.
    async fn serve(entrance: &Entrance, interval: Duration, turns: u32) {
        for _ in 0..turns {
            tokio::time::sleep(interval).await;
            entrance.entries.add_permits(1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_lets_in_as_many_as_will_not_wait_for_too_long() {
        let entrance = std::sync::Arc::new(Entrance::default());
        entrance.entries.forget_permits(ENTRIES);
        let come = |count: u32| {
            for _ in 0..count {
                let entrance = std::sync::Arc::clone(&entrance);
                tokio::spawn(async move { entrance.enter().await.map(SemaphorePermit::forget) });
            }
        };
        assert!(!entrance.is_crowded(), "nobody waits");
        come(200);
        serve(&entrance, Duration::from_millis(10), 100).await;
        assert!(!entrance.is_crowded(), "a hundred turns take a second");
        come(300);
        while entrance.waiting.load(Ordering::Acquire) < 400 {
            tokio::task::yield_now().await;
        }
        assert!(entrance.is_crowded(), "four hundred take four");
        serve(&entrance, Duration::from_millis(10), 150).await;
        assert!(!entrance.is_crowded());
        // No turn comes at all.
        tokio::time::sleep(LONGEST_WAIT + INTERVAL).await;
        assert!(entrance.is_crowded());
        serve(&entrance, Duration::from_millis(10), 250).await;
        assert!(!entrance.is_crowded(), "nobody waits any more");
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_longest_is_next_and_nobody_waits_for_ever() {
        let entrance = Entrance::default();
        let mut inside = Vec::new();
        for _ in 0..ENTRIES {
            inside.push(entrance.enter().await.unwrap());
        }
        let late = tokio::join!(entrance.enter(), async {
            tokio::time::sleep(PATIENCE / 2).await;
            inside.pop();
        });
        inside.push(late.0.unwrap());
        assert!(matches!(entrance.enter().await, Err(HubError::Crowded)));
    }
}
