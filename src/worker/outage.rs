use std::fmt::Display;

use tokio::time::{Duration, Instant};

/// How often a lasting failure is logged again.
const AGAIN: Duration = Duration::from_secs(30);

/// Logs that something fails: when it begins, from time to time while it lasts, and when it is over.
#[derive(Debug)]
pub(super) struct Outage {
    what: &'static str,
    /// Since when it fails, and when that was last logged.
    since: Option<(Instant, Instant)>,
}

impl Outage {
    pub(super) fn new(what: &'static str) -> Self {
        Self { what, since: None }
    }

    pub(super) fn report(&mut self, error: &dyn Display) {
        let now = Instant::now();
        match &mut self.since {
            None => {
                tracing::warn!(%error, "waiting for {}; nothing is lost meanwhile", self.what);
                self.since = Some((now, now));
            }
            Some((since, said)) if now - *said >= AGAIN => {
                let seconds = (now - *since).as_secs();
                tracing::warn!(%error, seconds, "still waiting for {}", self.what);
                *said = now;
            }
            Some(_) => {}
        }
    }

    pub(super) fn over(&mut self) {
        if let Some((since, _)) = self.since.take() {
            tracing::info!(seconds = since.elapsed().as_secs(), "{} can be used again", self.what);
        }
    }
}
