use std::sync::{
    Arc, Weak,
    atomic::{AtomicBool, Ordering},
};

use dashmap::DashMap;
use tokio::sync::oneshot;

use super::{HubError, LocalRoom, Outbox, Schedule, entrance::Entrance, signal::SignalIds, waiting::Waiting};
use crate::{
    account::Account,
    backend::{Backend, Faults, Losses, RoomEvents},
    clock::{Clock, Millis},
    config::{IceConfig, Resource},
    id::{ConnId, NodeId, RoomId, UserId},
    ledger::Archive,
    limit::Throttle,
    protocol::Frame,
    replica::{Job, Why},
    room::{Policy, Room, StreamPosition, Update},
    telemetry::Metrics,
};

/// All rooms of a node.
pub struct Hub {
    /// For tasks that outlive the call that starts them.
    me: Weak<Self>,
    pub(super) parts: Parts,
    pub(super) rooms: DashMap<RoomId, Arc<LocalRoom>>,
    pub(super) schedule: Schedule,
    pub(super) signals: SignalIds,
    backend: Arc<dyn Backend>,
    pub(super) faults: Faults,
    pub(super) waiting: Waiting,
    pub(super) entrance: Entrance,
    /// See [`crate::replica::Env::returning`].
    pub(super) returning: AtomicBool,
    /// The rate limit of log lines about the ledger.
    pub(super) recalls: Throttle,
    pub(super) losses: Losses,
}

/// The parts of a hub.
#[allow(missing_docs, reason = "each is its own name")]
pub struct Parts {
    pub node: NodeId,
    pub clock: Clock,
    pub policy: Policy,
    pub metrics: Arc<Metrics>,
    pub ping_interval: Millis,
    pub ice: IceConfig,
    /// The ledger, where rooms are looked up that shared state does not have.
    pub archive: Option<Arc<dyn Archive>>,
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub").field("node", &self.parts.node).field("rooms", &self.rooms.len()).finish_non_exhaustive()
    }
}

impl Hub {
    /// A hub over the back end that `connect` returns, which calls the hub back.
    pub fn new(parts: Parts, connect: impl FnOnce(Weak<dyn RoomEvents>) -> Arc<dyn Backend>) -> Arc<Self> {
        Arc::new_cyclic(|hub: &Weak<Self>| Self {
            me: Weak::clone(hub),
            backend: connect(Weak::clone(hub) as Weak<dyn RoomEvents>),
            rooms: DashMap::new(),
            schedule: Schedule::default(),
            signals: SignalIds::random(),
            faults: Faults::new(Arc::clone(&parts.metrics)),
            waiting: Waiting::default(),
            entrance: Entrance::default(),
            returning: AtomicBool::new(false),
            recalls: Throttle::new(1, 1),
            losses: Losses::new(Arc::clone(&parts.metrics)),
            parts,
        })
    }

    pub(super) fn now(&self) -> Millis {
        self.parts.clock.now()
    }

    /// The name of this node.
    pub fn node(&self) -> &NodeId {
        &self.parts.node
    }

    /// The back end of this hub.
    pub fn shared(&self) -> &Arc<dyn Backend> {
        &self.backend
    }

    pub(super) fn backend(&self) -> &dyn Backend {
        &*self.backend
    }

    /// The number of rooms on this node.
    pub fn len(&self) -> usize {
        self.rooms.len()
    }

    /// Whether so many clients wait to be let into their rooms that the next would have to wait for too long.
    pub fn is_crowded(&self) -> bool {
        self.entrance.is_crowded()
    }

    /// Whether there are no rooms.
    pub fn is_empty(&self) -> bool {
        self.rooms.is_empty()
    }

    /// Calls `look` with each room.
    pub fn inspect(&self, mut look: impl FnMut(&Room, usize)) {
        for room in self.all() {
            room.look(|replica| look(replica.room(), replica.sessions()));
        }
    }

    pub(super) fn all(&self) -> Vec<Arc<LocalRoom>> {
        self.rooms.iter().map(|room| Arc::clone(&room)).collect()
    }

    /// Whether to keep the seats that an earlier process of this node has left, for the clients that come back.
    pub fn keep_seats(&self, keep: bool) {
        self.returning.store(keep, Ordering::Relaxed);
    }

    /// Opens a room that was restored after a restart, and keeps it until a member joins or its grace time is over.
    pub async fn keep_restored(&self, room: &RoomId) -> Result<(), HubError> {
        let room = self.open(room);
        self.take_turn(&room, &Job::Adopt).await.map(|_| ())
    }

    pub(super) fn open(&self, id: &RoomId) -> Arc<LocalRoom> {
        Arc::clone(
            &self
                .rooms
                .entry(id.clone())
                .or_insert_with(|| Arc::new(LocalRoom::new(id.clone(), &self.parts.metrics, None))),
        )
    }

    /// Opens a room for a client. If this node did not have it, the client's account holds it.
    pub(super) fn open_for(&self, id: &RoomId, account: Option<&Arc<Account>>) -> Result<Arc<LocalRoom>, HubError> {
        if let Some(room) = self.find(id) {
            return Ok(room);
        }
        let hold = account.map(|account| account.hold(Resource::Rooms)).transpose()?;
        let new = || Arc::new(LocalRoom::new(id.clone(), &self.parts.metrics, hold));
        Ok(Arc::clone(&self.rooms.entry(id.clone()).or_insert_with(new)))
    }

    /// Removes a retired room.
    pub(super) fn forget(&self, room: &LocalRoom) {
        self.rooms.remove_if(&room.id, |_, here| std::ptr::eq(Arc::as_ptr(here), room));
    }

    fn find(&self, id: &RoomId) -> Option<Arc<LocalRoom>> {
        self.rooms.get(id).map(|room| Arc::clone(&room))
    }

    /// A connection whose seat is free again gets it back, once it has shown that it lives.
    pub(super) fn offer_seat(&self, room: &RoomId, (user, conn): (&UserId, ConnId), to: &Outbox) {
        let (hub, alive) = (Weak::clone(&self.me), to.ask());
        let (room, user) = (room.clone(), user.clone());
        tokio::spawn(async move {
            if alive.await.is_ok()
                && let Some(hub) = hub.upgrade()
                && let Some(room) = hub.find(&room)
            {
                hub.with(&room, |replica, env, _| replica.reclaim(&user, conn, env));
            }
        });
    }

    /// Has the room loaded again before anything else is decided in it.
    pub(super) fn resync_soon(&self, room: &LocalRoom, why: Why) {
        self.with(room, |replica, env, _| replica.resync_soon(why, env.now));
    }

    /// After a panic in `room`: it is loaded again before anything else is decided in it.
    pub fn resync_after_panic(&self, room: &RoomId) {
        if let Some(room) = self.find(room) {
            self.resync_soon(&room, Why::Broken);
        }
    }
}

impl RoomEvents for Hub {
    fn knows(&self, room: &RoomId, position: StreamPosition) -> bool {
        self.rooms.get(room).is_none_or(|room| room.look(|replica| replica.knows(position)))
    }

    fn update(&self, update: &Arc<Update>) {
        if let Some(room) = self.find(&update.room) {
            self.with(&room, |replica, env, out| replica.update(update, env, out));
        }
    }

    fn stale(&self, room: &RoomId) {
        if let Some(room) = self.find(room) {
            self.with(&room, |replica, env, _| replica.stale(env.now));
        }
    }

    fn ask(&self, room: &RoomId, user: &UserId, conn: ConnId) -> Option<oneshot::Receiver<()>> {
        self.find(room)?.look(|replica| replica.handle(user, conn).map(|outbox| outbox.ask()))
    }

    fn signal(&self, room: &RoomId, to: &UserId, frame: &Frame) -> bool {
        let Some(room) = self.find(room) else { return false };
        self.with(&room, |replica, _, out| replica.signal(to, frame, out))
    }
}
