//! The network between nodes and the store, and the store's own life.
//!
//! A node has one connection, as it has to Redis. Its requests arrive in order, and answers and messages come back in order on the same
//! connection, so a node has received every update that precedes an answer. A cut loses what is under way in both directions: a commit may
//! have happened although its answer is lost.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use tandem::{
    clock::Millis,
    id::{ConnId, NodeId, RoomId, UserId},
    protocol::Frame,
    room::{StreamPosition, Update},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use crate::{
    chance::Dice,
    record::{Event, Record},
    store::Store,
};

/// How long nodes compare their rooms with another server, as in the real back end.
const COMPARES: Duration = Duration::from_secs(3);

/// What a node receives.
pub enum Down {
    Update(Arc<Update>),
    /// A room was put back, at this position.
    Replaced(RoomId, StreamPosition),
    Signal(Stray),
    /// Another node asks whether a socket still answers.
    Ask {
        room: RoomId,
        user: UserId,
        conn: ConnId,
        from: NodeId,
        answer: oneshot::Sender<bool>,
    },
    Answer(Box<dyn FnOnce() + Send>),
}

/// A signal that is under way.
#[derive(Debug, Clone)]
pub struct Stray {
    pub hops: u8,
    pub room: RoomId,
    pub to: UserId,
    pub frame: Frame,
}

/// A request of a node, which runs when it arrives.
pub type Job = Box<dyn FnOnce(&mut Bus) + Send>;

/// A node's connection, as the store sees it.
struct Wire {
    generation: u64,
    rooms: BTreeSet<RoomId>,
    down: mpsc::UnboundedSender<(Instant, Down)>,
    last: Instant,
    deaf: bool,
}

pub struct Bus {
    pub store: Store,
    pub record: Record,
    wires: BTreeMap<NodeId, Wire>,
    /// Nodes that cannot connect.
    pub cut_off: BTreeSet<NodeId>,
    /// Nodes whose packets take their time.
    pub slow: BTreeSet<NodeId>,
    pub away: bool,
    /// The number of the process that the store is. Another process may have lost something, so nodes compare their rooms with it until
    /// `comparing`.
    server: u64,
    comparing: Option<Instant>,
    backups: VecDeque<(Instant, Store)>,
    dice: Dice,
    generations: u64,
    began: (Instant, Millis),
}

pub type Shared = Arc<Mutex<Bus>>;

pub fn lock(bus: &Shared) -> MutexGuard<'_, Bus> {
    bus.lock().unwrap()
}

impl Bus {
    pub fn new(store: Store, record: Record, dice: Dice, start: Millis) -> Shared {
        Arc::new(Mutex::new(Self {
            store,
            record,
            wires: BTreeMap::new(),
            cut_off: BTreeSet::new(),
            slow: BTreeSet::new(),
            away: false,
            server: 0,
            comparing: None,
            backups: VecDeque::new(),
            dice,
            generations: 0,
            began: (Instant::now(), start),
        }))
    }

    /// The time of the store.
    pub fn now(&self) -> Millis {
        self.began.1 + u64::try_from(self.began.0.elapsed().as_millis()).unwrap_or_default()
    }

    /// How long the next packet of a node takes.
    pub fn delay(&mut self, node: &NodeId) -> Duration {
        let ms = if self.slow.contains(node) { self.dice.between(100, 1_500) } else { self.dice.between(0, 3) };
        Duration::from_millis(ms)
    }

    pub fn can_connect(&self, node: &NodeId) -> bool {
        !self.away && !self.cut_off.contains(node)
    }

    /// A new connection, which listens to `rooms`.
    pub fn connect(
        &mut self,
        node: &NodeId,
        rooms: BTreeSet<RoomId>,
        down: mpsc::UnboundedSender<(Instant, Down)>,
    ) -> u64 {
        self.generations += 1;
        let wire = Wire { generation: self.generations, rooms, down, last: Instant::now(), deaf: false };
        self.wires.insert(node.clone(), wire);
        self.generations
    }

    /// Returns the number of the server, and until when nodes compare their rooms with it. `known` is the server that the node knew before.
    pub fn compares(&mut self, known: Option<u64>) -> (u64, Option<Instant>) {
        if known.is_some_and(|known| known != self.server) && self.comparing.is_none() {
            self.comparing = Some(Instant::now() + COMPARES);
        }
        (self.server, self.comparing.filter(|until| *until > Instant::now()))
    }

    fn is_another(&mut self) {
        self.server += 1;
        self.comparing = None;
    }

    pub fn is_connected(&self, node: &NodeId, generation: u64) -> bool {
        self.wires.get(node).is_some_and(|wire| wire.generation == generation)
    }

    /// Ends a connection. What was on its way to the node is lost.
    pub fn disconnect(&mut self, node: &NodeId) {
        self.wires.remove(node);
    }

    pub fn disconnect_all(&mut self) {
        self.wires.clear();
    }

    /// From now on only answers come on this connection.
    pub fn deafen(&mut self, node: &NodeId) {
        if let Some(wire) = self.wires.get_mut(node) {
            wire.deaf = true;
        }
    }

    pub fn hears(&self, node: &NodeId) -> bool {
        self.wires.get(node).is_some_and(|wire| !wire.deaf)
    }

    pub fn listen(&mut self, node: &NodeId, room: &RoomId) {
        if let Some(wire) = self.wires.get_mut(node) {
            wire.rooms.insert(room.clone());
        }
    }

    pub fn ignore(&mut self, node: &NodeId, room: &RoomId) {
        if let Some(wire) = self.wires.get_mut(node) {
            wire.rooms.remove(room);
        }
    }

    /// Sends something to a node, and returns whether the node is connected.
    pub fn send(&mut self, node: &NodeId, what: Down) -> bool {
        let delay = self.delay(node);
        let Some(wire) = self.wires.get_mut(node) else { return false };
        if wire.deaf && !matches!(what, Down::Answer(_)) {
            return true;
        }
        wire.last = wire.last.max(Instant::now() + delay);
        wire.down.send((wire.last, what)).is_ok()
    }

    /// Sends something to all nodes that listen to a room.
    pub fn publish(&mut self, room: &RoomId, what: impl Fn() -> Down) {
        let nodes: Vec<_> =
            self.wires.iter().filter(|(_, wire)| wire.rooms.contains(room)).map(|(node, _)| node.clone()).collect();
        for node in nodes {
            self.send(&node, what());
        }
    }

    /// Keeps a copy of the store, so that it can lose what comes after.
    pub fn back_up(&mut self) {
        self.backups.push_back((Instant::now(), self.store.clone()));
        while self.backups.len() > 6 {
            self.backups.pop_front();
        }
    }

    /// The store goes on from its copy of about `back` ago.
    pub fn fall_back(&mut self, back: Duration) {
        let at = Instant::now().checked_sub(back);
        let backup = self.backups.iter().rev().find(|(made, _)| at.is_some_and(|at| *made <= at));
        let Some((made, store)) = backup.or(self.backups.front()).cloned() else { return };
        let since = self.record.at().saturating_sub(u64::try_from(made.elapsed().as_millis()).unwrap_or_default());
        self.store = store;
        self.is_another();
        self.record.add(Event::Loss { since });
    }

    /// The store loses everything.
    pub fn lose_all(&mut self) {
        self.store = Store::default();
        self.backups.clear();
        self.is_another();
        self.record.add(Event::Loss { since: 0 });
    }
}
