use std::sync::Arc;

use tokio::{signal::unix::Signal, task::spawn_blocking};

use super::files::Files;
use crate::{
    account::Accounts,
    config::Config,
    socket::{Admission, Limits},
    telemetry::{Metrics, set_log_level},
    token::{SettingsError, Verifier},
};

/// The settings that take effect while the node runs. All others are read when it starts.
const LIVE: [&str; 12] = [
    "LOG_LEVEL",
    "ALLOWED_ORIGINS",
    "MAX_CONNECTIONS",
    "MESSAGES_PER_SECOND",
    "MESSAGE_BURST",
    "OUTBOX_BYTES",
    "ADDRESS_SHARES",
    "ADDRESS_CAPS",
    "USER_CAPS",
    "AUTH_KEYS",
    "AUTH_ISSUER",
    "AUTH_AUDIENCE",
];

/// Settings that were read again.
#[derive(Debug)]
pub struct Settings {
    /// All of them.
    pub config: Config,
    /// Those that are not what they were.
    pub changed: Vec<Change>,
}

/// A setting that has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its variable.
    pub name: String,
    /// Its value as it may be shown: that of a secret is masked.
    pub shown: String,
}

/// Reads the settings again.
pub type Reread = Box<dyn FnMut() -> Result<Settings, String> + Send>;

/// Takes settings in while the node runs.
pub(super) struct Reload {
    pub(super) reread: Reread,
    pub(super) limits: Arc<Limits>,
    pub(super) admission: Arc<Admission>,
    pub(super) accounts: Arc<Accounts>,
    pub(super) users: Arc<Accounts>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) verifier: Option<Arc<Verifier>>,
    /// How long tokens may be valid: revocations that are in force were made for that.
    pub(super) started_with: Config,
    /// The settings that had changed when all of them were refused: they still are not in force.
    pub(super) refused: Vec<Change>,
}

impl Reload {
    /// Reads the settings again whenever `hangups` comes. Does not return.
    pub(super) async fn run(mut self, mut hangups: Signal) {
        while hangups.recv().await.is_some() {
            let done = spawn_blocking(move || {
                let outcome = (self.reread)();
                (self, outcome)
            });
            // Only a panic ends it otherwise, and that is in the log.
            let Ok((this, outcome)) = done.await else { return };
            self = this;
            if let Err(error) =
                outcome.and_then(|settings| self.take_or_keep(settings).map_err(|error| error.to_string()))
            {
                tracing::error!(%error, "SIGHUP: the settings cannot be used; those in force stay");
            }
        }
    }

    fn take_or_keep(&mut self, mut settings: Settings) -> Result<(), SettingsError> {
        let mut before = std::mem::take(&mut self.refused);
        before.retain(|old| settings.changed.iter().all(|new| new.name != old.name));
        settings.changed.extend(before);
        let taken = self.take(&settings);
        if taken.is_err() {
            self.refused = settings.changed;
        }
        taken
    }

    /// All of them, or none.
    fn take(&self, Settings { config, changed }: &Settings) -> Result<(), SettingsError> {
        let new_keys = match &self.verifier {
            Some(verifier) => {
                let mut settings = config.token.verifier_settings();
                settings.most_lifetime = self.started_with.token.most_lifetime();
                settings.leeway = self.started_with.token.leeway();
                verifier.reload(&settings)?
            }
            None => false,
        };
        self.limits.set(config);
        let has_changed = |name: &str| changed.iter().any(|change| change.name == name);
        if has_changed("MAX_CONNECTIONS") {
            let most = Files::raise_limit(config.server.max_connections).sockets;
            self.admission.set_most(most);
            self.accounts.set_sockets(most);
            self.users.set_sockets(most);
            self.metrics.connections_max.set(i64::try_from(most).unwrap_or(i64::MAX));
        }
        let server = &config.server;
        self.accounts.set(server.address_shares, &server.address_caps.iter().copied().collect());
        self.users.set(server.address_shares, &server.user_caps.iter().copied().collect());
        set_log_level(config.log.log_level);
        if new_keys && !has_changed("AUTH_KEYS") {
            tracing::info!("SIGHUP: the files of AUTH_KEYS have changed; their keys are in force");
        }
        for Change { name, shown } in changed {
            if LIVE.contains(&name.as_str()) {
                tracing::info!(setting = name, value = shown, "SIGHUP: a setting has changed");
            } else {
                tracing::warn!(
                    setting = name,
                    value = shown,
                    "SIGHUP: a setting has changed that is read when the process starts"
                );
            }
        }
        if changed.is_empty() && !new_keys {
            tracing::info!("SIGHUP: no setting has changed");
        }
        Ok(())
    }
}
