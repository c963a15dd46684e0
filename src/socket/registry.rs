use std::sync::Arc;

use dashmap::DashMap;

use super::admission::Place;
use crate::{hub::Outbox, id::ConnId, telemetry::Metrics};

/// All open sockets of this node, for drains and metrics.
#[derive(Debug)]
pub struct Registry {
    sockets: DashMap<ConnId, Arc<Outbox>>,
    metrics: Arc<Metrics>,
}

/// The registration of an open socket, which ends when this is dropped.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) conn: ConnId,
    pub(super) outbox: Arc<Outbox>,
    registry: Arc<Registry>,
    _place: Place,
}

impl Registry {
    /// An empty registry.
    pub fn new(metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self { sockets: DashMap::new(), metrics })
    }

    pub(super) fn open(self: &Arc<Self>, conn: ConnId, outbox: Outbox, place: Place) -> Open {
        let outbox = Arc::new(outbox);
        self.sockets.insert(conn, Arc::clone(&outbox));
        self.metrics.connections.inc();
        self.metrics.connections_total.inc();
        Open { conn, outbox, registry: Arc::clone(self), _place: place }
    }

    /// The bytes in all outboxes, and in the fullest one. Summed up for each scrape, which costs less than counting each frame.
    pub fn waiting(&self) -> (usize, usize) {
        let bytes = self.sockets.iter().map(|socket| socket.waiting());
        bytes.fold((0, 0), |(sum, most), bytes| (sum + bytes, most.max(bytes)))
    }

    /// The outboxes of all open sockets.
    pub fn outboxes(&self) -> Vec<Arc<Outbox>> {
        self.sockets.iter().map(|entry| Arc::clone(entry.value())).collect()
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.registry.sockets.remove(&self.conn);
        self.registry.metrics.connections.dec();
    }
}
