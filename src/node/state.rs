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
    ledger::{self, Archive, Database, Journal, LedgerError, PgRoomArchive, Unfit, Writer},
    telemetry::Metrics,
};

/// Where a node's rooms are kept and its events go.
pub(super) struct State {
    pub(super) archive: Option<Arc<dyn Archive>>,
    /// What the archive asks.
    pub(super) database: Option<Database>,
    pub(super) keys: Keys,
    /// In a cluster, once it is [connected](State::connect).
    pub(super) redis: Option<Arc<RedisNode>>,
    kind: Kind,
}

enum Kind {
    /// In this process, and in a directory.
    Alone {
        memory: Arc<Memory>,
        writer: Writer,
        journal: Journal,
        restored: Vec<RoomId>,
        /// Held for as long as the node lives.
        lock: File,
    },
    /// In Redis; a worker takes the events out of it.
    Cluster(Arc<Connector>),
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").finish_non_exhaustive()
    }
}

impl State {
    pub(super) fn open(config: &Config, name: &NodeId, clock: Clock) -> Result<Self, NodeError> {
        if config.redis.is_given() { cluster(config) } else { alone(config, name, clock) }
    }

    /// The way to the ledger of a single node.
    pub(super) fn journal(&self) -> Option<Journal> {
        match &self.kind {
            Kind::Alone { journal, .. } => Some(journal.clone()),
            Kind::Cluster(_) => None,
        }
    }

    /// Shared state as this node uses it, which tells `events` what happens. Connects to nothing before it is run.
    pub(super) fn connect(
        &mut self,
        config: &Config,
        name: &NodeId,
        metrics: &Arc<Metrics>,
        events: Weak<dyn RoomEvents>,
    ) -> Arc<dyn Backend> {
        let (name, metrics) = (name.clone(), Arc::clone(metrics));
        match &self.kind {
            Kind::Alone { memory, .. } => memory.connect(name, events, Some(metrics)),
            Kind::Cluster(connector) => {
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

    /// Refuses a database that will never do. One that is away, or does not let this user look, is said and done without: a node only
    /// looks rooms up in it.
    pub(super) async fn lookup(&self) -> Result<Option<Lookup>, NodeError> {
        let Some(database) = &self.database else { return Ok(None) };
        let mut lookup = Lookup::new(database.clone());
        match lookup.check().await {
            Err(error @ LedgerError::Unfit(Unfit::Encoding { .. })) => Err(error.into()),
            _ => Ok(Some(lookup)),
        }
    }

    /// The hub looks after the rooms that outlived a restart of a single node.
    pub(super) async fn restore_rooms(&self, hub: &Hub) {
        let Kind::Alone { restored, .. } = &self.kind else { return };
        for room in restored {
            if let Err(error) = hub.adopt(room).await {
                tracing::warn!(%room, %error, "a room could not be restored");
            }
        }
        if !restored.is_empty() {
            tracing::info!(rooms = restored.len(), "rooms were restored");
        }
    }

    /// Writes what is left to write.
    pub(super) async fn close(self) {
        if let Kind::Alone { writer, lock, .. } = self.kind {
            if tokio::task::spawn_blocking(move || writer.stop()).await.is_err() {
                tracing::error!("the ledger could not be closed");
            }
            drop(lock);
        }
    }
}

/// Nothing is touched before it is sure that no other node is here.
fn alone(config: &Config, name: &NodeId, clock: Clock) -> Result<State, NodeError> {
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
    let memory = Memory::single(retention(config), MemoryLedger::Journal(journal.clone()), config.room.max_rooms);
    let restored = rooms.iter().map(|room| room.id.clone()).collect();
    for room in rooms {
        memory.restore(room);
    }
    let kind = Kind::Alone { memory, writer, journal, restored, lock };
    Ok(State { archive: None, database: None, keys, redis: None, kind })
}

fn retention(config: &Config) -> Retention {
    Retention::new(config.room.resume_window, config.room.empty_room, config.redis.lease)
}

fn cluster(config: &Config) -> Result<State, NodeError> {
    let secret = config.server.secret.as_deref().ok_or(NodeError::Secret)?;
    let ledger = config.postgres.is_given();
    if !ledger {
        tracing::warn!("no DATABASE_URL: this cluster keeps no ledger");
    }
    let connector = Arc::new(Connector::new(&config.redis)?);
    let database = if ledger { Some(Database::new(&config.postgres)?) } else { None };
    let archive = database.clone().map(|database| Arc::new(PgRoomArchive::new(database)) as Arc<dyn Archive>);
    let keys = Keys::new(secret.as_bytes()).with_previous(config.server.secret_previous.as_deref());
    Ok(State { archive, database, keys, redis: None, kind: Kind::Cluster(connector) })
}

/// One node a data directory: two would archive each other's rooms.
fn lock_directory(config: &Config) -> Result<File, NodeError> {
    let path = config.ledger.data_dir.clone();
    let lock = File::create(path.join("lock")).map_err(|source| NodeError::DataDir { path: path.clone(), source })?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(NodeError::Taken { path }),
        Err(TryLockError::Error(source)) => Err(NodeError::DataDir { path, source }),
    }
}
