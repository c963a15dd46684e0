use async_trait::async_trait;

use crate::{
    backend::BackendError,
    clock::{Clock, Look},
    id::{NodeId, RoomId},
};

/// What a node hears when it renews its lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewal {
    /// Its own lease had run out, or it never had one: others may have given up its members.
    pub lost: bool,
    /// Another process has taken this node's name.
    pub usurped: bool,
    /// What is written in shared state is of this version, which this node cannot read. It has no lease.
    pub outdated: Option<u8>,
    /// Nodes whose lease has run out.
    pub dead: Vec<NodeId>,
}

/// Why a node cannot take part in a deployment.
#[derive(Debug, thiserror::Error)]
pub enum DeploymentError {
    /// Shared state could not be asked.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// Two processes have one name: the newer one keeps it.
    #[error("another process has taken this node's name: give each its own NODE_ID")]
    NameTaken,
    /// Nodes of a newer release are alone already, and write what this one cannot read.
    #[error(
        "the nodes of this deployment write records of version {written}, which this release cannot read: run the newer release"
    )]
    Outdated {
        /// Which version they write.
        written: u8,
    },
    /// The deployment has other settings than this node.
    #[error("the nodes of this deployment have {0}; REDIS_PREFIX keeps deployments apart")]
    Mismatch(&'static str),
}

/// Which nodes live, which rooms each holds, and who takes over from the dead ones.
#[async_trait]
pub trait Membership: Send + Sync + 'static {
    /// Whether shared state does what this node asks of it, as far as is known.
    fn is_accepting(&self) -> bool;

    /// Compares what all nodes of a deployment must have in common, and writes it down. While their secret is being changed nodes have two
    /// fingerprints, of which one has to be known.
    async fn check_deployment(&self, fingerprints: &[String]) -> Result<(), DeploymentError>;

    /// Takes this node's name away from an earlier process that may have it.
    async fn take_name(&self) -> Result<(), BackendError>;

    /// How many processes listen under this node's name, this one included.
    async fn namesakes(&self) -> Result<u64, BackendError>;

    /// Renews this node's lease.
    async fn renew(&self) -> Result<Renewal, BackendError>;

    /// This node stops, and holds nothing any more.
    async fn leave(&self) -> Result<(), BackendError>;

    /// Asks to be the one that takes over the rooms of a dead node. False if another node was given them a moment ago.
    async fn take_over(&self, dead: &NodeId) -> Result<bool, BackendError>;

    /// The rooms that a node takes part in, as far as it could say so.
    async fn rooms_of(&self, node: &NodeId) -> Result<Vec<RoomId>, BackendError>;

    /// The rooms that this node is said to take part in, and does not.
    async fn abandoned_rooms(&self) -> Result<Vec<RoomId>, BackendError>;

    /// Says again which rooms this node takes part in: shared state, or a node that took this one for dead, may have forgotten.
    async fn announce_rooms(&self) -> Result<(), BackendError>;

    /// Forgets a dead node that has nothing left to take over, unless it lives again.
    async fn remove_node(&self, dead: &NodeId) -> Result<(), BackendError>;

    /// Looks at the clock that all nodes go by.
    async fn read_clock(&self, clock: &Clock) -> Result<Look, BackendError>;
}
