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
    Deployment, DeploymentOptions, Kind, PeerOptions, Redis, ServerOptions,
    deployment::Tandem,
    process::{Server, command, find, free_port},
};
use crate::progress::step;

#[derive(Debug)]
pub(crate) struct Launcher<'a> {
    options: &'a ServerOptions,
    peers: &'a PeerOptions,
    /// Nodes of each cluster.
    nodes: u32,
    tandem: PathBuf,
    this: PathBuf,
    folder: Arc<TempDir>,
}

impl<'a> Launcher<'a> {
    pub(crate) fn new(options: &'a ServerOptions, peers: &'a PeerOptions, nodes: u32) -> Result<Self> {
        for path in [&peers.socketio, &peers.centrifugo].into_iter().flatten() {
            ensure!(path.exists(), "{} does not exist", path.display());
        }
        let this = current_exe().context("cannot find the path of this program")?;
        let tandem = options.server.clone().unwrap_or_else(|| this.with_file_name("tandem"));
        let missing = || {
            format!("no tandem at {}: run `cargo build --release --workspace`, or give --server PATH", tandem.display())
        };
        let tandem = tandem.canonicalize().with_context(missing)?;
        let folder = tempfile::Builder::new().disable_cleanup(options.keep).tempdir()?;
        if options.keep {
            step(&format!("data and logs of the servers are kept in {}", folder.path().display()));
        }
        // PostgreSQL runs as another user and keeps its data in here.
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))?;
        Ok(Self { options, peers, nodes, tandem, this, folder: Arc::new(folder) })
    }

    /// Starts the deployment of a scenario, with its worker if it has one.
    pub(crate) async fn open(options: &'a DeploymentOptions) -> Result<Deployment> {
        let launcher = Self::new(&options.servers, &options.peers, options.nodes)?;
        let mut deployment = launcher.start(options.kind(), "scenario").await?;
        deployment.start_worker().await?;
        Ok(deployment)
    }

    /// Starts servers of a kind; `purpose` names the folder of their data.
    pub(crate) async fn start(&self, kind: Kind, purpose: &str) -> Result<Deployment> {
        let folder = self.folder.path().join(format!("{}-{purpose}", kind.name()));
        std::fs::create_dir_all(&folder)?;
        let all = Arc::clone(&self.folder);
        let (nodes, redis) = match kind {
            Kind::Cluster | Kind::ClusterResume => {
                let Self { options, nodes, .. } = self;
                return Deployment::cluster(self.tandem(folder), *nodes, (options.ledger, options.redis), all).await;
            }
            Kind::Tandem => return Deployment::single(self.tandem(folder), all).await,
            Kind::Relay | Kind::Floor => (vec![self.start_relay(kind, &folder).await?], None),
            Kind::SocketIo => self.start_socketio(&folder).await?,
            Kind::Centrifugo => self.start_centrifugo(false, &folder).await?,
            Kind::CentrifugoHistory => self.start_centrifugo(true, &folder).await?,
        };
        Ok(Deployment::new(kind.peer(), nodes, redis, all))
    }

    async fn start_relay(&self, kind: Kind, folder: &Path) -> Result<Server> {
        let (port, threads) = (free_port()?, self.options.threads());
        let mut relay = command(&self.this, None, Signal::TERM);
        relay.args([kind.name(), "--port", &port.to_string(), "--threads", &threads.to_string()]);
        Server::start(kind.name(), relay, folder, port, Signal::TERM).await
    }

    async fn start_socketio(&self, folder: &Path) -> Result<(Vec<Server>, Option<Redis>)> {
        let home = self.peers.socketio.as_ref().context("--socketio names the folder of its server")?.canonicalize()?;
        let program = find("node", &[]).context("node is missing: install Node.js 20 or later")?;
        ensure!(home.join("node_modules/socket.io").is_dir(), "run `npm ci` in {} first", home.display());
        let script = home.join("server.js");
        let redis = Redis::start(folder).await?;
        let mut nodes = Vec::new();
        for _ in 0..self.nodes {
            let port = free_port()?;
            let mut node = command(&program, None, Signal::TERM);
            node.arg(&script).envs([("REDIS_URL", redis.url()), ("PORT", port.to_string())]);
            node.env("NODE_ENV", "production");
            nodes.push(Server::start("socket.io", node, folder, port, Signal::TERM).await?);
        }
        Ok((nodes, Some(redis)))
    }

    async fn start_centrifugo(&self, history: bool, folder: &Path) -> Result<(Vec<Server>, Option<Redis>)> {
        let program = self.peers.centrifugo.as_ref().context("--centrifugo names its program")?.canonicalize()?;
        let redis = if self.nodes > 1 { Some(Redis::start(folder).await?) } else { None };
        let mut nodes = Vec::new();
        for _ in 0..self.nodes {
            let port = free_port()?;
            let mut node = command(&program, None, Signal::TERM);
            node.envs(centrifugo_settings(port, redis.as_ref(), history));
            nodes.push(Server::start("centrifugo", node, folder, port, Signal::TERM).await?);
        }
        Ok((nodes, redis))
    }

    fn tandem(&self, folder: PathBuf) -> Tandem {
        let own = [
            ("HOST", "127.0.0.1".to_owned()),
            ("LOG_FORMAT", "json".to_owned()),
            ("LOG_LEVEL", "info".to_owned()),
            // By the time that it stops, nothing is measured any more.
            ("DRAIN_SECONDS", "1".to_owned()),
            ("WORKER_THREADS", self.options.threads().to_string()),
            ("TANDEM_DATA_DIR", folder.join("data").to_string_lossy().into_owned()),
        ];
        let own = own.into_iter().map(|(key, value)| (key.to_owned(), value));
        let settings = own.chain(self.options.settings.iter().cloned()).collect();
        Tandem { program: self.tandem.clone(), settings, folder }
    }
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
