use std::{io, path::PathBuf};

use crate::{
    backend::{ConnectorError, DeploymentError},
    ledger::{LedgerError, WriterError},
};

/// Why a node could not start, or not go on.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The name that was given is none.
    #[error("NODE_ID {0}")]
    Name(#[from] crate::id::IdError),
    /// Nodes of a cluster must have one secret.
    #[error("set TANDEM_SECRET: the nodes of a cluster need the same one (openssl rand -hex 32 makes one)")]
    Secret,
    /// A cluster's ledger is in PostgreSQL, which its worker writes; a single node has SQLite.
    #[error("DATABASE_URL needs REDIS_URL: a node without Redis keeps its ledger in SQLite (TANDEM_DATA_DIR)")]
    Ledger,
    /// The settings of PostgreSQL cannot be used.
    #[error(transparent)]
    Database(#[from] LedgerError),
    /// Redis cannot be used.
    #[error(transparent)]
    Redis(#[from] ConnectorError),
    /// The deployment is another one.
    #[error(transparent)]
    Deployment(#[from] DeploymentError),
    /// The data directory cannot be used.
    #[error("cannot use the data directory {path} (TANDEM_DATA_DIR): {source}")]
    DataDir { path: PathBuf, source: io::Error },
    /// Another node has it.
    #[error("another tandem uses the data directory {path}; give this one its own (TANDEM_DATA_DIR)")]
    Taken { path: PathBuf },
    /// The ledger of a single node cannot be used.
    #[error("{0} (TANDEM_DATA_DIR says where it is)")]
    Writer(#[from] WriterError),
    /// The address cannot be listened on.
    #[error("cannot listen on {address} (HOST, PORT): {source}")]
    Listen { address: String, source: io::Error },
    /// A part of the node without which it is of no use has ended.
    #[error("{0} ended by a bug; the node was drained")]
    Died(&'static str),
    /// Signals cannot be heard.
    #[error("cannot wait for signals: {0}")]
    Signals(io::Error),
}
