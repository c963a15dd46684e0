use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use tracing::Level;

use super::BackendError;
use crate::telemetry::{Cause, Metrics};

/// Interval at which a persistent error is logged again.
const AGAIN: Duration = Duration::from_secs(30);
/// Maximum number of remembered errors; beyond it they are forgotten, and logged again.
const PLACES: usize = 256;

/// Counts errors of shared state, and logs each at once, then every half a minute while it persists.
#[derive(Debug)]
pub struct Faults {
    metrics: Arc<Metrics>,
    said: Mutex<HashMap<(Cause, Box<str>), Said>>,
}

#[derive(Debug)]
struct Said {
    last: Instant,
    /// Occurrences since the last log line.
    hushed: u64,
}

impl Faults {
    /// Without errors.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics, said: Mutex::default() }
    }

    fn said(&self) -> MutexGuard<'_, HashMap<(Cause, Box<str>), Said>> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an error that the caller logs.
    pub fn count(&self, error: &BackendError) {
        self.metrics.state_errors.inc(error.cause());
    }

    /// Counts an error, and logs it unless it was logged a moment ago.
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

    /// The occurrences since the last log line, if a line is due.
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

    /// Shared state works again: the next error is logged at once.
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
