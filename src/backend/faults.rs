use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use tracing::Level;

use super::BackendError;
use crate::{
    clock::millis,
    limit::Throttle,
    telemetry::{Cause, Metrics},
};

/// Interval at which a persistent error is logged again.
const AGAIN: Duration = Duration::from_secs(30);
/// Maximum number of remembered errors; beyond it they are forgotten, and logged again.
const PLACES: usize = 256;
/// Rate limit of log lines about places, such as the keys of rooms: a burst, and lines per second. Whoever can write to Redis chooses how many
/// places there are.
const LINES: u32 = 20;
const LINES_PER_SECOND: u32 = 1;

/// Counts errors of shared state, and logs each at once, then every half a minute while it persists.
#[derive(Debug)]
pub struct Faults {
    metrics: Arc<Metrics>,
    said: Mutex<HashMap<(Cause, Box<str>), Said>>,
    lines: Throttle,
    began: Instant,
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
        let lines = Throttle::new(LINES_PER_SECOND, LINES);
        Self { metrics, said: Mutex::default(), lines, began: Instant::now() }
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

    /// The occurrences since the last log line, if a line is due. Those of places whose lines were skipped are told with the next place's.
    fn is_news(&self, error: &BackendError) -> Option<u64> {
        let hushed = self.is_due(error)?;
        if error.place().is_empty() {
            return Some(hushed);
        }
        Some(hushed + self.lines.pass(millis(self.began.elapsed()))?)
    }

    fn is_due(&self, error: &BackendError) -> Option<u64> {
        let now = Instant::now();
        let mut all = self.said();
        if all.len() >= PLACES {
            // What has no place stays: there is one for each cause.
            all.retain(|(_, place), _| place.is_empty());
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
    }

    #[tokio::test(start_paused = true)]
    async fn many_places_do_not_make_many_lines_and_hide_no_other_cause() {
        let faults = Faults::new(Arc::new(Metrics::new("n")));
        let corrupt = |what: u32| BackendError::Corrupt { what: what.to_string().into(), why: "x".into() };
        assert_eq!(faults.is_news(&BackendError::Timeout), Some(0));
        let lines = (0..1_000).filter_map(|number| faults.is_news(&corrupt(number))).count();
        assert_eq!(lines, usize::try_from(LINES).unwrap());
        assert!(faults.said().len() <= PLACES);
        assert_eq!(faults.is_news(&BackendError::Timeout), None, "it was told a moment ago");
        assert_eq!(faults.is_news(&BackendError::LedgerFull), Some(0), "has a line of its own");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(faults.is_news(&corrupt(5_000)), Some(980), "with how many were left out");
    }
}
