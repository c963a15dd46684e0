use async_trait::async_trait;

use crate::{
    backend::BackendError,
    clock::{Clock, Look},
    id::{NodeId, RoomId},
};

/// The answer to the renewal of a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewal {
    /// The lease had expired, or there was none: other nodes may have given up the members of this node.
    pub lost: bool,
    /// Another process has taken the name of this node.
    pub usurped: bool,
    /// Records in shared state have this version, which this node cannot read. The lease was not renewed.
    pub outdated: Option<u8>,
    /// Nodes whose leases have expired.
    pub dead: Vec<NodeId>,
}

/// Why a node cannot join a deployment.
#[derive(Debug, thiserror::Error)]
pub enum DeploymentError {
    /// Shared state could not be used.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// A newer process has taken the name of this node.
    #[error("another process has taken this node's name: give each its own NODE_ID")]
    NameTaken,
    /// All other nodes are of a newer release, and write records that this one cannot read.
    #[error(
        "the nodes of this deployment write records of version {written}, which this release cannot read: run the newer release"
    )]
    Outdated {
        /// The version that they write.
        written: u8,
    },
    /// The deployment has a different value of this setting.
    #[error("the nodes of this deployment have {0}; REDIS_PREFIX keeps deployments apart")]
    Mismatch(&'static str),
}

/// The membership of nodes: which are alive, which rooms each has, and who reaps the dead ones.
#[async_trait]
pub trait Membership: Send + Sync + 'static {
    /// Whether shared state accepts the commands of this node, as far as is known.
    fn is_accepting(&self) -> bool;

    /// Compares the settings that all nodes of a deployment must share, and records them. While the secret is being changed, nodes have two
    /// fingerprints, one of which must be known.
    async fn check_deployment(&self, fingerprints: &[String]) -> Result<(), DeploymentError>;

    /// Takes the name of this node, if necessary from an earlier process.
    async fn take_name(&self) -> Result<(), BackendError>;

    /// The number of processes that use the name of this node, including this one.
    async fn namesakes(&self) -> Result<u64, BackendError>;

    /// Renews the lease of this node.
    async fn renew(&self) -> Result<Renewal, BackendError>;

    /// Removes this node, which is stopping.
    async fn leave(&self) -> Result<(), BackendError>;

    /// Acquires the right to reap a dead node. False if another node acquired it a moment ago.
    async fn take_over(&self, dead: &NodeId) -> Result<bool, BackendError>;

    /// The rooms that a node registered.
    async fn rooms_of(&self, node: &NodeId) -> Result<Vec<RoomId>, BackendError>;

    /// The rooms that are registered for this node but are not on it.
    async fn abandoned_rooms(&self) -> Result<Vec<RoomId>, BackendError>;

    /// Registers the rooms of this node again, because shared state or another node may have dropped the registration.
    async fn announce_rooms(&self) -> Result<(), BackendError>;

    /// Removes a dead node without rooms, unless it has come back.
    async fn remove_node(&self, dead: &NodeId) -> Result<(), BackendError>;

    /// Compares `clock` with the clock that all nodes follow.
    async fn read_clock(&self, clock: &Clock) -> Result<Look, BackendError>;
}
