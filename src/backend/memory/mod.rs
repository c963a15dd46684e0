//! Shared state in this process: the rooms of a single node, or a cluster of several nodes and workers in one process.

mod codes;
mod histories;
mod history;
mod membership;
mod queue;
mod signals;
mod store;
mod stored;
mod tokens;

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use dashmap::DashMap;
use prometheus_client::metrics::gauge::Gauge;

pub use self::queue::{MemoryConsumer, MemoryQueue};
use self::{codes::Codes, histories::Histories, membership::Members, stored::Stored};
use super::{Losses, Retention, RoomEvents};
use crate::{
    id::{NodeId, RoomId},
    ledger::{Journal, LocalTokens},
    room::Room,
    telemetry::Metrics,
};

/// The destination of ledger entries.
#[derive(Debug, Clone, Default)]
pub enum MemoryLedger {
    /// There is no ledger.
    #[default]
    None,
    /// The writer of a single node.
    Journal(Journal),
    /// The queue of the workers of a cluster.
    Queue(Arc<MemoryQueue>),
}

/// The state that all nodes share.
#[derive(Debug)]
pub struct Memory {
    rooms: DashMap<RoomId, Arc<Mutex<Stored>>>,
    codes: Codes,
    nodes: DashMap<NodeId, Vec<Weak<MemoryNode>>>,
    /// `None` on a single node.
    members: Option<Members>,
    ledger: MemoryLedger,
    max_rooms: usize,
    retention: Retention,
    histories: Histories,
    tokens: Mutex<LocalTokens>,
}

/// The back end of one node.
pub struct MemoryNode {
    shared: Arc<Memory>,
    name: NodeId,
    /// Distinguishes this process from others with the same name.
    process: u64,
    events: Weak<dyn RoomEvents>,
    /// The rooms that this process subscribed to; empty on a single node.
    rooms: Mutex<HashSet<RoomId>>,
    losses: Option<Losses>,
    history_bytes: Option<Gauge>,
}

impl std::fmt::Debug for MemoryNode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryNode").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Memory {
    /// For a single node with at most `max_rooms` rooms.
    pub fn single(retention: Retention, ledger: MemoryLedger, max_rooms: usize, tokens: LocalTokens) -> Arc<Self> {
        Arc::new(Self::new(retention, ledger, max_rooms, tokens, None))
    }

    /// For several nodes. A node is dead when it has not renewed its `lease`.
    pub fn cluster(
        retention: Retention,
        ledger: MemoryLedger,
        max_rooms: usize,
        tokens: LocalTokens,
        lease: Duration,
    ) -> Arc<Self> {
        Arc::new(Self::new(retention, ledger, max_rooms, tokens, Some(Members::new(lease))))
    }

    fn new(
        retention: Retention,
        ledger: MemoryLedger,
        max_rooms: usize,
        tokens: LocalTokens,
        members: Option<Members>,
    ) -> Self {
        let (rooms, nodes, tokens) = (DashMap::new(), DashMap::new(), Mutex::new(tokens));
        let histories = Histories::new(retention.bytes);
        Self { rooms, codes: Codes::default(), nodes, members, ledger, max_rooms, retention, histories, tokens }
    }

    /// Restores a room after a restart.
    pub fn restore(&self, room: Room) {
        self.rooms.insert(room.id.clone(), Arc::new(Mutex::new(Stored::new(room))));
    }

    /// Connects a node, which gets `events`. Losses are counted in `metrics`.
    pub fn connect(
        self: &Arc<Self>,
        name: NodeId,
        events: Weak<dyn RoomEvents>,
        metrics: Option<Arc<Metrics>>,
    ) -> Arc<MemoryNode> {
        static PROCESSES: AtomicU64 = AtomicU64::new(0);
        let node = Arc::new(MemoryNode {
            shared: Arc::clone(self),
            name: name.clone(),
            process: PROCESSES.fetch_add(1, Ordering::Relaxed),
            events,
            rooms: Mutex::default(),
            history_bytes: metrics.as_ref().map(|metrics| metrics.history_bytes.clone()),
            losses: metrics.map(Losses::new),
        });
        let mut processes = self.nodes.entry(name).or_default();
        processes.retain(|process| process.strong_count() > 0);
        processes.push(Arc::downgrade(&node));
        drop(processes);
        node
    }

    fn cell(&self, room: &RoomId) -> Option<Arc<Mutex<Stored>>> {
        self.rooms.get(room).map(|cell| Arc::clone(&cell))
    }

    /// The live processes with the name of a node; normally one.
    fn processes(&self, node: &NodeId) -> Vec<Arc<MemoryNode>> {
        self.nodes.get(node).map(|all| all.iter().filter_map(Weak::upgrade).collect()).unwrap_or_default()
    }
}

impl MemoryNode {
    fn is_subscribed(&self, room: &RoomId) -> bool {
        lock(&self.rooms).contains(room)
    }
}

/// Ignores poisoning: a room is replaced as a whole, so a panic leaves no half of a change behind.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
