use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use redis::ScriptInvocation;
use tokio::sync::Notify;

use crate::{backend::BackendError, telemetry::Cause};

/// A probe of one partition.
#[derive(Debug)]
pub(super) struct Probe {
    pub(super) channel: String,
    /// `probe.lua`, on keys that only probes use.
    pub(super) call: ScriptInvocation<'static>,
}

/// The result of a probe.
#[derive(Debug)]
pub(super) struct ProbeResult {
    pub(super) took: Duration,
    /// The error of a command that Redis refused.
    pub(super) refused: Option<BackendError>,
}

/// Whether a new connection would not help. It does help if the master has become a replica, or is loading.
pub(super) fn is_tolerated(error: &BackendError) -> bool {
    matches!(error, BackendError::Refused { .. })
        && !matches!(
            error.cause(),
            Cause::Loading | Cause::MasterDown | Cause::NoAuth | Cause::ReadOnly | Cause::WrongPass
        )
}

/// The last nonce that came back on each probe channel.
#[derive(Debug, Default)]
pub(super) struct ProbeReplies {
    latest: Mutex<Vec<(String, u64)>>,
    changed: Notify,
}

impl ProbeReplies {
    /// Forgets those of the previous connection.
    pub(super) fn clear(&self) {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Records a nonce that came back.
    pub(super) fn returned(&self, channel: &str, nonce: u64) {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        match latest.iter_mut().find(|(name, _)| name == channel) {
            Some((_, last)) => *last = (*last).max(nonce),
            None => latest.push((channel.to_owned(), nonce)),
        }
        drop(latest);
        self.changed.notify_one();
    }

    /// Waits until this nonce has come back on the channel of each probe.
    pub(super) async fn all_back(&self, probes: &[Probe], nonce: u64) {
        while !self.is_back(probes, nonce) {
            self.changed.notified().await;
        }
    }

    fn is_back(&self, probes: &[Probe], nonce: u64) -> bool {
        let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        probes.iter().all(|probe| latest.iter().any(|(name, last)| *name == probe.channel && *last >= nonce))
    }
}
