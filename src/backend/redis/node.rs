use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::sync::{Mutex, mpsc};

use super::{
    connector::Connector, layout::Layout, link::Link, quota::Quota, retained::Retained, scripts::Scripts,
    seat_check::SeatChecks, signals::UNDELIVERED,
};
use crate::{
    backend::{
        Faults, Losses, Retention, RoomEvents,
        records::{Codec, SignalEnvelope},
    },
    config::{RedisConfig, RedisMode},
    id::{NodeId, RoomId},
    telemetry::Metrics,
};

/// The back end of one node, on Redis.
pub struct RedisNode {
    pub(super) name: NodeId,
    /// Distinguishes this process from others with the same name.
    pub(super) process: String,
    pub(super) layout: Layout,
    pub(super) connector: Arc<Connector>,
    pub(super) cluster: bool,
    pub(super) timeout: Duration,
    /// Interval of probes; zero turns them off.
    pub(super) probe: Duration,
    pub(super) lease: Duration,
    pub(super) links: Vec<Arc<Link>>,
    /// The channel of this node.
    pub(super) channel: String,
    events: Weak<dyn RoomEvents>,
    pub(super) scripts: Scripts,
    pub(super) codec: Codec,
    /// `None` without a ledger.
    pub(super) retained: Option<Retained>,
    pub(super) stream_max: usize,
    pub(super) quota: Quota,
    pub(super) metrics: Arc<Metrics>,
    pub(super) faults: Arc<Faults>,
    pub(super) losses: Losses,
    pub(super) retention: Retention,
    /// Signals whose target is not on this node, to be sent on.
    pub(super) undelivered: mpsc::Sender<SignalEnvelope>,
    to_send_on: Mutex<mpsc::Receiver<SignalEnvelope>>,
    pub(super) seat_checks: SeatChecks,
    pub(super) max_rooms: usize,
}

/// The parts of a [`RedisNode`].
#[allow(missing_docs, reason = "each is its own name")]
#[derive(Debug)]
pub struct RedisParts<'a> {
    pub name: NodeId,
    pub config: &'a RedisConfig,
    pub max_rooms: usize,
    pub retention: Retention,
    /// Whether ledger entries are appended for the workers.
    pub ledger: bool,
    pub metrics: Arc<Metrics>,
    /// The highest version of records that this node reads: [`NEWEST`](crate::backend::records::NEWEST).
    pub reads: u8,
}

impl std::fmt::Debug for RedisNode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisNode").field("name", &self.name).finish_non_exhaustive()
    }
}

impl RedisNode {
    /// Nothing is connected before [`RedisNode::run`]. The node gets `events`.
    pub fn new(connector: Arc<Connector>, parts: RedisParts<'_>, events: Weak<dyn RoomEvents>) -> Arc<Self> {
        let RedisParts { name, config, max_rooms, retention, ledger, metrics, reads } = parts;
        let layout = Layout::new(&config.redis_prefix, config.redis_partitions).on(connector.db());
        let faults = Arc::new(Faults::new(Arc::clone(&metrics)));
        let link = |number| Arc::new(Link::new(number, Arc::clone(&faults)));
        let losses = Losses::new(Arc::clone(&metrics));
        let (undelivered, to_send_on) = mpsc::channel(UNDELIVERED);
        Arc::new(Self {
            channel: layout.node(&name),
            links: (0..usize::from(config.redis_connections)).map(link).collect(),
            retained: ledger.then(|| Retained::new(layout.partitions())),
            name,
            process: uuid::Uuid::new_v4().to_string(),
            layout,
            connector,
            cluster: config.redis_mode == RedisMode::Cluster,
            timeout: config.redis_timeout,
            probe: config.redis_probe,
            lease: config.lease,
            events,
            scripts: Scripts::default(),
            codec: Codec::new(reads),
            stream_max: config.ledger_stream_max,
            quota: Quota::new(config.ledger_stream_bytes, config.redis_partitions),
            metrics,
            faults,
            losses,
            retention,
            undelivered,
            to_send_on: Mutex::new(to_send_on),
            seat_checks: SeatChecks::default(),
            max_rooms,
        })
    }

    /// Maintains the connections. Does not return.
    pub async fn run(self: Arc<Self>) {
        let links = self.links.iter().map(|link| self.maintain_link(link));
        let undelivered = async { self.send_undelivered(&mut *self.to_send_on.lock().await).await };
        tokio::join!(futures_util::future::join_all(links), undelivered);
    }

    /// The callbacks of the node; `None` while it is being shut down.
    pub(super) fn events(&self) -> Option<Arc<dyn RoomEvents>> {
        self.events.upgrade()
    }

    /// The link for everything that belongs to no room.
    pub(super) fn main(&self) -> &Link {
        self.link_of(0)
    }

    pub(super) fn link(&self, room: &RoomId) -> &Link {
        self.link_of(self.layout.partition(room))
    }

    pub(super) fn link_of(&self, partition: u16) -> &Link {
        let number = usize::from(partition) % self.links.len().max(1);
        // There is at least one link; the other branch satisfies the types.
        self.links.get(number).unwrap_or_else(|| unreachable!("a node has a link"))
    }

    pub(super) fn weak(self: &Arc<Self>) -> Weak<Self> {
        Arc::downgrade(self)
    }

    pub(super) fn rooms(&self) -> usize {
        self.links.iter().map(|link| link.rooms.len()).sum()
    }
}
