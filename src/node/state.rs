use std::{
    fs::{File, TryLockError},
    sync::Arc,
};

use super::{NodeError, lookup::Lookup, secret};
use crate::{
    auth::Keys,
    backend::{Backend, Memory, RedisNode, RedisParts, Retention},
    clock::Clock,
    config::Config,
    hub::Hub,
    id::{NodeId, RoomId},
    ledger::{self, Archive, Database, Journal, LedgerError, PgRoomArchive, Unfit, Writer},
    telemetry::Metrics,
};

/// Where a node's rooms are kept and its events go.
pub(super) struct State {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) archive: Option<Arc<dyn Archive>>,
    /// What the archive asks.
    pub(super) database: Option<Database>,
    pub(super) keys: Keys,
    kind: Kind,
}

enum Kind {
    /// In this process, and in a directory.
    Alone {
        writer: Writer,
        journal: Journal,
        restored: Vec<RoomId>,
        /// Held for as long as the node lives.
        lock: File,
    },
    /// In Redis; a worker takes the events out of it.
    Cluster(Arc<RedisNode>),
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").finish_non_exhaustive()
    }
}

impl State {
    pub(super) fn open(
        config: &Config,
        name: &NodeId,
        clock: Clock,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, NodeError> {
        if config.redis.is_given() { cluster(config, name, metrics) } else { alone(config, name, clock, metrics) }
    }

    /// The way to the ledger of a single node.
    pub(super) fn journal(&self) -> Option<Journal> {
        match &self.kind {
            Kind::Alone { journal, .. } => Some(journal.clone()),
            Kind::Cluster(_) => None,
        }
    }

    pub(super) fn redis(&self) -> Option<Arc<RedisNode>> {
        match &self.kind {
            Kind::Alone { .. } => None,
            Kind::Cluster(redis) => Some(Arc::clone(redis)),
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
    pub(super) async fn adopt(&self, hub: &Hub) {
        let Kind::Alone { restored, .. } = &self.kind else { return };
        for room in restored {
            if let Err(error) = hub.adopt(room).await {
                tracing::warn!(%room, %error, "a room could not be brought back");
            }
        }
        if !restored.is_empty() {
            tracing::info!(rooms = restored.len(), "rooms are back");
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
fn alone(config: &Config, name: &NodeId, clock: Clock, metrics: &Arc<Metrics>) -> Result<State, NodeError> {
    if config.postgres.is_given() {
        return Err(NodeError::Ledger);
    }
    let directory = &config.ledger.data_dir;
    let data_dir = |source| NodeError::DataDir { path: directory.clone(), source };
    std::fs::create_dir_all(directory).map_err(data_dir)?;
    let lock = claim(config)?;
    let keys = Keys::new(&secret::load(config.server.secret.as_deref(), directory).map_err(data_dir)?)
        .with_previous(config.server.secret_previous.as_deref());
    let database = config.ledger.database();
    let rooms = ledger::restore(&database, name, &config.room.policy(), clock.now())?;
    let (writer, journal) = Writer::start(&database, clock)?;
    let memory = Memory::keeping(retention(config), Some(journal.clone()), config.room.max_rooms);
    let restored = rooms.iter().map(|room| room.id.clone()).collect();
    for room in rooms {
        memory.restore(room);
    }
    let backend = memory.counting(name.clone(), Some(Arc::clone(metrics)));
    Ok(State { backend, archive: None, database: None, keys, kind: Kind::Alone { writer, journal, restored, lock } })
}

fn retention(config: &Config) -> Retention {
    Retention::new(config.room.resume_window, config.room.empty_room, config.redis.lease)
}

fn cluster(config: &Config, name: &NodeId, metrics: &Arc<Metrics>) -> Result<State, NodeError> {
    let secret = config.server.secret.as_deref().ok_or(NodeError::Secret)?;
    let ledger = config.postgres.is_given();
    if !ledger {
        tracing::warn!("no DATABASE_URL: this cluster keeps no ledger");
    }
    let parts = RedisParts {
        name: name.clone(),
        config: &config.redis,
        max_rooms: config.room.max_rooms,
        retention: retention(config),
        ledger,
        metrics: Arc::clone(metrics),
    };
    let redis = RedisNode::new(parts)?;
    let backend = Arc::clone(&redis) as Arc<dyn Backend>;
    let database = if ledger { Some(Database::new(&config.postgres)?) } else { None };
    let archive = database.clone().map(|database| Arc::new(PgRoomArchive::new(database)) as Arc<dyn Archive>);
    let keys = Keys::new(secret.as_bytes()).with_previous(config.server.secret_previous.as_deref());
    Ok(State { backend, archive, database, keys, kind: Kind::Cluster(redis) })
}

/// One node a data directory: two would archive each other's rooms.
fn claim(config: &Config) -> Result<File, NodeError> {
    let path = config.ledger.data_dir.clone();
    let lock = File::create(path.join("lock")).map_err(|source| NodeError::DataDir { path: path.clone(), source })?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(NodeError::Taken { path }),
        Err(TryLockError::Error(source)) => Err(NodeError::DataDir { path, source }),
    }
}
