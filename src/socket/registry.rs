use std::sync::Arc;

use dashmap::DashMap;

use crate::{hub::Outbox, id::ConnId};

/// All sockets of this node, for what concerns them all: a drain.
#[derive(Debug, Default)]
pub struct Registry {
    sockets: DashMap<ConnId, Arc<Outbox>>,
}

impl Registry {
    pub(super) fn insert(&self, conn: ConnId, outbox: Arc<Outbox>) {
        self.sockets.insert(conn, outbox);
    }

    pub(super) fn remove(&self, conn: ConnId) {
        self.sockets.remove(&conn);
    }

    /// The outboxes of all that are open now.
    pub fn outboxes(&self) -> Vec<Arc<Outbox>> {
        self.sockets.iter().map(|entry| Arc::clone(entry.value())).collect()
    }
}
