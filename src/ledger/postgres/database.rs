use std::{fmt, sync::Arc, time::Duration};

use deadpool_postgres::{Client, ClientWrapper, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime, Timeouts};
use tokio::time::{error::Elapsed, timeout};

use super::{
    LedgerError,
    server::{place, server},
    tls::tls,
};
use crate::config::PostgresConfig;

/// How much longer than an ordinary answer a batch, a migration or an hourly job may take.
const LONG: u32 = 10;

/// PostgreSQL, as far as the ledger is concerned. Cheap to clone: clones share the connections. Whatever is asked of it comes to an
/// end within a deadline.
#[derive(Clone)]
pub struct Database {
    pool: Pool,
    patience: Duration,
    /// Hosts, ports and the database, for people.
    at: Arc<str>,
}

/// How the connections to PostgreSQL are used.
#[derive(Debug, Clone, Copy, Default)]
pub struct PoolUse {
    /// How many there are.
    pub size: usize,
    /// How many of them nobody uses.
    pub available: usize,
    /// How many wait for one.
    pub waiting: usize,
    /// How many there may be.
    pub most: usize,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("patience", &self.patience).finish_non_exhaustive()
    }
}

impl Database {
    /// For questions that somebody waits for. Reads the settings; connects to nothing yet.
    pub fn new(config: &PostgresConfig) -> Result<Self, LedgerError> {
        Self::with_patience(config, config.postgres_timeout)
    }

    /// For work that may take ten times as long as an answer.
    pub fn patient(config: &PostgresConfig) -> Result<Self, LedgerError> {
        Self::with_patience(config, config.postgres_timeout * LONG)
    }

    fn with_patience(config: &PostgresConfig, patience: Duration) -> Result<Self, LedgerError> {
        let (server, mode) = server(config, patience)?;
        let at = place(&server).into();
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Verified };
        let manager = Manager::from_config(server, tls(config, mode)?, recycling);
        let deadline = Some(config.postgres_timeout);
        let pool = Pool::builder(manager)
            .max_size(config.postgres_pool_size)
            .timeouts(Timeouts { wait: deadline, create: deadline, recycle: deadline })
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| LedgerError::Settings(error.to_string()))?;
        Ok(Self { pool, patience, at })
    }

    /// Whether it answers.
    pub async fn ping(&self) -> Result<(), LedgerError> {
        // Lending a connection has it answer an empty query.
        self.lend().await.map(drop)
    }

    /// How its connections are used.
    pub fn connections(&self) -> PoolUse {
        let status = self.pool.status();
        PoolUse { size: status.size, available: status.available, waiting: status.waiting, most: status.max_size }
    }

    pub(super) async fn lend(&self) -> Result<Client, LedgerError> {
        self.pool.get().await.map_err(|source| LedgerError::Connect { at: Arc::clone(&self.at), source })
    }

    /// A connection that belongs to no pool, and ends when it is dropped.
    pub(super) async fn own(&self) -> Result<ClientWrapper, LedgerError> {
        Ok(Client::take(self.lend().await?))
    }

    /// Gives `work` as long as it may take.
    pub(super) async fn within<T>(
        &self,
        work: impl Future<Output = Result<T, LedgerError>>,
    ) -> Result<Result<T, LedgerError>, Elapsed> {
        // The server's own deadline should strike first: it says more.
        timeout(self.patience + self.patience / 4, work).await
    }

    /// Takes a connection back. One whose answer is still outstanding is of no use to anybody.
    pub(super) fn settle<T>(
        &self,
        client: Client,
        outcome: Result<Result<T, LedgerError>, Elapsed>,
    ) -> Result<T, LedgerError> {
        outcome.unwrap_or_else(|_| {
            drop(Client::take(client));
            Err(LedgerError::Late(self.patience))
        })
    }
}
