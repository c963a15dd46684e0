use std::{net::SocketAddr, sync::Arc, time::Duration};

use futures_util::{FutureExt as _, future::BoxFuture};
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
    task::JoinSet,
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    NodeError,
    agent::{AgentParts, ClusterAgent},
    drain,
    files::Files,
    lookup::Lookup,
    state::State,
    timekeeper::Timekeeper,
};
use crate::{
    backend::{Cluster, Membership as _, RedisNode},
    clock::{Clock, millis},
    config::{Config, IceConfig},
    http::{self, Patience, Site, SiteParts, Terms},
    hub::{Hub, Parts},
    id::NodeId,
    protocol::{ServerFrame, encode},
    socket::{Admission, Door, DoorParts, Registry},
    telemetry::{Metrics, contained},
};

/// How long sockets and requests may take to end once everything is told to. With the drain and its goodbyes: less than 15 s.
const LAST_MOMENTS: Duration = Duration::from_secs(1);
/// How long the other nodes may take to be told that this one is gone.
const LEAVE: Duration = Duration::from_millis(500);

/// A node that listens.
#[derive(Debug)]
pub struct Node {
    config: Config,
    listener: TcpListener,
    address: SocketAddr,
    clock: Clock,
    hub: Arc<Hub>,
    site: Arc<Site>,
    metrics: Arc<Metrics>,
    admission: Arc<Admission>,
    registry: Arc<Registry>,
    sockets: TaskTracker,
    state: State,
    files: Files,
    lookup: Option<Lookup>,
}

impl Node {
    /// Listens, opens the ledger, and brings back the rooms that outlived a restart. Nothing is touched before it is sure that no other node is here.
    pub async fn start(config: Config) -> Result<Self, NodeError> {
        let name = match &config.server.node_id {
            Some(name) => NodeId::parse(name)?,
            None => NodeId::parse(&format!("node-{:08x}", rand::random::<u32>()))?,
        };
        let clock = Clock::system();
        let metrics = Arc::new(Metrics::new(name.as_str()));
        let files = Files::claim(config.server.max_connections);
        let (listener, address) = listen(&config).await?;
        let mut state = State::open(&config, &name, clock)?;
        let lookup = state.lookup().await?;
        let parts = Parts {
            node: name.clone(),
            clock,
            policy: config.policy(),
            metrics: Arc::clone(&metrics),
            ping_interval: millis(config.socket.ping_interval),
            ice: config.ice.clone(),
            archive: state.archive.clone(),
        };
        let hub = Hub::new(parts, |events| state.connect(&config, &name, &metrics, events));
        state.restore_rooms(&hub).await;

        let admission = Admission::new(files.sockets);
        metrics.connections_max.set(i64::try_from(files.sockets).unwrap_or(i64::MAX));
        let registry = Registry::new(Arc::clone(&metrics));
        let sockets = TaskTracker::new();
        let door = DoorParts {
            hub: Arc::clone(&hub),
            keys: state.keys.clone(),
            clock,
            metrics: Arc::clone(&metrics),
            admission: Arc::clone(&admission),
            registry: Arc::clone(&registry),
            tasks: sockets.clone(),
        };
        let parts = SiteParts {
            door: Arc::new(Door::new(door, &config)),
            hub: Arc::clone(&hub),
            backend: Arc::clone(hub.shared()),
            journal: state.journal(),
            database: state.database.clone(),
            keys: state.keys.clone(),
            clock,
            metrics: Arc::clone(&metrics),
            admission: Arc::clone(&admission),
        };
        let site = Arc::new(Site::new(parts, &config));
        Ok(Self {
            config,
            listener,
            address,
            clock,
            hub,
            site,
            metrics,
            admission,
            registry,
            sockets,
            state,
            files,
            lookup,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until SIGTERM or SIGINT, then drains. A second signal does not wait.
    pub async fn run(self) -> Result<(), NodeError> {
        let mut stops = Stops::new()?;
        let redis = self.state.redis.clone();
        let agent = redis.as_ref().map(|redis| self.agent(redis));
        let (clock, metrics) = (self.clock, Arc::clone(&self.metrics));
        let timekeeper = Timekeeper { clock, metrics, cluster: None };
        // Nobody is let in, or told that this node is ready, before there is somewhere to put them.
        self.admission.pause(redis.is_some());
        let stop = CancellationToken::new();
        let connections = TaskTracker::new();
        let router = http::router(Arc::clone(&self.site));
        let server = &self.config.server;
        let (head, keep_alive) = (server.header_timeout, server.keep_alive);
        let terms = Terms {
            patience: Patience { head, keep_alive, write: head },
            most: self.files.http,
            metrics: self.metrics.http.clone(),
        };
        let (died, mut deaths) = mpsc::channel(1);
        let vital = |name, work| vital(name, work, died.clone());
        let listening = http::serve(self.listener, router, terms, connections.clone(), stop.clone());
        let serving = tokio::spawn(vital("the listener", listening.boxed()));
        let mut background = JoinSet::new();
        let hub = Arc::clone(&self.hub);
        background.spawn(vital("the timer of rooms", async move { hub.run().await }.boxed()));
        let ice = refresh_ice(Arc::clone(&self.hub), self.config.ice.clone(), self.clock);
        background.spawn(vital("the renewal of TURN credentials", ice.boxed()));
        if let Some(lookup) = self.lookup {
            background.spawn(vital("the look at the ledger", lookup.run().boxed()));
        }
        let mut agents = JoinSet::new();
        if let (Some(redis), Some(agent)) = (&redis, agent) {
            background.spawn(vital("the link to Redis", Arc::clone(redis).run().boxed()));
            agents.spawn(async move {
                contained(agent.run()).await.map_or(NodeError::Died("the lease of this node"), NodeError::from)
            });
        } else {
            self.metrics.link_up.set(1);
            background.spawn(vital("the clock", async move { timekeeper.keep().await }.boxed()));
        }
        let node = self.hub.node();
        tracing::info!(addr = %self.address, node = %node, version = env!("CARGO_PKG_VERSION"), "listening");

        let unfit = tokio::select! {
            () = stops.next() => None,
            // Without one of these it would go on half dead: another process does better.
            Some(part) = deaths.recv() => Some(NodeError::Died(part)),
            Some(Ok(error)) = agents.join_next() => Some(error),
        };
        let over = self.config.socket.drain;
        let drained = tokio::select! {
            drained = drain::drain(&self.admission, &self.registry, &self.sockets, &self.metrics, over) => Some(drained),
            () = stops.next() => None,
        };
        stop.cancel();
        connections.close();
        self.sockets.close();
        if drained.is_some() {
            let ended = async {
                self.sockets.wait().await;
                connections.wait().await;
            };
            // Who does not end in time is cut off with the process.
            let _ = timeout(LAST_MOMENTS, ended).await;
        }
        agents.shutdown().await;
        // Seats that could not be given back: other nodes find out when the lease runs out.
        let lost = self.hub.seated();
        // Nor is a name given back that another process has by now.
        if let Some(redis) = redis.filter(|_| lost == 0 && unfit.is_none())
            && !matches!(timeout(LEAVE, redis.leave()).await, Ok(Ok(())))
        {
            tracing::warn!("the other nodes could not be told that this node stops; they will notice");
        }
        background.shutdown().await;
        let _ = serving.await;
        let forced = self.sockets.len();
        self.state.close().await;
        if let Some(sockets) = drained {
            let clean = sockets.saturating_sub(forced);
            tracing::info!(clean, forced, lost, "stopped");
        } else {
            tracing::warn!(forced, lost, "stopped at once by a second signal");
        }
        unfit.map_or(Ok(()), Err)
    }

    fn agent(&self, redis: &Arc<RedisNode>) -> ClusterAgent {
        ClusterAgent::new(AgentParts {
            cluster: Arc::clone(redis) as Arc<dyn Cluster>,
            hub: Arc::clone(&self.hub),
            admission: Arc::clone(&self.admission),
            metrics: Arc::clone(&self.metrics),
            clock: self.clock,
            fingerprints: self.state.keys.fingerprints(),
            lease: self.config.redis.lease,
            stream_max: self.config.redis.ledger_stream_max,
        })
    }
}

/// Runs a part of the node that has to run for as long as the node does, and tells if a bug ends it.
async fn vital(part: &'static str, work: BoxFuture<'static, ()>, died: mpsc::Sender<&'static str>) {
    if contained(work).await.is_none() {
        // There is room for one: the first is enough.
        let _ = died.try_send(part);
    }
}

/// The signals that stop a node.
struct Stops {
    terminate: Signal,
    interrupt: Signal,
}

impl Stops {
    fn new() -> Result<Self, NodeError> {
        let listen = |kind| signal(kind).map_err(NodeError::Signals);
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

async fn listen(config: &Config) -> Result<(TcpListener, SocketAddr), NodeError> {
    let (host, port) = (config.server.host.as_str(), config.server.port);
    let failed = |source| NodeError::Listen { address: format!("{host} port {port}"), source };
    let listener = http::listen(host, port).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// Clients that stay long get new TURN credentials before theirs expire.
async fn refresh_ice(hub: Arc<Hub>, ice: IceConfig, clock: Clock) {
    let Some(every) = ice.refresh() else { return };
    loop {
        tokio::time::sleep(every).await;
        hub.tell_modern(|user| encode(&ServerFrame::IceServers { ice_servers: &ice.for_user(user, &clock) }));
    }
}
