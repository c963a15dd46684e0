use std::{path::PathBuf, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep_until},
};

use super::{
    BadJwksUrl, JwksUrl,
    client::{Client, FetchError},
    document::{BadDocument, Document},
};
use crate::token::KeySet;

/// Where a JWKS is, and how it is fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwksSettings {
    /// Its address.
    pub url: JwksUrl,
    /// The file of the authorities that its certificate may be from; those of the system if there is none.
    pub ca_file: Option<PathBuf>,
    /// When it is fetched.
    pub pace: Pace,
}

/// When a JWKS is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// How long it is kept at least, whatever it says.
    pub least: Duration,
    /// How long it is kept if it does not say so.
    pub usual: Duration,
    /// How long it is kept at most.
    pub most: Duration,
    /// The time between two fetches at least, also when tokens name keys that are not known.
    pub between: Duration,
    /// The first pause after one that failed; it doubles with each, up to `usual`.
    pub retry: Duration,
    /// How long a fetch may take.
    pub patience: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            least: Duration::from_mins(1),
            usual: Duration::from_mins(10),
            most: Duration::from_hours(24),
            between: Duration::from_secs(15),
            retry: Duration::from_secs(5),
            patience: Duration::from_secs(5),
        }
    }
}

/// What is known of a JWKS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JwksStatus {
    /// The number of keys that are known.
    pub keys: usize,
    /// How long ago they were fetched.
    pub age: Option<Duration>,
    /// How often it was fetched.
    pub fetches: u64,
    /// How often that failed.
    pub failures: u64,
}

/// The keys of a JWKS, as they were when they were last fetched. They are kept for as long as they cannot be fetched again.
#[derive(Debug)]
pub(in crate::token) struct Jwks {
    client: Client,
    pace: Pace,
    state: watch::Sender<State>,
    /// A token named a key that is not known.
    asked: Notify,
}

#[derive(Debug, Clone)]
struct State {
    keys: Arc<KeySet>,
    fetched: Option<Instant>,
    fetches: u64,
    failures: u64,
    /// Before this, nothing is fetched.
    not_before: Instant,
}

#[derive(Debug, thiserror::Error)]
enum RefreshError {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    Document(#[from] BadDocument),
}

impl Jwks {
    pub(in crate::token) fn new(settings: &JwksSettings) -> Result<Self, BadJwksUrl> {
        let state = State { keys: Arc::default(), fetched: None, fetches: 0, failures: 0, not_before: Instant::now() };
        Ok(Self {
            client: Client::new(&settings.url, settings.ca_file.as_deref(), settings.pace.patience)?,
            pace: settings.pace,
            state: watch::Sender::new(state),
            asked: Notify::new(),
        })
    }

    pub(in crate::token) fn keys(&self) -> Arc<KeySet> {
        Arc::clone(&self.state.borrow().keys)
    }

    /// Whether keys were ever fetched.
    pub(in crate::token) fn is_known(&self) -> bool {
        self.state.borrow().fetched.is_some()
    }

    pub(in crate::token) fn status(&self) -> JwksStatus {
        let state = self.state.borrow();
        JwksStatus {
            keys: state.keys.len(),
            age: state.fetched.map(|fetched| fetched.elapsed()),
            fetches: state.fetches,
            failures: state.failures,
        }
    }

    /// Has the keys fetched again, as soon as that may be.
    pub(in crate::token) fn ask(&self) {
        self.asked.notify_one();
    }

    /// Waits for the end of a fetch that is under way or may begin. There is nothing to wait for while none may begin.
    pub(in crate::token) async fn fetched_soon(&self) {
        let mut state = self.state.subscribe();
        if Instant::now() < state.borrow_and_update().not_before {
            return;
        }
        let _ = state.changed().await;
    }

    /// Fetches, again and again.
    pub(in crate::token) async fn keep_fresh(&self) {
        let mut failed: u32 = 0;
        loop {
            let begun = Instant::now();
            let outcome = self.fetch().await;
            let pause = match &outcome {
                Ok((document, max_age)) => {
                    if failed > 0 || !self.is_known() {
                        tracing::info!(url = %self.client.url(), keys = document.keys.len(), "keys for tokens were fetched");
                    }
                    failed = 0;
                    max_age.unwrap_or(self.pace.usual).clamp(self.pace.least, self.pace.most)
                }
                Err(error) => {
                    if failed == 0 {
                        tracing::warn!(url = %self.client.url(), %error, known = self.keys().len(), "keys for tokens cannot be fetched; those that are known hold");
                    }
                    failed = failed.saturating_add(1);
                    self.pace.retry.saturating_mul(1 << (failed - 1).min(16)).min(self.pace.usual)
                }
            };
            if outcome.is_ok() {
                // Whoever asked until now has their answer.
                let _ = self.asked.notified().now_or_never();
            }
            let not_before = begun + self.pace.between.min(pause);
            self.note(outcome, not_before);
            // Not all nodes at once.
            let next = begun + pause.mul_f64(rand::random_range(0.9..1.0));
            tokio::select! {
                () = sleep_until(next) => {}
                () = async { sleep_until(not_before).await; self.asked.notified().await } => {}
            }
        }
    }

    pub(in crate::token) async fn fetch_once(&self) -> Result<(), String> {
        let outcome = self.fetch().await;
        let said = outcome.as_ref().map(drop).map_err(ToString::to_string);
        self.note(outcome, Instant::now());
        said
    }

    async fn fetch(&self) -> Result<(Document, Option<Duration>), RefreshError> {
        let fetched = self.client.fetch().await?;
        Ok((Document::read(&fetched.body)?, fetched.max_age))
    }

    fn note(&self, outcome: Result<(Document, Option<Duration>), RefreshError>, not_before: Instant) {
        self.state.send_modify(|state| {
            state.fetches += 1;
            state.not_before = not_before;
            match outcome {
                Ok((document, _)) => {
                    if state.fetched.is_none() && !document.ignored.is_empty() {
                        tracing::info!(url = %self.client.url(), ignored = document.ignored.join("; "), "the JWKS has keys that are not used");
                    }
                    state.keys = Arc::new(document.keys);
                    state.fetched = Some(Instant::now());
                }
                Err(_) => state.failures += 1,
            }
        });
    }
}
