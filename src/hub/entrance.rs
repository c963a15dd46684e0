use std::time::Duration;

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

use super::HubError;

/// JOINs and RESUMEs that are under way at once. That is enough to keep Redis busy; more would only wait there, in front of the changes of
/// those who are inside.
const ENTRIES: usize = 64;
/// Rooms that are read from shared state at once.
const LOADS: usize = 64;
/// How long a JOIN or RESUME waits for its turn. A client that still wants to come in then asks again.
const PATIENCE: Duration = Duration::from_secs(15);

/// Bounds what comes in all at once: the clients of a node that died, or all rooms after the connection to Redis was replaced. Whoever waits
/// here waits in the order of arrival, and costs nothing. If all of it were sent to Redis, its answers would come later than the deadline of
/// every command.
#[derive(Debug)]
pub(super) struct Entrance {
    entries: Semaphore,
    loads: Semaphore,
}

impl Default for Entrance {
    fn default() -> Self {
        Self { entries: Semaphore::new(ENTRIES), loads: Semaphore::new(LOADS) }
    }
}

impl Entrance {
    /// Waits for the turn of a JOIN or RESUME.
    pub(super) async fn enter(&self) -> Result<SemaphorePermit<'_>, HubError> {
        // Whoever need not wait needs no timer. Nobody overtakes: while somebody waits there are no permits left.
        if let Ok(entry) = self.entries.try_acquire() {
            return Ok(entry);
        }
        let turn = timeout(PATIENCE, self.entries.acquire()).await;
        // The semaphore is never closed.
        turn.ok().and_then(Result::ok).ok_or(HubError::Crowded)
    }

    /// Waits for the turn of a room that is to be read.
    pub(super) async fn load(&self) -> Option<SemaphorePermit<'_>> {
        self.loads.acquire().await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
