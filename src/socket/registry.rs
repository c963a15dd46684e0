use std::{collections::HashMap, sync::Arc};

use dashmap::DashMap;

use super::admission::Place;
use crate::{
    account::{Account, Hold},
    hub::Outbox,
    id::ConnId,
    protocol::Close,
    telemetry::Metrics,
};

/// Bytes that one client may have waiting even when memory is short.
const HEAVY: usize = 8 * 1024 * 1024;

/// All open sockets of this node, for drains and metrics.
#[derive(Debug)]
pub struct Registry {
    sockets: DashMap<ConnId, OpenSocket>,
    metrics: Arc<Metrics>,
}

/// What others can know of an open socket.
#[derive(Debug)]
struct OpenSocket {
    outbox: Arc<Outbox>,
    /// Its place in the account of its client.
    hold: Option<Hold>,
}

impl OpenSocket {
    fn account(&self) -> Option<&Account> {
        self.hold.as_ref().map(|hold| &**hold.account())
    }

    fn bytes(&self) -> usize {
        self.outbox.waiting()
    }
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

    pub(super) fn open(self: &Arc<Self>, conn: ConnId, outbox: Outbox, (place, hold): (Place, Option<Hold>)) -> Open {
        let outbox = Arc::new(outbox);
        self.sockets.insert(conn, OpenSocket { outbox: Arc::clone(&outbox), hold });
        self.metrics.connections.inc();
        self.metrics.connections_total.inc();
        Open { conn, outbox, registry: Arc::clone(self), _place: place }
    }

    /// The bytes in all outboxes, and in the fullest one. Summed up for each scrape, which costs less than counting each frame.
    pub fn waiting(&self) -> (usize, usize) {
        let bytes = self.sockets.iter().map(|socket| socket.outbox.waiting());
        bytes.fold((0, 0), |(sum, most), bytes| (sum + bytes, most.max(bytes)))
    }

    /// The outboxes of all open sockets.
    pub fn outboxes(&self) -> Vec<Arc<Outbox>> {
        self.sockets.iter().map(|socket| Arc::clone(&socket.outbox)).collect()
    }

    /// Has each socket look at its token again, because some were revoked.
    pub fn check_tokens(&self) {
        for socket in &self.sockets {
            socket.outbox.prompt_token_check();
        }
    }

    /// Closes the sockets of the client that has more than half of all waiting bytes, when memory is short. Returns the number of sockets.
    pub fn relieve(&self) -> usize {
        let mut waiting: HashMap<*const Account, usize> = HashMap::new();
        let mut all = 0;
        for socket in &self.sockets {
            let bytes = socket.bytes();
            if let Some(account) = socket.account().filter(|account| bytes > 0 && account.has_share()) {
                *waiting.entry(std::ptr::from_ref(account)).or_default() += bytes;
            }
            all += bytes;
        }
        // Only one can have more than half.
        let heaviest = waiting.into_iter().find(|(_, bytes)| *bytes > HEAVY && bytes.saturating_mul(2) > all);
        let Some((account, _)) = heaviest else { return 0 };
        let mut closed = 0;
        for socket in &self.sockets {
            if socket.account().is_some_and(|it| std::ptr::eq(it, account)) && socket.bytes() > 0 {
                socket.outbox.close(Close::AddressLimit);
                closed += 1;
            }
        }
        closed
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.registry.sockets.remove(&self.conn);
        self.registry.metrics.connections.dec();
    }
}
