use super::UrlHosts;
use crate::clock::Millis;

/// A member that has not reported its position for this long is not watching.
pub const IDLE_WATCHER: Millis = 10_000;

/// The rules of a deployment for its rooms, the same on every node of a cluster.
#[derive(Debug, Clone)]
pub struct Policy {
    /// How long the seat of a dropped socket is kept for a client that can resume.
    pub resume_window: Millis,
    /// How long a host without a socket keeps its role.
    pub host_grace: Millis,
    /// How long an empty room is kept.
    pub empty_grace: Millis,
    /// The maximum wait of the ready gate.
    pub gate_deadline: Millis,
    /// The maximum number of members of a room, including those that are away.
    pub max_members: usize,
    /// Whether only controllers may move playback.
    pub enforce_control: bool,
    /// The hosts of allowed urls.
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
