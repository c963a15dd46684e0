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
        let Server { config: server, tls: security } = server(config, patience)?;
        let at = place(&server).into();
        let settings: Arc<str> = session(&server, patience).into();
        // What is set once could be taken back by a pooler in between: it is said again whenever a connection is lent.
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

    /// Whether it answers.
    pub async fn ping(&self) -> Result<(), LedgerError> {
        // Lending a connection has it answer.
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

    /// Takes a connection back, unless it may be what is wrong: one whose answer is still outstanding, one that began while the
    /// database was read-only, one whose user has lost its rights. The idle ones are as old, and are let go of with it.
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
