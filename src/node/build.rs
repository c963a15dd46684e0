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
    last_resort,
    lookup::Lookup,
    pressure::Pressure,
    reload::{Reload, Reread},
    revocations::RevocationWatch,
    stores::Stores,
    timekeeper::Timekeeper,
};
use crate::{
    account::{Accounts, Load, Of},
    backend::{Cluster, LogPosition, Membership as _, RedisNode},
    clock::{Clock, millis},
    config::{Config, IceConfig},
    http::{self, AppState, AppStateParts, Patience, Terms},
    hub::{Hub, Parts},
    id::NodeId,
    protocol::{ServerFrame, encode},
    socket::{Admission, Gateway, GatewayParts, Invitations, Registry, Tokens},
    telemetry::{HttpMetrics, Metrics, contained},
    tls::{PairFiles, Tls},
    token::{Revoked, Verifier},
};

/// How long sockets and requests may take to end after the drain. With the drain itself: less than 15 s.
const LAST_MOMENTS: Duration = Duration::from_secs(1);
/// Maximum number of connections at once to the port for metrics.
const METRICS_CONNECTIONS: usize = 64;
/// Deadline for telling the other nodes that this one has stopped.
const LEAVE: Duration = Duration::from_millis(500);
/// A node that is listening.
#[derive(Debug)]
pub struct Node {
    config: Config,
    listener: TcpListener,
    address: SocketAddr,
    /// For metrics, if they have a port of their own.
    metrics_listener: Option<(TcpListener, SocketAddr)>,
    tls: Option<Arc<Tls>>,
    clock: Clock,
    hub: Arc<Hub>,
    app: Arc<AppState>,
    metrics: Arc<Metrics>,
    admission: Arc<Admission>,
    accounts: Arc<Accounts>,
    users: Arc<Accounts>,
    registry: Arc<Registry>,
    sockets: TaskTracker,
    stores: Stores,
    files: Files,
    lookup: Option<Lookup>,
    verifier: Option<Arc<Verifier>>,
    revoked: Arc<Revoked>,
}

impl Node {
    /// Listens, opens the ledger, and restores the rooms after a restart. It changes nothing before it is certain that no other node uses
    /// its data.
    pub async fn start(config: Config) -> Result<Self, NodeError> {
        let name = match &config.server.node_id {
            Some(name) => NodeId::parse(name)?,
            None => NodeId::parse(&format!("node-{:08x}", rand::random::<u32>()))?,
        };
        let revoked = Arc::new(Revoked::unread());
        let verifier = config.token.verifier(&revoked)?.map(Arc::new);
        let clock = Clock::system();
        let metrics = Arc::new(Metrics::new(name.as_str()));
        let files = Files::raise_limit(config.server.max_connections);
        let open = |files| Tls::open(files, config.server.http2, clock, metrics.tls.clone());
        let tls = PairFiles::of(&config.tls).map(open).transpose()?;
        let (listener, address) = listen(&config, config.server.port).await?;
        let metrics_listener = match config.server.metrics_port {
            Some(port) => Some(listen(&config, port).await?),
            None => None,
        };
        let mut stores = Stores::open(&config, &name, clock)?;
        let lookup = stores.lookup().await?;
        let parts = Parts {
            node: name.clone(),
            clock,
            policy: config.policy(),
            metrics: Arc::clone(&metrics),
            ping_interval: millis(config.socket.ping_interval),
            ice: config.ice.clone(),
            archive: stores.archive.clone(),
        };
        let hub = Hub::new(parts, |events| stores.connect(&config, &name, &metrics, events));
        stores.restore_rooms(&hub).await;

        let admission = Admission::new(files.sockets);
        metrics.connections_max.set(i64::try_from(files.sockets).unwrap_or(i64::MAX));
        let registry = Registry::new(Arc::clone(&metrics));
        let capacity = Load { sockets: files.sockets, connections: files.http, rooms: config.room.max_rooms };
        let caps = config.server.address_caps.iter().copied().collect();
        let shares = config.server.address_shares;
        let accounts = Accounts::new(Of::Addresses, capacity, shares, caps, Arc::clone(&metrics));
        let caps = config.server.user_caps.iter().copied().collect();
        let users = Accounts::new(Of::Users, capacity, shares, caps, Arc::clone(&metrics));
        let sockets = TaskTracker::new();
        let gateway = GatewayParts {
            hub: Arc::clone(&hub),
            keys: stores.keys.clone(),
            clock,
            metrics: Arc::clone(&metrics),
            admission: Arc::clone(&admission),
            registry: Arc::clone(&registry),
            accounts: Arc::clone(&accounts),
            tokens: verifier.clone().and_then(|it| Tokens::new(&config.token, it, Arc::clone(&users))),
            invitations: Invitations::new(&stores.keys, &config.token, Arc::clone(&revoked))
                .map_err(NodeError::Invitations)?,
            tasks: sockets.clone(),
        };
        let parts = AppStateParts {
            gateway: Arc::new(Gateway::new(gateway, &config)),
            hub: Arc::clone(&hub),
            backend: Arc::clone(hub.shared()),
            journal: stores.journal(),
            database: stores.database.clone(),
            keys: stores.keys.clone(),
            clock,
            metrics: Arc::clone(&metrics),
            admission: Arc::clone(&admission),
            accounts: Arc::clone(&accounts),
        };
        let app = Arc::new(AppState::new(parts, &config));
        Ok(Self {
            config,
            listener,
            address,
            metrics_listener,
            tls: tls.map(Arc::new),
            clock,
            hub,
            app,
            metrics,
            admission,
            accounts,
            users,
            registry,
            sockets,
            stores,
            files,
            lookup,
            verifier,
            revoked,
        })
    }

    /// The address of the node.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until SIGTERM or SIGINT, then drains. A second signal ends the drain at once. At SIGHUP the settings are read again.
    pub async fn run(self, reread: Reread) -> Result<(), NodeError> {
        let mut stops = Stops::new()?;
        let redis = self.stores.redis.clone();
        let agent = redis.as_ref().map(|redis| self.agent(redis));
        let pressure = self.pressure();
        let (watch, reload) = (self.revocation_watch(), self.reload(reread));
        let (clock, metrics) = (self.clock, Arc::clone(&self.metrics));
        let timekeeper = Timekeeper { clock, metrics, cluster: None };
        // No client is accepted, and `/ready` says no, before the rooms are restored.
        self.admission.pause(redis.is_some());
        let (leave, stop) = (CancellationToken::new(), CancellationToken::new());
        let connections = TaskTracker::new();
        let router = http::router(Arc::clone(&self.app));
        let (terms, inner_terms) = (self.terms(&leave), self.inner_terms(&leave));
        let (died, mut deaths) = mpsc::channel(1);
        let vital = |name, work| vital(name, work, died.clone());
        let listening = http::serve(self.listener, router, terms, connections.clone(), stop.clone());
        let serving = tokio::spawn(vital("the listener", listening.boxed()));
        let mut background = JoinSet::new();
        if let Some((listener, address)) = self.metrics_listener {
            let numbers = http::metrics_router(Arc::clone(&self.app));
            let listening = http::serve(listener, numbers, inner_terms, connections.clone(), stop.clone());
            background.spawn(vital("the listener for metrics", listening.boxed()));
            tracing::info!(addr = %address, "listening for metrics");
        }
        let hub = Arc::clone(&self.hub);
        background.spawn(vital("the timer of rooms", async move { hub.run().await }.boxed()));
        let ice = refresh_ice(Arc::clone(&self.hub), self.config.ice.clone(), self.clock);
        background.spawn(vital("the renewal of TURN credentials", ice.boxed()));
        background.spawn(vital("the watch over its own load", async move { pressure.run().await }.boxed()));
        if let Some(tls) = self.tls {
            let hangups = signal(SignalKind::hangup()).map_err(NodeError::Signals)?;
            background.spawn(vital("the look after the certificate", tls.watch(hangups).boxed()));
        }
        if let Some(lookup) = self.lookup {
            background.spawn(vital("the look at the ledger", lookup.run().boxed()));
        }
        if let Some(verifier) = self.verifier {
            background.spawn(vital("the keys of tokens", async move { verifier.keep_fresh().await }.boxed()));
        }
        let hangups = signal(SignalKind::hangup()).map_err(NodeError::Signals)?;
        background.spawn(vital("the look at settings", reload.run(hangups).boxed()));
        background.spawn(vital("the look at revocations", watch.run().boxed()));
        let mut agents = JoinSet::new();
        if let (Some(redis), Some(agent)) = (&redis, agent) {
            background.spawn(vital("the link to Redis", Arc::clone(redis).run().boxed()));
            agents.spawn(async move {
                contained(agent.run()).await.map_or(NodeError::Died("the lease of this node"), NodeError::from)
            });
        } else {
            self.metrics.link_up.set(1);
            background.spawn(vital("the clock", async move { timekeeper.run().await }.boxed()));
        }
        let node = self.hub.node();
        tracing::info!(addr = %self.address, node = %node, version = env!("CARGO_PKG_VERSION"), "listening");

        let unfit = tokio::select! {
            () = stops.next() => None,
            // Without one of these tasks the node would only half work, so the process ends.
            Some(part) = deaths.recv() => Some(NodeError::Died(part)),
            Some(Ok(error)) = agents.join_next() => Some(error),
        };
        // Before connections are told to go: who comes back at once hears that this node drains.
        self.admission.close();
        leave.cancel();
        let over = self.config.socket.drain;
        // A single node has nobody who would finish its work.
        if redis.is_some() {
            last_resort::arm(over);
        }
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
            // Connections that do not end in time are cut off when the process ends.
            let _ = timeout(LAST_MOMENTS, ended).await;
        }
        agents.shutdown().await;
        // The other nodes reap the seats that could not be given up once the lease expires.
        let lost = self.hub.seated();
        // The name is not released if another process has taken it.
        if let Some(redis) = redis.filter(|_| lost == 0 && unfit.is_none())
            && !matches!(timeout(LEAVE, redis.leave()).await, Ok(Ok(())))
        {
            tracing::warn!("the other nodes could not be told that this node stops; they will notice");
        }
        background.shutdown().await;
        let _ = serving.await;
        let forced = self.sockets.len();
        self.stores.close().await;
        drain::tell_end(drained, forced, lost);
        unfit.map_or(Ok(()), Err)
    }

    fn terms(&self, leave: &CancellationToken) -> Terms {
        Terms {
            most: self.files.http,
            sockets: Some(Arc::clone(&self.admission)),
            proxy_protocol_from: self.config.server.proxy_protocol_from.clone(),
            tls_only: self.config.tls.tls_only,
            metrics: self.metrics.http.clone(),
            accounts: Some(self.app.connection_accounts()),
            ..self.inner_terms(leave)
        }
    }

    /// The terms on the port for metrics.
    fn inner_terms(&self, leave: &CancellationToken) -> Terms {
        let server = &self.config.server;
        let (head, keep_alive) = (server.header_timeout, server.keep_alive);
        Terms {
            patience: Patience { head, keep_alive, write: head },
            most: METRICS_CONNECTIONS,
            sockets: None,
            proxy_protocol_from: Vec::new(),
            http2: server.http2,
            drain: leave.clone(),
            tls: self.tls.clone(),
            tls_only: false,
            metrics: HttpMetrics::default(),
            accounts: None,
        }
    }

    fn pressure(&self) -> Pressure {
        Pressure {
            accounts: Arc::clone(&self.accounts),
            users: Arc::clone(&self.users),
            admission: Arc::clone(&self.admission),
            connections: self.files.http,
            registry: Arc::clone(&self.registry),
            metrics: Arc::clone(&self.metrics),
            clock: self.clock,
        }
    }

    fn reload(&self, reread: Reread) -> Reload {
        Reload {
            refused: Vec::new(),
            reread,
            limits: Arc::clone(self.app.limits()),
            admission: Arc::clone(&self.admission),
            accounts: Arc::clone(&self.accounts),
            users: Arc::clone(&self.users),
            metrics: Arc::clone(&self.metrics),
            verifier: self.verifier.clone(),
            started_with: self.config.clone(),
        }
    }

    fn revocation_watch(&self) -> RevocationWatch {
        RevocationWatch {
            backend: Arc::clone(self.hub.shared()),
            revoked: Arc::clone(&self.revoked),
            registry: Arc::clone(&self.registry),
            metrics: Arc::clone(&self.metrics),
            clock: self.clock,
            position: LogPosition::default(),
        }
    }

    fn agent(&self, redis: &Arc<RedisNode>) -> ClusterAgent {
        ClusterAgent::new(AgentParts {
            cluster: Arc::clone(redis) as Arc<dyn Cluster>,
            hub: Arc::clone(&self.hub),
            admission: Arc::clone(&self.admission),
            metrics: Arc::clone(&self.metrics),
            clock: self.clock,
            fingerprints: self.stores.keys.fingerprints(),
            lease: self.config.redis.lease,
            stream_max: self.config.redis.ledger_stream_max,
            partitions: self.config.redis.redis_partitions,
            accounts: vec![Arc::clone(&self.accounts), Arc::clone(&self.users)],
        })
    }
}

/// Runs a task that must not end, and reports if a panic ends it.
async fn vital(part: &'static str, work: BoxFuture<'static, ()>, died: mpsc::Sender<&'static str>) {
    if contained(work).await.is_none() {
        // The channel has room for one message, and the first is enough.
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

async fn listen(config: &Config, port: u16) -> Result<(TcpListener, SocketAddr), NodeError> {
    let host = config.server.host.as_str();
    let failed = |source| NodeError::Listen { address: format!("{host} port {port}"), source };
    let listener = http::listen(host, port).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// Sends new TURN credentials to clients before theirs expire.
async fn refresh_ice(hub: Arc<Hub>, ice: IceConfig, clock: Clock) {
    let Some(every) = ice.refresh() else { return };
    loop {
        tokio::time::sleep(every).await;
        hub.send_each(|user| encode(&ServerFrame::IceServers { ice_servers: &ice.for_user(user, &clock) }));
    }
}
