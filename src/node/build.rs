use std::{
    fs::{File, TryLockError},
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use tokio::{net::TcpListener, signal::unix::SignalKind, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{drain, secret};
use crate::{
    auth::Keys,
    backend::{Backend, Memory},
    clock::{Clock, millis},
    config::Config,
    http::{self, Site, SiteParts},
    hub::{Hub, Parts},
    id::NodeId,
    ledger::{self, Writer, WriterError},
    protocol::{ServerFrame, encode},
    socket::{Admission, Door, DoorParts, Registry},
    telemetry::Metrics,
};

/// How long sockets and requests may take to end once everything is told to.
const LAST_MOMENTS: Duration = Duration::from_secs(3);

/// Why a node could not start.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The name that was given is none.
    #[error("NODE_ID {0}")]
    Name(#[from] crate::id::IdError),
    /// The data directory cannot be used.
    #[error("cannot use the data directory {path} (TANDEM_DATA_DIR): {source}")]
    DataDir {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another node has it.
    #[error("another tandem uses the data directory {path}; give this one its own (TANDEM_DATA_DIR)")]
    Taken {
        /// Which.
        path: PathBuf,
    },
    /// The ledger cannot be used.
    #[error("{0} (TANDEM_DATA_DIR says where it is)")]
    Ledger(#[from] WriterError),
    /// The address cannot be listened on.
    #[error("cannot listen on {address} (HOST, PORT): {source}")]
    Listen {
        /// Which.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// Signals cannot be heard.
    #[error("cannot wait for signals: {0}")]
    Signals(io::Error),
}

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
    writer: Writer,
    /// Held for as long as the node lives.
    lock: File,
}

impl Node {
    /// Listens, opens the ledger, and brings back the rooms that outlived a restart. Nothing is touched before it is sure that no other node is here.
    pub async fn start(config: Config) -> Result<Self, NodeError> {
        let name = match &config.server.node_id {
            Some(name) => NodeId::parse(name)?,
            None => NodeId::parse(&format!("node-{:08x}", rand::random::<u32>()))?,
        };
        let clock = Clock::system();
        let data_dir = |source| NodeError::DataDir { path: config.ledger.data_dir.clone(), source };
        std::fs::create_dir_all(&config.ledger.data_dir).map_err(data_dir)?;
        let lock = claim(&config)?;
        let (listener, address) = listen(&config).await?;
        let keys =
            Keys::new(&secret::load(config.server.secret.as_deref(), &config.ledger.data_dir).map_err(data_dir)?);
        let policy = config.room.policy();
        let database = config.ledger.database();
        let restored = ledger::restore(&database, &name, &policy, clock.now())?;
        let (writer, journal) = Writer::start(&database, clock)?;

        let memory = Memory::new(Some(journal.clone()), config.room.max_rooms);
        let rooms: Vec<_> = restored.iter().map(|room| room.id.clone()).collect();
        for room in restored {
            memory.restore(room);
        }
        let backend: Arc<dyn Backend> = memory.node(name.clone());
        let metrics = Arc::new(Metrics::new(name.as_str()));
        let hub = Hub::new(Parts {
            node: name,
            clock,
            policy,
            backend: Arc::clone(&backend),
            metrics: Arc::clone(&metrics),
            ping_interval: millis(config.socket.ping_interval),
        });
        for room in &rooms {
            if let Err(error) = hub.adopt(room).await {
                tracing::warn!(%room, %error, "a room could not be brought back");
            }
        }
        if !rooms.is_empty() {
            tracing::info!(rooms = rooms.len(), "rooms are back");
        }

        let admission = Admission::new(config.server.max_connections);
        let registry = Registry::new(Arc::clone(&metrics));
        let sockets = TaskTracker::new();
        let door = DoorParts {
            hub: Arc::clone(&hub),
            keys: keys.clone(),
            clock,
            metrics: Arc::clone(&metrics),
            admission: Arc::clone(&admission),
            registry: Arc::clone(&registry),
            tasks: sockets.clone(),
        };
        let parts = SiteParts {
            door: Arc::new(Door::new(door, &config)),
            hub: Arc::clone(&hub),
            backend,
            journal,
            keys,
            clock,
            metrics: Arc::clone(&metrics),
            admission: Arc::clone(&admission),
        };
        let site = Arc::new(Site::new(parts, &config));
        Ok(Self { config, listener, address, clock, hub, site, metrics, admission, registry, sockets, writer, lock })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until SIGTERM or SIGINT, then drains. A second signal does not wait.
    pub async fn run(self) -> Result<(), NodeError> {
        let mut terminate = tokio::signal::unix::signal(SignalKind::terminate()).map_err(NodeError::Signals)?;
        let mut interrupt = tokio::signal::unix::signal(SignalKind::interrupt()).map_err(NodeError::Signals)?;
        let stop = CancellationToken::new();
        let connections = TaskTracker::new();
        let router = http::router(Arc::clone(&self.site));
        let header_timeout = self.config.server.header_timeout;
        let serving =
            tokio::spawn(http::serve(self.listener, router, header_timeout, connections.clone(), stop.clone()));
        let rooms = tokio::spawn({
            let hub = Arc::clone(&self.hub);
            async move { hub.run().await }
        });
        let ice = tokio::spawn(refresh_ice(Arc::clone(&self.hub), self.config.ice.clone(), self.clock));
        let node = self.hub.node();
        tracing::info!(addr = %self.address, node = %node, version = env!("CARGO_PKG_VERSION"), "listening");

        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        let drained = tokio::select! {
            drained = drain::drain(&self.admission, &self.registry, &self.sockets, &self.metrics, self.config.socket.drain) => Some(drained),
            _ = terminate.recv() => None,
            _ = interrupt.recv() => None,
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
        rooms.abort();
        ice.abort();
        let _ = tokio::join!(serving, rooms, ice);
        let left = self.sockets.len();
        let writer = self.writer;
        if tokio::task::spawn_blocking(move || writer.stop()).await.is_err() {
            tracing::error!("the ledger could not be closed");
        }
        drop(self.lock);
        if let Some(sockets) = drained {
            tracing::info!(clean = sockets.saturating_sub(left), forced = left, "stopped");
        } else {
            tracing::warn!(forced = left, "stopped at once by a second signal");
        }
        Ok(())
    }
}

/// One node a data directory: two would archive each other's rooms.
fn claim(config: &Config) -> Result<File, NodeError> {
    let path = config.ledger.data_dir.clone();
    let lock = File::create(path.join("lock")).map_err(|source| NodeError::DataDir { path: path.clone(), source })?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(NodeError::Taken { path }),
        Err(TryLockError::Error(source)) => Err(NodeError::DataDir { path, source }),
    }
}

async fn listen(config: &Config) -> Result<(TcpListener, SocketAddr), NodeError> {
    let address = (config.server.host.as_str(), config.server.port);
    let failed = |source| NodeError::Listen { address: format!("{}:{}", address.0, address.1), source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// Clients that stay long get new TURN credentials before theirs expire.
async fn refresh_ice(hub: Arc<Hub>, ice: crate::config::IceConfig, clock: Clock) {
    let Some(every) = ice.refresh() else { return };
    loop {
        tokio::time::sleep(every).await;
        let now = clock.now();
        hub.tell_modern(|user| encode(&ServerFrame::IceServers { ice_servers: &ice.for_user(user, now) }));
    }
}
