use std::{
    env::current_exe,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use tempfile::TempDir;

use super::{
    Deployment, DeploymentOptions, Kind, Ledger, PeerOptions, Redis, ServerOptions,
    process::{Ready, Server, Spec, find, free_port},
};
use crate::client::Target;

#[derive(Debug)]
pub(crate) struct Launcher<'a> {
    options: &'a ServerOptions,
    peers: &'a PeerOptions,
    /// Nodes of each cluster.
    nodes: u32,
    /// Seconds over which a node closes its sockets when it stops.
    drain: u32,
    tandem: PathBuf,
    this: PathBuf,
    folder: Arc<TempDir>,
}

impl<'a> Launcher<'a> {
    pub(crate) fn new(options: &'a ServerOptions, peers: &'a PeerOptions, nodes: u32, drain: u32) -> Result<Self> {
        for path in [&peers.socketio, &peers.centrifugo].into_iter().flatten() {
            ensure!(path.exists(), "{} does not exist", path.display());
        }
        let this = current_exe().context("cannot find the path of this program")?;
        let tandem = options.server.clone().unwrap_or_else(|| this.with_file_name("tandem"));
        let missing = || {
            format!("no tandem at {}: run `cargo build --release --workspace`, or give --server PATH", tandem.display())
        };
        let tandem = tandem.canonicalize().with_context(missing)?;
        let folder = tempfile::tempdir()?;
        // PostgreSQL runs as another user and keeps its data in here.
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))?;
        Ok(Self { options, peers, nodes, drain, tandem, this, folder: Arc::new(folder) })
    }

    /// Starts the deployment of a scenario, with its worker if it has one, or connects to the one that already runs.
    pub(crate) async fn open(options: &'a DeploymentOptions, nodes: u32, drain: u32) -> Result<Deployment> {
        if !options.urls.is_empty() {
            return Deployment::running(options.urls.clone(), &options.pids, options.peer);
        }
        let nodes = options.nodes.unwrap_or(nodes);
        let launcher = Self::new(&options.servers, &options.peers, nodes, drain)?;
        let mut deployment = launcher.start(options.kind(nodes), "scenario").await?;
        deployment.start_worker().await?;
        Ok(deployment)
    }

    /// Starts servers of a kind; `purpose` names the folder of their data.
    pub(crate) async fn start(&self, kind: Kind, purpose: &str) -> Result<Deployment> {
        let folder = self.folder.path().join(format!("{}-{purpose}", kind.name()));
        std::fs::create_dir_all(&folder)?;
        let deployment = match kind {
            Kind::Cluster | Kind::ClusterResume => {
                let (ledger, masters) = (self.options.ledger, self.options.redis_masters);
                let settings = self.settings(&folder);
                Deployment::cluster(&self.tandem, self.nodes, ledger == Ledger::Postgres, masters, settings, &folder)
                    .await?
            }
            Kind::Tandem => {
                let node = tandem(&self.tandem, "serve", self.settings(&folder), &folder).await?;
                Deployment::of(vec![node], "/ws", None)?
            }
            Kind::Relay => {
                let arguments = ["relay", "--threads", &self.options.threads().to_string()].map(str::to_owned).to_vec();
                let node = logging("relay", &self.this, arguments, Vec::new(), &folder).await?;
                Deployment::of(vec![node], "/ws", None)?
            }
            Kind::SocketIo => self.start_socketio(&folder).await?,
            Kind::Centrifugo | Kind::CentrifugoHistory => {
                self.start_centrifugo(kind == Kind::CentrifugoHistory, &folder).await?
            }
        };
        Ok(deployment.keeping(kind.peer(), Arc::clone(&self.folder)))
    }

    async fn start_socketio(&self, folder: &Path) -> Result<Deployment> {
        let home = self.peers.socketio.as_ref().context("--socketio names the folder of its server")?.canonicalize()?;
        let program = find("node", &[]).context("node is missing: install Node.js 20 or later")?;
        ensure!(home.join("node_modules/socket.io").is_dir(), "run `npm ci` in {} first", home.display());
        let script = home.join("server.js").to_string_lossy().into_owned();
        let redis = Redis::start(folder, None).await?;
        let settings = [("REDIS_URL", redis.url()), ("PORT", "0".to_owned()), ("NODE_ENV", "production".to_owned())];
        let settings = settings.map(|(key, value)| (key.to_owned(), value)).to_vec();
        let mut nodes = Vec::new();
        for _ in 0..self.nodes {
            nodes.push(logging("socket.io", &program, vec![script.clone()], settings.clone(), folder).await?);
        }
        Deployment::of(nodes, "/ws", Some(redis))
    }

    async fn start_centrifugo(&self, history: bool, folder: &Path) -> Result<Deployment> {
        let program = self.peers.centrifugo.as_ref().context("--centrifugo names its program")?.canonicalize()?;
        let redis = if self.nodes > 1 { Some(Redis::start(folder, None).await?) } else { None };
        let mut nodes = Vec::new();
        for _ in 0..self.nodes {
            let port = free_port()?;
            let spec = Spec {
                name: "centrifugo",
                program: &program,
                arguments: Vec::new(),
                settings: centrifugo_settings(port, redis.as_ref(), history),
                folder,
                user: None,
                stop: Signal::TERM,
                ready: Ready::Port(port),
            };
            nodes.push(Server::start(spec).await?);
        }
        Deployment::of(nodes, "/connection/websocket", redis)
    }

    fn settings(&self, folder: &Path) -> Vec<(String, String)> {
        let own = [
            ("HOST", "127.0.0.1".to_owned()),
            ("PORT", "0".to_owned()),
            ("LOG_FORMAT", "json".to_owned()),
            ("LOG_LEVEL", "info".to_owned()),
            ("DRAIN_SECONDS", self.drain.to_string()),
            ("WORKER_THREADS", self.options.threads().to_string()),
            ("TANDEM_DATA_DIR", folder.join("data").to_string_lossy().into_owned()),
        ];
        let own = own.into_iter().map(|(key, value)| (key.to_owned(), value));
        own.chain(self.options.settings.iter().cloned()).collect()
    }
}

/// Starts a process of tandem: a node or a worker.
pub(super) async fn tandem(
    program: &Path,
    subcommand: &'static str,
    settings: Vec<(String, String)>,
    folder: &Path,
) -> Result<Server> {
    logging(subcommand, program, vec![subcommand.to_owned()], settings, folder).await
}

/// Starts a server that logs its address.
async fn logging(
    name: &'static str,
    program: &Path,
    arguments: Vec<String>,
    settings: Vec<(String, String)>,
    folder: &Path,
) -> Result<Server> {
    let (stop, ready) = (Signal::TERM, Ready::LogLine);
    Server::start(Spec { name, program, arguments, settings, folder, user: None, stop, ready }).await
}

/// Settings of Centrifugo 6: anybody may connect, subscribe and publish, and the members of a channel hear who joins it.
fn centrifugo_settings(port: u16, redis: Option<&Redis>, history: bool) -> Vec<(String, String)> {
    let channel = |name: &str, value: &str| (format!("CHANNEL_WITHOUT_NAMESPACE_{name}"), value.to_owned());
    let mut all = vec![
        ("HTTP_SERVER_ADDRESS".to_owned(), "127.0.0.1".to_owned()),
        ("HTTP_SERVER_PORT".to_owned(), port.to_string()),
        ("CLIENT_INSECURE".to_owned(), "true".to_owned()),
        ("LOG_LEVEL".to_owned(), "warn".to_owned()),
    ];
    all.extend(
        [
            "ALLOW_SUBSCRIBE_FOR_CLIENT",
            "ALLOW_PUBLISH_FOR_CLIENT",
            "ALLOW_PUBLISH_FOR_SUBSCRIBER",
            "JOIN_LEAVE",
            "FORCE_PUSH_JOIN_LEAVE",
        ]
        .map(|name| channel(name, "true")),
    );
    if let Some(redis) = redis {
        all.push(("ENGINE_TYPE".to_owned(), "redis".to_owned()));
        all.push(("ENGINE_REDIS_ADDRESS".to_owned(), redis.url()));
    }
    if history {
        // As long as tandem keeps the history of a room.
        all.extend([
            channel("HISTORY_SIZE", "1000"),
            channel("HISTORY_TTL", "120s"),
            channel("FORCE_RECOVERY", "true"),
        ]);
    }
    all.into_iter().map(|(key, value)| (format!("CENTRIFUGO_{key}"), value)).collect()
}

pub(super) fn targets(nodes: &[Server], path: &str) -> Result<Vec<Target>> {
    nodes.iter().map(|node| Target::new(node.address(), path)).collect()
}
