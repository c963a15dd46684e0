use std::{fmt, sync::Arc, time::Duration};

use deadpool_postgres::{
    Client, ClientWrapper, Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime, Timeouts,
};
use tokio::time::{error::Elapsed, timeout};

use super::{
    LedgerError,
    server::{Server, place, server, session},
    tls::tls,
};
use crate::{config::PostgresConfig, telemetry::PoolUse};

/// The factor by which a batch, a migration or an hourly job may take longer than a query.
const LONG: u32 = 10;

/// The ledger in PostgreSQL. Clones share the connections. Every call has a deadline.
#[derive(Clone)]
pub struct Database {
    pool: Pool,
    patience: Duration,
    /// Hosts, ports and the database, for messages.
    at: Arc<str>,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("patience", &self.patience).finish_non_exhaustive()
    }
}

impl Database {
    /// For queries that a client waits for. Reads the settings; nothing is connected yet.
    pub fn new(config: &PostgresConfig) -> Result<Self, LedgerError> {
        Self::with_patience(config, config.postgres_timeout)
    }

    /// For work that may take ten times as long as a query.
    pub fn patient(config: &PostgresConfig) -> Result<Self, LedgerError> {
        Self::with_patience(config, config.postgres_timeout * LONG)
    }

    fn with_patience(config: &PostgresConfig, patience: Duration) -> Result<Self, LedgerError> {
        let Server { config: server, tls: security } = server(config, patience)?;
        let at = place(&server).into();
        let settings: Arc<str> = session(&server, patience).into();
        // A pooler in between could reset the settings of a session, so they are set whenever a connection is lent.
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Custom(settings.to_string()) };
        let manager = Manager::from_config(server, tls(&security)?, recycling);
        let deadline = Some(config.postgres_timeout);
        let pool = Pool::builder(manager)
            .post_create(Hook::async_fn(move |client: &mut ClientWrapper, _| {
                let settings = Arc::clone(&settings);
                Box::pin(async move { client.batch_execute(&settings).await.map_err(HookError::Backend) })
            }))
            .max_size(config.postgres_pool_size)
            .timeouts(Timeouts { wait: deadline, create: deadline, recycle: deadline })
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| LedgerError::Settings(error.to_string()))?;
        Ok(Self { pool, patience, at })
    }

    /// Checks that the database answers.
    pub async fn ping(&self) -> Result<(), LedgerError> {
        // Lending a connection includes a check.
        self.lend().await.map(drop)
    }

    /// The use of its connections.
    pub fn connections(&self) -> PoolUse {
        let status = self.pool.status();
        PoolUse { size: status.size, available: status.available, waiting: status.waiting, most: status.max_size }
    }

    pub(super) async fn lend(&self) -> Result<Client, LedgerError> {
        self.pool.get().await.map_err(|source| LedgerError::Connect { at: Arc::clone(&self.at), source })
    }

    /// Opens a connection outside of the pool; it ends when it is dropped.
    pub(super) async fn own(&self) -> Result<ClientWrapper, LedgerError> {
        Ok(Client::take(self.lend().await?))
    }

    /// Runs `work` with a deadline.
    pub(super) async fn within<T>(
        &self,
        work: impl Future<Output = Result<T, LedgerError>>,
    ) -> Result<Result<T, LedgerError>, Elapsed> {
        // The deadline of the server should come first, because its error says more.
        timeout(self.patience + self.patience / 4, work).await
    }

    /// Returns a connection to the pool, unless it may be the cause of the error: an answer is outstanding, it began while the database was
    /// read-only, or its user has lost rights. Idle connections of the same age are then closed, too.
    pub(super) fn return_client<T>(
        &self,
        client: Client,
        outcome: Result<Result<T, LedgerError>, Elapsed>,
    ) -> Result<T, LedgerError> {
        let outcome = outcome.unwrap_or(Err(LedgerError::Late(self.patience)));
        if outcome.as_ref().is_err_and(LedgerError::spoils_connection) {
            drop(Client::take(client));
            self.pool.retain(|_, _| false);
        }
        outcome
    }
}
