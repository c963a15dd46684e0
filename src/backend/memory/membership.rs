//! The membership of a cluster in one process. It uses the time of tokio, which tests pause and advance.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Mutex,
    time::Duration,
};

use async_trait::async_trait;
use tokio::time::Instant;

use super::{MemoryLedger, MemoryNode, lock};
use crate::{
    backend::{BackendError, Backlog, DeploymentError, LedgerFeed, Membership, Renewal},
    clock::{self, Clock, Look, Millis},
    id::{NodeId, RoomId},
};

/// How long a node may take to reap the rooms of a dead node, before another one may try.
const TAKE_OVER: Duration = Duration::from_secs(10);
/// Maximum number of overdue rooms in one answer.
const OVERDUE: usize = 64;

/// The nodes of a cluster, and the rooms that they subscribed to.
#[derive(Debug)]
pub(super) struct Members {
    lease: Duration,
    /// The start of this membership, by the time of tokio and in microseconds since 1970.
    began: (Instant, i64),
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    fingerprints: Option<Vec<String>>,
    leases: BTreeMap<NodeId, Instant>,
    names: HashMap<NodeId, u64>,
    rooms: HashMap<NodeId, BTreeSet<RoomId>>,
    /// Until when a node has the right to reap a dead node.
    takers: HashMap<NodeId, Instant>,
    due: HashMap<RoomId, Millis>,
}

impl Members {
    pub(super) fn new(lease: Duration) -> Self {
        let micros = i64::try_from(clock::system().saturating_mul(1_000)).unwrap_or(i64::MAX);
        Self { lease, began: (Instant::now(), micros), inner: Mutex::default() }
    }

    pub(super) fn hold(&self, node: &NodeId, room: &RoomId) {
        lock(&self.inner).rooms.entry(node.clone()).or_default().insert(room.clone());
    }

    pub(super) fn release(&self, node: &NodeId, room: &RoomId) {
        if let Some(rooms) = lock(&self.inner).rooms.get_mut(node) {
            rooms.remove(room);
        }
    }

    /// A restored room has members on this node: it counts as alive for one lease, unless it is known to be dead.
    pub(super) fn vouch_for(&self, node: &NodeId, room: &RoomId) {
        let mut inner = lock(&self.inner);
        inner.leases.entry(node.clone()).or_insert_with(|| Instant::now() + self.lease);
        inner.rooms.entry(node.clone()).or_default().insert(room.clone());
    }

    pub(super) fn set_due(&self, room: &RoomId, due: Option<Millis>) {
        let mut inner = lock(&self.inner);
        match due {
            Some(at) => inner.due.insert(room.clone(), at),
            None => inner.due.remove(room),
        };
    }

    pub(super) fn overdue(&self, at: Millis) -> Vec<RoomId> {
        let inner = lock(&self.inner);
        let mut rooms: Vec<_> = inner.due.iter().filter(|(_, due)| **due <= at).collect();
        rooms.sort_unstable_by_key(|(room, due)| (**due, (*room).clone()));
        rooms.into_iter().take(OVERDUE).map(|(room, _)| room.clone()).collect()
    }

    fn now_micros(&self) -> i64 {
        let (began, micros) = self.began;
        micros.saturating_add(i64::try_from(began.elapsed().as_micros()).unwrap_or(i64::MAX))
    }

    fn renew(&self, name: &NodeId, process: u64) -> Renewal {
        let mut inner = lock(&self.inner);
        let now = Instant::now();
        let before = inner.leases.insert(name.clone(), now + self.lease);
        let lost = before.is_none_or(|until| until < now);
        let usurped = *inner.names.entry(name.clone()).or_insert(process) != process;
        let dead = inner.leases.iter().filter(|(node, until)| **until < now && *node != name);
        Renewal { lost, usurped, outdated: None, dead: dead.map(|(node, _)| node.clone()).collect() }
    }
}

impl MemoryNode {
    /// The membership; an error on a single node, where nothing asks for it.
    fn members(&self) -> Result<&Members, BackendError> {
        let none = || BackendError::Unreachable("a single node has no cluster".to_owned());
        self.shared.members.as_ref().ok_or_else(none)
    }
}

#[async_trait]
impl Membership for MemoryNode {
    fn is_accepting(&self) -> bool {
        true
    }

    async fn check_deployment(&self, fingerprints: &[String]) -> Result<(), DeploymentError> {
        let mut inner = lock(&self.members()?.inner);
        let known = inner.fingerprints.as_ref().is_none_or(|all| all.iter().any(|it| fingerprints.contains(it)));
        if !known {
            return Err(DeploymentError::Mismatch("another TANDEM_SECRET"));
        }
        inner.fingerprints = Some(fingerprints.to_vec());
        Ok(())
    }

    async fn take_name(&self) -> Result<(), BackendError> {
        lock(&self.members()?.inner).names.insert(self.name.clone(), self.process);
        Ok(())
    }

    async fn namesakes(&self) -> Result<u64, BackendError> {
        let all = self.shared.processes(&self.name);
        Ok(all.iter().filter(|process| process.events.strong_count() > 0).count() as u64)
    }

    async fn renew(&self) -> Result<Renewal, BackendError> {
        Ok(self.members()?.renew(&self.name, self.process))
    }

    async fn leave(&self) -> Result<(), BackendError> {
        let mut inner = lock(&self.members()?.inner);
        inner.leases.remove(&self.name);
        inner.rooms.remove(&self.name);
        Ok(())
    }

    async fn take_over(&self, dead: &NodeId) -> Result<bool, BackendError> {
        let mut inner = lock(&self.members()?.inner);
        let now = Instant::now();
        if inner.takers.get(dead).is_some_and(|until| *until > now) {
            return Ok(false);
        }
        inner.takers.insert(dead.clone(), now + TAKE_OVER);
        Ok(true)
    }

    async fn rooms_of(&self, node: &NodeId) -> Result<Vec<RoomId>, BackendError> {
        let inner = lock(&self.members()?.inner);
        Ok(inner.rooms.get(node).map(|rooms| rooms.iter().cloned().collect()).unwrap_or_default())
    }

    async fn abandoned_rooms(&self) -> Result<Vec<RoomId>, BackendError> {
        let mut rooms = self.rooms_of(&self.name).await?;
        rooms.retain(|room| !self.is_subscribed(room));
        Ok(rooms)
    }

    async fn announce_rooms(&self) -> Result<(), BackendError> {
        let members = self.members()?;
        let rooms: Vec<RoomId> = lock(&self.rooms).iter().cloned().collect();
        for room in &rooms {
            members.hold(&self.name, room);
        }
        Ok(())
    }

    async fn remove_node(&self, dead: &NodeId) -> Result<(), BackendError> {
        let mut inner = lock(&self.members()?.inner);
        if inner.leases.get(dead).is_some_and(|until| *until < Instant::now()) {
            inner.leases.remove(dead);
            inner.rooms.remove(dead);
        }
        Ok(())
    }

    async fn read_clock(&self, clock: &Clock) -> Result<Look, BackendError> {
        let members = self.members()?;
        Ok(Look { before: clock.count(), said: members.now_micros(), after: clock.count() })
    }
}

#[async_trait]
impl LedgerFeed for MemoryNode {
    async fn poll_backlog(&self) -> Result<Backlog, BackendError> {
        Ok(match &self.shared.ledger {
            MemoryLedger::Queue(queue) => queue.backlog(),
            MemoryLedger::Journal(_) | MemoryLedger::None => Backlog::default(),
        })
    }
}
