use std::fmt::Display;

use tokio::time::{Duration, Instant};

/// How often trouble that lasts is said again.
const AGAIN: Duration = Duration::from_secs(30);

/// Says that something is out of order, when it begins and then now and again, and when it is over.
#[derive(Debug)]
pub(super) struct Trouble {
    what: &'static str,
    /// Since when, and when that was last said.
    since: Option<(Instant, Instant)>,
}

impl Trouble {
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
