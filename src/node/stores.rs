use std::{
    fs::{File, TryLockError},
    sync::{Arc, Weak},
};

use super::{NodeError, lookup::Lookup, secret};
use crate::{
    auth::Keys,
    backend::{
        Backend, Connector, Memory, MemoryLedger, RedisNode, RedisParts, Retention, RoomEvents, records::NEWEST,
    },
    clock::Clock,
    config::Config,
    hub::Hub,
    id::{NodeId, RoomId},
    ledger::{self, Archive, Database, Journal, LedgerError, LocalTokens, PgRoomArchive, Unfit, Writer},
    telemetry::{Metrics, memory_limit},
};

/// The stores of a node: its rooms and its ledger.
pub(super) struct Stores {
    pub(super) archive: Option<Arc<dyn Archive>>,
    /// The database of the archive.
    pub(super) database: Option<Database>,
    pub(super) keys: Keys,
    /// The back end of a cluster, once it is [connected](Stores::connect).
    pub(super) redis: Option<Arc<RedisNode>>,
    kind: StoreKind,
}

enum StoreKind {
    /// Rooms in memory, and the ledger in a directory.
    Alone {
        memory: Arc<Memory>,
        writer: Writer,
        journal: Journal,
        restored: Vec<RoomId>,
        /// The lock on the directory, held as long as the node runs.
        lock: File,
    },
    /// Rooms in Redis; workers write the ledger.
    Cluster(Arc<Connector>),
}

impl std::fmt::Debug for Stores {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stores").finish_non_exhaustive()
    }
}

impl Stores {
    pub(super) fn open(config: &Config, name: &NodeId, clock: Clock) -> Result<Self, NodeError> {
        if config.redis.is_given() { cluster(config) } else { alone(config, name, clock) }
    }

    /// The queue to the ledger of a single node.
    pub(super) fn journal(&self) -> Option<Journal> {
        match &self.kind {
            StoreKind::Alone { journal, .. } => Some(journal.clone()),
            StoreKind::Cluster(_) => None,
        }
    }

    /// Creates the back end, which calls `events`. Nothing is connected before it is run.
    pub(super) fn connect(
        &mut self,
        config: &Config,
        name: &NodeId,
        metrics: &Arc<Metrics>,
        events: Weak<dyn RoomEvents>,
    ) -> Arc<dyn Backend> {
        let (name, metrics) = (name.clone(), Arc::clone(metrics));
        match &self.kind {
            StoreKind::Alone { memory, .. } => memory.connect(name, events, Some(metrics)),
            StoreKind::Cluster(connector) => {
                let parts = RedisParts {
                    name,
                    config: &config.redis,
                    max_rooms: config.room.max_rooms,
                    retention: retention(config),
                    ledger: self.database.is_some(),
                    metrics,
                    reads: NEWEST,
                };
                let redis = RedisNode::new(Arc::clone(connector), parts, events);
                Arc::clone(self.redis.insert(redis)) as Arc<dyn Backend>
            }
        }
    }

    /// Refuses a database that can never be used. If it is unreachable, or its user lacks rights, that is only logged: a node merely looks
    /// up rooms in it.
    pub(super) async fn lookup(&self) -> Result<Option<Lookup>, NodeError> {
        let Some(database) = &self.database else { return Ok(None) };
        let mut lookup = Lookup::new(database.clone());
        match lookup.check().await {
            Err(error @ LedgerError::Unfit(Unfit::Encoding { .. })) => Err(error.into()),
            _ => Ok(Some(lookup)),
        }
    }

    /// Schedules the rooms that a single node restored after a restart.
    pub(super) async fn restore_rooms(&self, hub: &Hub) {
        let StoreKind::Alone { restored, .. } = &self.kind else { return };
        for room in restored {
            if let Err(error) = hub.keep_restored(room).await {
                tracing::warn!(%room, %error, "a room could not be restored");
            }
        }
        if !restored.is_empty() {
            tracing::info!(rooms = restored.len(), "rooms were restored");
        }
    }

    /// Writes the rest of the ledger.
    pub(super) async fn close(self) {
        if let StoreKind::Alone { writer, lock, .. } = self.kind {
            if tokio::task::spawn_blocking(move || writer.stop()).await.is_err() {
                tracing::error!("the ledger could not be closed");
            }
            drop(lock);
        }
    }
}

/// It changes nothing before it is certain that no other node uses the directory.
fn alone(config: &Config, name: &NodeId, clock: Clock) -> Result<Stores, NodeError> {
    if config.postgres.is_given() {
        return Err(NodeError::Ledger);
    }
    let directory = &config.ledger.data_dir;
    let data_dir = |source| NodeError::DataDir { path: directory.clone(), source };
    std::fs::create_dir_all(directory).map_err(data_dir)?;
    let lock = lock_directory(config)?;
    let keys = Keys::new(&secret::load(config.server.secret.as_deref(), directory).map_err(data_dir)?)
        .with_previous(config.server.secret_previous.as_deref());
    let database = config.ledger.database();
    let rooms = ledger::restore(&database, name, &config.policy(), clock.now())?;
    let (writer, journal) = Writer::start(&database, clock)?;
    let tokens = LocalTokens::open(&database)?;
    let journaled = MemoryLedger::Journal(journal.clone());
    let memory =
        Memory::single(retention(config).with_bytes(history_bytes(config)), journaled, config.room.max_rooms, tokens);
    let restored = rooms.iter().map(|room| room.id.clone()).collect();
    for room in rooms {
        memory.restore(room);
    }
    let kind = StoreKind::Alone { memory, writer, journal, restored, lock };
    Ok(Stores { archive: None, database: None, keys, redis: None, kind })
}

fn retention(config: &Config) -> Retention {
    Retention::new(config.room.resume_window, config.room.empty_room, config.redis.lease)
}

/// A single node that fills up refuses new sockets; histories are not to be what fills it.
fn history_bytes(config: &Config) -> usize {
    let part = |limit: u64| usize::try_from(limit / 16).unwrap_or(usize::MAX);
    config.room.history_bytes.unwrap_or_else(|| memory_limit().map_or(Retention::BYTES, part))
}

fn cluster(config: &Config) -> Result<Stores, NodeError> {
    let secret = config.server.secret.as_deref().ok_or(NodeError::Secret)?;
    let ledger = config.postgres.is_given();
    if !ledger {
        tracing::warn!("no DATABASE_URL: this cluster keeps no ledger");
    }
    let connector = Arc::new(Connector::new(&config.redis)?);
    let database = if ledger { Some(Database::new(&config.postgres)?) } else { None };
    let archive = database.clone().map(|database| Arc::new(PgRoomArchive::new(database)) as Arc<dyn Archive>);
    let keys = Keys::new(secret.as_bytes()).with_previous(config.server.secret_previous.as_deref());
    Ok(Stores { archive, database, keys, redis: None, kind: StoreKind::Cluster(connector) })
}

/// Only one node may use a data directory: two would archive each other's rooms.
fn lock_directory(config: &Config) -> Result<File, NodeError> {
    let path = config.ledger.data_dir.clone();
    let lock = File::create(path.join("lock")).map_err(|source| NodeError::DataDir { path: path.clone(), source })?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(NodeError::Taken { path }),
        Err(TryLockError::Error(source)) => Err(NodeError::DataDir { path, source }),
    }
}
