use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    task::JoinSet,
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    WorkerMetrics,
    checkup::Checkup,
    condition::Condition,
    jobs::Jobs,
    pump::{Pump, PumpParts},
    routes::{WorkerState, router},
    watch::{PartitionMismatch, Watch},
};
use crate::{
    backend::{Connector, ConnectorError, Layout, LedgerQueue, RedisQueue},
    config::{PostgresConfig, RedisConfig, WorkerConfig},
    http::{self, Patience, Terms},
    ledger::{Database, LedgerError},
    telemetry::HttpMetrics,
};

/// How long the worker may take to finish claimed entries after it was told to stop.
const FINISH: Duration = Duration::from_secs(10);
/// How long a client may take to send the head of a request.
const HEAD: Duration = Duration::from_secs(5);
/// How long a scraper's connection is kept open for its next request.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// Maximum number of connections of probes and scrapers.
const ASKING: usize = 128;

/// The settings of a worker.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "each section has its own")]
pub struct WorkerSettings {
    /// Address to listen on.
    pub host: String,
    pub redis: RedisConfig,
    pub postgres: PostgresConfig,
    pub worker: WorkerConfig,
}

/// Why a worker could not start or continue.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The worker cannot listen on its port.
    #[error("cannot listen on {0}: {1}")]
    Listen(String, io::Error),
    /// The signals that tell the worker to stop cannot be received.
    #[error("cannot listen to signals: {0}")]
    Signals(io::Error),
    /// A task has ended that should not.
    #[error("a part of the worker has died: {0}")]
    Died(String),
    /// The deployment has another number of partitions, so entries would stay in streams that this worker never reads.
    #[error(
        "the nodes of this deployment have another REDIS_PARTITIONS: give the workers the same; REDIS_PREFIX keeps deployments apart"
    )]
    Partitions,
    /// The settings of Redis cannot be used.
    #[error("{0}")]
    Redis(#[from] ConnectorError),
    /// The settings of PostgreSQL cannot be used.
    #[error("{0}")]
    Postgres(#[from] LedgerError),
}

/// A worker that is listening, but does not work yet.
pub struct Worker {
    settings: WorkerSettings,
    name: String,
    listener: TcpListener,
    address: SocketAddr,
    database: Database,
    connector: Connector,
    watching: Connector,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").field("name", &self.name).finish_non_exhaustive()
    }
}

fn terms() -> Terms {
    let patience = Patience { head: HEAD, keep_alive: KEEP_ALIVE, write: HEAD };
    Terms {
        patience,
        most: ASKING,
        sockets: None,
        proxy_protocol_from: Vec::new(),
        http2: false,
        drain: CancellationToken::new(),
        tls: None,
        tls_only: false,
        metrics: HttpMetrics::default(),
        accounts: None,
    }
}

impl Worker {
    /// Checks the settings and binds the port. Redis and PostgreSQL need not be reachable yet.
    pub async fn start(settings: WorkerSettings) -> Result<Self, WorkerError> {
        let (host, port) = (settings.host.as_str(), settings.worker.worker_port);
        let refuse = |error| WorkerError::Listen(format!("{host} port {port}"), error);
        let listener = http::listen(host, port).await.map_err(refuse)?;
        let address = listener.local_addr().map_err(refuse)?;
        let made_up = || format!("worker-{}", uuid::Uuid::new_v4().simple());
        Ok(Self {
            name: settings.worker.worker_name.clone().unwrap_or_else(made_up),
            database: Database::patient(&settings.postgres)?,
            connector: Connector::new(&settings.redis)?,
            watching: Connector::new(&settings.redis)?,
            listener,
            address,
            settings,
        })
    }

    /// Works until SIGTERM or SIGINT.
    pub async fn run(self) -> Result<(), WorkerError> {
        let mut terminate = signal(SignalKind::terminate()).map_err(WorkerError::Signals)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(WorkerError::Signals)?;
        let metrics = Arc::new(WorkerMetrics::new(&self.name));
        let condition = Arc::new(Condition::default());
        let (stop, closing) = (CancellationToken::new(), CancellationToken::new());
        let connections = TaskTracker::new();
        let routes = router(WorkerState {
            worker: self.name.clone(),
            database: self.database.clone(),
            metrics: Arc::clone(&metrics),
            condition: Arc::clone(&condition),
        });
        let serving = tokio::spawn(http::serve(self.listener, routes, terms(), connections.clone(), closing.clone()));
        tracing::info!(addr = %self.address, worker = %self.name, version = env!("CARGO_PKG_VERSION"), "listening");

        let layout = Layout::new(&self.settings.redis.redis_prefix, self.settings.redis.redis_partitions);
        let claim = self.settings.worker.worker_claim;
        let batch = self.settings.worker.worker_batch;
        let queue = |connector| -> Box<dyn LedgerQueue> {
            let queue = RedisQueue::new(connector, layout.clone(), self.name.clone(), batch);
            Box::new(queue.with_quota(&self.settings.redis))
        };
        let pump = Pump::new(PumpParts {
            queue: queue(self.connector),
            store: Arc::new(self.database.clone()),
            batch,
            claim,
            metrics: Arc::clone(&metrics),
            condition: Arc::clone(&condition),
            stop: stop.clone(),
        });
        let watch = Watch {
            queue: queue(self.watching),
            most: self.settings.redis.ledger_stream_max,
            dead: claim * 2,
            metrics: Arc::clone(&metrics),
            condition: Arc::clone(&condition),
            stop: stop.clone(),
        };
        let jobs = Jobs {
            database: self.database.clone(),
            retention: self.settings.worker.ledger_retention_months,
            metrics,
            stop: stop.clone(),
        };
        let checkup = Checkup { database: self.database, condition: Arc::clone(&condition), stop: stop.clone() };
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { watch.run().await.map_err(|PartitionMismatch| WorkerError::Partitions) });
        tasks.spawn(checkup.run());
        let (ready, told) = (Arc::clone(&condition), stop.clone());
        tasks.spawn(async move {
            tokio::select! {
                () = ready.schema.is_set() => { tokio::join!(pump.run(), jobs.run()); }
                () = told.cancelled() => {}
            }
            Ok(())
        });

        let died = tokio::select! {
            _ = terminate.recv() => None,
            _ = interrupt.recv() => None,
            // No task ends by itself, except when the deployment does not match.
            Some(ended) = tasks.join_next() => Some(match ended {
                Ok(Err(error)) => error,
                Ok(Ok(())) => WorkerError::Died("it ended".to_owned()),
                Err(died) => WorkerError::Died(died.to_string()),
            }),
        };
        tracing::info!("stopping");
        condition.stopping.set(true);
        stop.cancel();
        let finished = timeout(FINISH, async { while tasks.join_next().await.is_some() {} }).await;
        if finished.is_err() {
            tracing::warn!("claimed entries were not finished; they stay in Redis for another worker");
        }
        tasks.shutdown().await;
        closing.cancel();
        connections.close();
        // Cancelled tasks end at once.
        let _ = timeout(HEAD, async { tokio::join!(serving, connections.wait()) }).await;
        tracing::info!("stopped");
        died.map_or(Ok(()), Err)
    }
}
