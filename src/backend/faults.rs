use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use tracing::Level;

use super::BackendError;
use crate::telemetry::{Cause, Metrics};

/// How often what goes on is said again.
const AGAIN: Duration = Duration::from_secs(30);
/// Places that are remembered as having been told of. Past that they are forgotten, and told of again.
const PLACES: usize = 256;

/// Counts what goes wrong with shared state, and says it: at once, and every half a minute for as long as it goes on.
#[derive(Debug)]
pub struct Faults {
    metrics: Arc<Metrics>,
    said: Mutex<HashMap<(Cause, Box<str>), Said>>,
}

#[derive(Debug)]
struct Said {
    last: Instant,
    /// How often it has come since, without a word.
    hushed: u64,
}

impl Faults {
    /// None so far.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics, said: Mutex::default() }
    }

    fn said(&self) -> MutexGuard<'_, HashMap<(Cause, Box<str>), Said>> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts it only: somebody else says it.
    pub fn count(&self, error: &BackendError) {
        self.metrics.state_errors.inc(error.cause());
    }

    /// Counts it, and says it if that was not done a moment ago.
    pub fn note(&self, error: &BackendError) {
        self.count(error);
        let Some(hushed) = self.is_news(error) else { return };
        let cause = crate::telemetry::Label::value(error.cause());
        if error.level() == Level::ERROR {
            tracing::error!(cause, %error, hushed, "shared state cannot be used");
        } else {
            tracing::warn!(cause, %error, hushed, "shared state cannot be used");
        }
    }

    /// How often it has come since it was said last, if it is to be said now.
    fn is_news(&self, error: &BackendError) -> Option<u64> {
        let now = Instant::now();
        let mut all = self.said();
        if all.len() >= PLACES {
            all.clear();
        }
        let said = all.entry((error.cause(), error.place().into()));
        let said = match said {
            std::collections::hash_map::Entry::Vacant(vacant) => {
                vacant.insert(Said { last: now, hushed: 0 });
                return Some(0);
            }
            std::collections::hash_map::Entry::Occupied(said) => said.into_mut(),
        };
        if now - said.last < AGAIN {
            said.hushed += 1;
            return None;
        }
        said.last = now;
        Some(std::mem::take(&mut said.hushed))
    }

    /// All is well again: whatever comes next is said at once.
    pub fn over(&self) {
        self.said().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_cause_is_said_at_once_and_then_now_and_again() {
        let faults = Faults::new(Arc::new(Metrics::new("n")));
        let full = BackendError::Refused { code: "OOM".into(), words: "OOM no".into() };
        let corrupt = |what: &str| BackendError::Corrupt { what: what.into(), why: "x".into() };
        assert_eq!(faults.is_news(&full), Some(0));
        assert_eq!(faults.is_news(&full), None);
        assert_eq!(faults.is_news(&BackendError::Timeout), Some(0), "another cause");
        assert_eq!(faults.is_news(&corrupt("a")), Some(0));
        assert_eq!(faults.is_news(&corrupt("b")), Some(0), "another room");
        assert_eq!(faults.is_news(&corrupt("a")), None);
        tokio::time::advance(AGAIN).await;
        assert_eq!(faults.is_news(&full), Some(1), "with how often it came meanwhile");
        faults.over();
        assert_eq!(faults.is_news(&full), Some(0));
        for number in 0..1_000 {
            faults.is_news(&corrupt(&number.to_string()));
        }
        assert!(faults.said().len() <= PLACES);
    }
}
