use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use tokio::{net::TcpStream, time::sleep};

use crate::{
    backing::{Daemon, Redis, free_port, tethered},
    meter::Meter,
    target::Target,
};

/// How long a node may take to listen.
const START: Duration = Duration::from_secs(20);

/// Between two looks whether it does.
const LOOK: Duration = Duration::from_millis(20);

/// Its nodes, as long as this value lives.
#[derive(Debug)]
pub(crate) struct Nodes {
    nodes: Vec<(Daemon, Target)>,
    redis: Redis,
}

impl Nodes {
    /// Starts `count` nodes of `program`, with settings as version 6 calls them.
    pub(crate) async fn start(program: &Path, count: u32, folder: &Path) -> Result<Self> {
        let program = program.canonicalize().with_context(|| format!("there is no {}", program.display()))?;
        let redis = Redis::start(folder).await?;
        let mut nodes = Vec::new();
        for number in 0..count {
            let port = free_port()?;
            let mut command = tethered(&program, None, "TERM");
            command.env_clear().envs(settings(port, &redis)).current_dir(folder);
            let log = folder.join(format!("centrifugo-{number}.log"));
            let mut daemon = Daemon::start("centrifugo", command, &log, Signal::TERM)?;
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            let begun = Instant::now();
            while TcpStream::connect(address).await.is_err() {
                daemon.check().with_context(|| std::fs::read_to_string(&log).unwrap_or_default())?;
                if begun.elapsed() > START {
                    bail!("centrifugo did not listen within {START:?}");
                }
                sleep(LOOK).await;
            }
            nodes.push((daemon, Target::new(address, "/connection/websocket")?));
        }
        Ok(Self { nodes, redis })
    }

    /// Where the nodes listen.
    pub(crate) fn targets(&self) -> Vec<Target> {
        self.nodes.iter().map(|(_, target)| target.clone()).collect()
    }

    /// The CPU of each part.
    pub(crate) fn meters(&self) -> Vec<Meter> {
        let nodes = self.nodes.iter().map(|(daemon, _)| daemon.probe());
        vec![Meter::new("nodes", nodes), Meter::new("Redis", self.redis.probes())]
    }

    /// Ends everything.
    pub(crate) async fn stop(self) -> Result<()> {
        for (daemon, _) in self.nodes {
            daemon.stop().await?;
        }
        self.redis.stop().await
    }
}

/// Anybody may connect, subscribe and publish, and those in a channel are told who joins it.
fn settings(port: u16, redis: &Redis) -> Vec<(String, String)> {
    let channels = [
        "ALLOW_SUBSCRIBE_FOR_CLIENT",
        "ALLOW_PUBLISH_FOR_CLIENT",
        "ALLOW_PUBLISH_FOR_SUBSCRIBER",
        "JOIN_LEAVE",
        "FORCE_PUSH_JOIN_LEAVE",
    ];
    let channels = channels.map(|name| (format!("CENTRIFUGO_CHANNEL_WITHOUT_NAMESPACE_{name}"), "true".to_owned()));
    let own = [
        ("CENTRIFUGO_HTTP_SERVER_ADDRESS", "127.0.0.1".to_owned()),
        ("CENTRIFUGO_HTTP_SERVER_PORT", port.to_string()),
        ("CENTRIFUGO_CLIENT_INSECURE", "true".to_owned()),
        ("CENTRIFUGO_ENGINE_TYPE", "redis".to_owned()),
        ("CENTRIFUGO_ENGINE_REDIS_ADDRESS", redis.url()),
        ("CENTRIFUGO_LOG_LEVEL", "warn".to_owned()),
    ];
    own.map(|(key, value)| (key.to_owned(), value)).into_iter().chain(channels).collect()
}
