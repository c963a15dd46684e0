use std::{io, path::PathBuf};

use crate::{
    backend::{ConnectorError, DeploymentError},
    ledger::{LedgerError, WriterError},
    tls::PairError,
    token::SettingsError,
};

/// Why a node could not start or continue.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// NODE_NAME is not a valid name.
    #[error("NODE_ID {0}")]
    Name(#[from] crate::id::IdError),
    /// All nodes of a cluster must share one secret.
    #[error("set TANDEM_SECRET: the nodes of a cluster need the same one (openssl rand -hex 32 makes one)")]
    Secret,
    /// No token can be verified with these settings.
    #[error(transparent)]
    Token(#[from] SettingsError),
    /// The keys of invitations cannot be used.
    #[error("the keys of invitations: {0}")]
    Invitations(&'static str),
    /// The ledger of a cluster is in PostgreSQL, written by workers; SQLite is for a single node.
    #[error("DATABASE_URL needs REDIS_URL: a node without Redis keeps its ledger in SQLite (TANDEM_DATA_DIR)")]
    Ledger,
    /// The settings of PostgreSQL cannot be used.
    #[error(transparent)]
    Database(#[from] LedgerError),
    /// Redis cannot be used.
    #[error(transparent)]
    Redis(#[from] ConnectorError),
    /// The node cannot join the deployment.
    #[error(transparent)]
    Deployment(#[from] DeploymentError),
    /// The data directory cannot be used.
    #[error("cannot use the data directory {path} (TANDEM_DATA_DIR): {source}")]
    DataDir { path: PathBuf, source: io::Error },
    /// The certificate of this node cannot be used.
    #[error(transparent)]
    Tls(#[from] PairError),
    /// Another node uses the data directory.
    #[error("another tandem uses the data directory {path}; give this one its own (TANDEM_DATA_DIR)")]
    Taken { path: PathBuf },
    /// The ledger of a single node cannot be used.
    #[error("{0} (TANDEM_DATA_DIR says where it is)")]
    Writer(#[from] WriterError),
    /// The node cannot listen on its address.
    #[error("cannot listen on {address} (HOST, PORT): {source}")]
    Listen { address: String, source: io::Error },
    /// A task that the node cannot do without has ended.
    #[error("{0} ended by a bug; the node was drained")]
    Died(&'static str),
    /// Signals cannot be received.
    #[error("cannot wait for signals: {0}")]
    Signals(io::Error),
}
