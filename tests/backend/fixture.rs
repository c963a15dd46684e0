use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tandem::{
    backend::{Backend, Commit, Due, Inbox, Memory, Point, Proposal, Retention, Sink},
    clock::{Clock, Millis},
    id::{ConnId, NodeId, RoomId, UserId},
    ledger::{Entry, Journal, Query, Writer, events},
    protocol::Frame,
    room::{Action, Command, Digest, Join, Policy, Room, Update, decide},
};

/// What an inbox has.
pub fn texts(inbox: &Inbox) -> Vec<&str> {
    inbox.frames.iter().map(Frame::as_str).collect()
}

/// Makes nodes that share one state.
pub trait Fixture {
    /// One that is ready to be used.
    async fn node(&self, name: &str) -> Arc<dyn Backend>;
    /// How long what is kept for a member will still be kept, in ms, where that runs by itself.
    async fn lives(&self, _room: &RoomId, _user: &UserId) -> Vec<u64> {
        Vec::new()
    }
    /// Waits until all entries are written; how many events the ledger has of `room`.
    async fn events(&self, room: &RoomId) -> usize;
}

/// For seats that are kept for a day.
pub fn long() -> Retention {
    let day = Duration::from_hours(24);
    Retention::new(day, day, Duration::from_secs(10))
}

pub struct MemoryFixture {
    shared: Arc<Memory>,
    dir: tempfile::TempDir,
    writer: Mutex<Option<Writer>>,
    _journal: Journal,
}

impl Default for MemoryFixture {
    fn default() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (writer, journal) = Writer::start(&dir.path().join("ledger.db"), Clock::system()).unwrap();
        let shared = Memory::keeping(long(), Some(journal.clone()), 1_000);
        Self { shared, dir, writer: Mutex::new(Some(writer)), _journal: journal }
    }
}

impl Fixture for MemoryFixture {
    async fn node(&self, name: &str) -> Arc<dyn Backend> {
        // The state knows its nodes weakly; a test's nodes live as long as the test.
        let node = self.shared.node(NodeId::parse(name).unwrap());
        std::mem::forget(Arc::clone(&node));
        node
    }

    async fn events(&self, room: &RoomId) -> usize {
        if let Some(writer) = self.writer.lock().unwrap().take() {
            writer.stop();
        }
        let query = Query { room: Some(room.to_string()), limit: 1_000, ..Query::default() };
        tandem::ledger::query(&self.dir.path().join("ledger.db"), &query).unwrap().len()
    }
}

/// Writes down what a node is handed.
#[derive(Default)]
pub struct Recorder {
    pub updates: Mutex<Vec<Arc<Update>>>,
    pub signals: Mutex<Vec<(UserId, String)>>,
    pub stale: Mutex<Vec<RoomId>>,
    /// Whether members are here.
    pub empty: AtomicBool,
}

impl Recorder {
    /// The versions that were heard, once there are `count` updates: they may be on their way.
    pub async fn versions(&self, count: usize) -> Vec<(u64, u64)> {
        self.until(|| self.updates.lock().unwrap().len() >= count).await;
        self.updates.lock().unwrap().iter().map(|update| (update.base, update.version())).collect()
    }

    pub async fn until(&self, done: impl Fn() -> bool) {
        let begun = std::time::Instant::now();
        while !done() && begun.elapsed() < Duration::from_secs(20) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

impl Sink for Recorder {
    fn update(&self, update: &Arc<Update>) {
        self.updates.lock().unwrap().push(Arc::clone(update));
    }

    fn knows(&self, room: &RoomId, (epoch, version): Point) -> bool {
        let updates = self.updates.lock().unwrap();
        updates.iter().any(|update| update.room == *room && update.epoch == epoch && update.version() == version)
    }

    fn stale(&self, room: &RoomId) {
        self.stale.lock().unwrap().push(room.clone());
    }

    fn ask(&self, _room: &RoomId, _user: &UserId, _conn: ConnId) -> Option<tokio::sync::oneshot::Receiver<()>> {
        let (alive, asked) = tokio::sync::oneshot::channel();
        let here = !self.empty.load(Ordering::Relaxed);
        here.then(|| alive.send(()).map(|()| asked).unwrap())
    }

    fn signal(&self, _room: &RoomId, to: &UserId, frame: &Frame) -> bool {
        if self.empty.load(Ordering::Relaxed) {
            return false;
        }
        self.signals.lock().unwrap().push((to.clone(), frame.to_string()));
        true
    }
}

/// A node with a recorder behind it, and its own replica of one room.
pub struct Node {
    pub name: NodeId,
    pub backend: Arc<dyn Backend>,
    pub heard: Arc<Recorder>,
    pub replica: Room,
}

pub const NOW: Millis = 1_700_000_000_000;

impl Node {
    pub async fn subscribed(fixture: &impl Fixture, name: &str, room: &RoomId) -> Self {
        let backend = fixture.node(name).await;
        let heard = Arc::new(Recorder::default());
        backend.attach(Arc::clone(&heard) as Arc<dyn Sink>);
        let replica = backend.subscribe(room).await.unwrap();
        Self { name: NodeId::parse(name).unwrap(), backend, heard, replica }
    }

    /// What the replica leads to, as it would be committed.
    pub fn draft(&self, command: &Command) -> Proposal {
        self.draft_at(command, NOW)
    }

    pub fn draft_at(&self, command: &Command, now: Millis) -> Proposal {
        let draft = decide(&self.replica, command, &Policy::default(), now).unwrap();
        let update = Update {
            room: self.replica.id.clone(),
            epoch: if self.replica.exists() { self.replica.epoch } else { draft.after.epoch },
            base: self.replica.version,
            at: now,
            changes: draft.changes,
        };
        let entry = Entry::new(&update, events(&update, &self.name), &draft.after);
        Proposal { update: Arc::new(update), after: draft.after, due: Due::Same, entry }
    }

    /// Decides and commits; the replica is what the state says afterwards.
    pub async fn commit(&mut self, command: &Command) -> Commit {
        let proposal = self.draft(command);
        let after = proposal.after.clone();
        let commit = self.backend.commit(proposal).await.unwrap();
        match &commit {
            Commit::Applied => self.replica = after,
            Commit::Conflict => self.replica = self.backend.subscribe(&self.replica.id).await.unwrap(),
        }
        commit
    }
}

pub fn room(name: &str) -> RoomId {
    RoomId::parse(name).unwrap()
}

pub fn user(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}

pub fn join(name: &str, node: &str, resumable: bool) -> Command {
    Command::Join(Join {
        user: user(name),
        conn: conn(name),
        node: NodeId::parse(node).unwrap(),
        origin: Digest::new([1; 32]).into(),
        username: None,
        pin: None,
        proof: None,
        token: resumable.then(|| Digest::new([2; 32])),
        asked: None,
        again: false,
    })
}

pub fn conn(name: &str) -> ConnId {
    ConnId(uuid::Uuid::from_u128(name.bytes().fold(1, |sum, byte| sum * 257 + u128::from(byte))))
}

pub fn act(name: &str, action: Action) -> Command {
    Command::Act { user: user(name), conn: conn(name), action }
}

pub fn broadcast(name: &str, event: &str) -> Command {
    act(name, Action::Broadcast { event: event.into(), data: None })
}

pub fn drop_socket(name: &str, keep_seat: bool) -> Command {
    Command::Disconnect { user: user(name), conn: conn(name), keep_seat }
}
