//! Everything that happened in a story, in order: what the judge looks at, and what two runs of one seed must have in common.

use std::{
    hash::{DefaultHasher, Hasher as _},
    sync::{Arc, Mutex},
};

use serde_json::Value;
use tandem::{
    id::{NodeId, RoomId, UserId},
    ledger::Entry,
    room::{Room, StreamPosition, Update},
};
use tokio::time::Instant;

/// Which client, and which of its sockets.
pub type Line = (usize, u32);

#[derive(Debug, Clone)]
pub enum Event {
    /// The store took an update in. `marks` are the fingerprints of the room before and after it.
    Commit {
        update: Arc<Update>,
        marks: (u64, u64),
        entry: Option<Arc<Entry>>,
    },
    /// A node was told that its commit is in force.
    Known {
        node: NodeId,
        point: StreamPosition,
    },
    /// A node put a room back.
    Restore {
        room: RoomId,
        point: StreamPosition,
        mark: u64,
    },
    /// The store lost everything after this moment.
    Loss {
        since: u64,
    },
    /// A node ended, with all that only it knew.
    Died {
        node: NodeId,
    },
    /// A node stands still, and goes on.
    Paused {
        node: NodeId,
    },
    Woke {
        node: NodeId,
    },
    /// The program panicked.
    Panic {
        what: String,
    },
    /// A fault began, and how long it lasts.
    Fault {
        what: &'static str,
        during: u64,
    },
    /// A client opened a socket at a node.
    Open {
        line: Line,
        user: UserId,
        modern: bool,
        node: NodeId,
    },
    /// A client sent a frame.
    Sent {
        line: Line,
        frame: Value,
    },
    /// A client got a frame.
    Got {
        line: Line,
        frame: Value,
    },
    /// A client's socket is over.
    Shut {
        line: Line,
        code: Option<u16>,
    },
    /// A client is gone for good.
    Quit {
        client: usize,
    },
    /// All is quiet: what the store has, what the nodes have, who is in, and what the ledger has.
    End {
        rooms: Vec<Room>,
        replicas: Vec<(NodeId, Room, usize)>,
        clients: Vec<Option<Standing>>,
        /// The ids of the events that the ledger has.
        ledger: Vec<String>,
    },
}

/// Where a client believes that it is.
#[derive(Debug, Clone)]
pub struct Standing {
    pub line: Line,
    pub room: RoomId,
    pub node: NodeId,
}

#[derive(Debug, Clone)]
pub struct Entered {
    /// Milliseconds since the story began.
    pub at: u64,
    pub event: Event,
}

#[derive(Debug, Clone)]
pub struct Record {
    began: Instant,
    events: Arc<Mutex<Vec<Entered>>>,
}

impl Record {
    pub fn begin() -> Self {
        Self { began: Instant::now(), events: Arc::default() }
    }

    pub fn at(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or_default()
    }

    pub fn add(&self, event: Event) {
        let at = self.at();
        self.events.lock().unwrap().push(Entered { at, event });
    }

    pub fn take(&self) -> Vec<Entered> {
        std::mem::take(&mut *self.events.lock().unwrap())
    }
}

/// A fingerprint of a story.
pub fn digest(events: &[Entered]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for Entered { at, event } in events {
        hasher.write_u64(*at);
        hasher.write(format!("{event:?}").as_bytes());
    }
    hasher.finish()
}
