use super::UrlHosts;
use crate::clock::Millis;

/// A member that has not reported its position for this long is not watching.
pub const IDLE_WATCHER: Millis = 10_000;

/// The rules of a deployment that rooms live by; the same on every node of a cluster.
#[derive(Debug, Clone)]
pub struct Policy {
    /// How long the seat of a dropped socket is kept for a client that can resume.
    pub resume_window: Millis,
    /// How long a host that dropped keeps its role.
    pub host_grace: Millis,
    /// How long an empty room is kept.
    pub empty_grace: Millis,
    /// How long the ready gate waits at most.
    pub gate_deadline: Millis,
    /// The most members a room may have, those away counted.
    pub max_members: usize,
    /// Whether only controllers may move playback.
    pub enforce_control: bool,
    /// Where the film may be.
    pub url_hosts: UrlHosts,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            resume_window: 30_000,
            host_grace: 15_000,
            empty_grace: 180_000,
            gate_deadline: 7_000,
            max_members: 500,
            enforce_control: true,
            url_hosts: UrlHosts::default(),
        }
    }
}
