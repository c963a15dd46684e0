use std::sync::Arc;

use dashmap::DashMap;

use super::admission::Place;
use crate::{hub::Outbox, id::ConnId, telemetry::Metrics};

/// All sockets of this node, for what concerns them all: a drain.
#[derive(Debug)]
pub struct Registry {
    sockets: DashMap<ConnId, Arc<Outbox>>,
    metrics: Arc<Metrics>,
}

/// A socket that is open; no longer when this is dropped.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) conn: ConnId,
    pub(super) outbox: Arc<Outbox>,
    registry: Arc<Registry>,
    _place: Place,
}

impl Registry {
    /// With nobody in it.
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

    /// Bytes that wait in all outboxes, and in the fullest one. Looked up for each scrape, not kept: it costs less than counting each frame.
    pub fn waiting(&self) -> (usize, usize) {
        let bytes = self.sockets.iter().map(|socket| socket.waiting());
        bytes.fold((0, 0), |(sum, most), bytes| (sum + bytes, most.max(bytes)))
    }

    /// The outboxes of all that are open now.
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
