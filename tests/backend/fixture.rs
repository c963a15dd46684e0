use std::sync::{Arc, Mutex};

use tandem::{
    backend::{Backend, Memory, Sink},
    clock::{Clock, Millis},
    id::{ConnId, NodeId, RoomId, UserId},
    ledger::{Entry, Journal, Query, Writer, events},
    protocol::Frame,
    room::{Action, Command, Digest, Join, Policy, Room, Update, decide},
};

/// Makes nodes that share one state.
pub trait Fixture {
    fn node(&self, name: &str) -> Arc<dyn Backend>;
    /// Waits until all entries are written; how many events the ledger has of `room`.
    fn events(&self, room: &RoomId) -> usize;
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
        let shared = Memory::new(Some(journal.clone()), 1_000);
        Self { shared, dir, writer: Mutex::new(Some(writer)), _journal: journal }
    }
}

impl Fixture for MemoryFixture {
    fn node(&self, name: &str) -> Arc<dyn Backend> {
        // The state knows its nodes weakly; a test's nodes live as long as the test.
        let node = self.shared.node(NodeId::parse(name).unwrap());
        std::mem::forget(Arc::clone(&node));
        node
    }

    fn events(&self, room: &RoomId) -> usize {
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
}

impl Sink for Recorder {
    fn update(&self, update: &Arc<Update>) {
        self.updates.lock().unwrap().push(Arc::clone(update));
    }

    fn signal(&self, _room: &RoomId, to: &UserId, frame: Frame) {
        self.signals.lock().unwrap().push((to.clone(), frame.to_string()));
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
        let backend = fixture.node(name);
        let heard = Arc::new(Recorder::default());
        backend.attach(Arc::clone(&heard) as Arc<dyn Sink>);
        let replica = backend.subscribe(room).await.unwrap();
        Self { name: NodeId::parse(name).unwrap(), backend, heard, replica }
    }

    /// What the replica leads to, as it would be committed.
    pub fn draft(&self, command: &Command) -> (Update, Option<Entry>) {
        let draft = decide(&self.replica, command, &Policy::default(), NOW).unwrap();
        let update = Update {
            room: self.replica.id.clone(),
            epoch: if self.replica.exists() { self.replica.epoch } else { draft.after.epoch },
            base: self.replica.version,
            at: NOW,
            changes: draft.changes,
        };
        let entry = Entry::new(&update, events(&update, &self.name), &draft.after);
        (update, entry)
    }

    /// Decides and commits; the replica is what the state says afterwards.
    pub async fn commit(&mut self, command: &Command) -> tandem::backend::Commit {
        let (update, entry) = self.draft(command);
        let commit = self.backend.commit(update.clone(), entry).await.unwrap();
        match &commit {
            tandem::backend::Commit::Applied => {
                update.changes.iter().for_each(|change| self.replica.apply(change, NOW));
            }
            tandem::backend::Commit::Conflict(fresh) => self.replica = (**fresh).clone(),
        }
        commit
    }

    pub fn versions(&self) -> Vec<(u64, u64)> {
        self.heard.updates.lock().unwrap().iter().map(|update| (update.base, update.version())).collect()
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
        origin: Digest::new([1; 32]),
        username: None,
        pin: None,
        proof: None,
        token: resumable.then(|| Digest::new([2; 32])),
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
