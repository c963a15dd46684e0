use std::time::Duration;

use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, Cmd, ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _,
    Pipeline, ProtocolVersion, PushInfo, RedisError, RedisFuture, TlsCertificates, Value,
    aio::{ConnectionLike, MultiplexedConnection},
    cluster::ClusterClientBuilder,
    cluster_async::ClusterConnection,
    sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType},
};
use tokio::sync::Mutex;

use crate::config::{RedisConfig, RedisMode};

/// Commands that may be on their way on one connection before a further one waits. The crate's 50 keeps a busy node waiting.
const PIPELINE: usize = 1_024;

/// Why shared state cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum ConnectorError {
    /// A setting leads nowhere.
    #[error("REDIS_URL {0}; expected redis://[user:password@]host[:port][/db], or rediss:// for TLS")]
    Url(RedisError),
    /// A Redis Cluster has no databases.
    #[error(
        "REDIS_DB {0}: a Redis Cluster has only database 0 (REDIS_MODE=cluster); REDIS_PREFIX keeps deployments apart there"
    )]
    NoDatabase(i64),
    /// Two settings name two databases.
    #[error("REDIS_URL names database {0} and another of its servers, or REDIS_DB, names database {1}: name one")]
    Databases(i64, i64),
    /// The file of certificate authorities cannot be read.
    #[error("REDIS_CA_FILE {0}")]
    Ca(std::io::Error),
    /// Redis says so.
    #[error("{0}")]
    Redis(#[from] RedisError),
}

/// Opens connections, whatever shape the deployment of Redis has.
pub struct Connector {
    servers: Servers,
    timeout: Duration,
    /// Hosts and ports, for people.
    at: String,
    db: i64,
}

enum Servers {
    Standalone(Client),
    /// Asked anew with each connection: the master may be another one by then.
    Sentinel(Mutex<SentinelClient>),
    Cluster {
        seeds: Vec<ConnectionInfo>,
        ca: Option<Vec<u8>>,
    },
}

/// A connection. Cheap to clone: clones share the socket.
#[derive(Clone)]
pub enum Wire {
    /// To one server.
    Single(MultiplexedConnection),
    /// To every node of a Redis Cluster.
    Cluster(ClusterConnection),
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Wire(..)")
    }
}

impl Connector {
    /// Reads the settings; connects to nothing yet.
    pub fn new(config: &RedisConfig) -> Result<Self, ConnectorError> {
        let seeds = seeds(config)?;
        let db = database(config, &seeds)?;
        let at = seeds.iter().map(|seed| seed.addr().to_string()).collect::<Vec<_>>().join(", ");
        let ca = match &config.redis_ca_file {
            Some(path) => Some(std::fs::read(path).map_err(ConnectorError::Ca)?),
            None => None,
        };
        let servers = match config.redis_mode {
            RedisMode::Standalone => {
                let Some(seed) = seeds.into_iter().next() else { return Err(nowhere()) };
                Servers::Standalone(match (ca, is_tls(&seed)) {
                    (Some(ca), true) => Client::build_with_tls(seed, certificates(ca)).map_err(ConnectorError::Url)?,
                    _ => Client::open(seed).map_err(ConnectorError::Url)?,
                })
            }
            RedisMode::Sentinel => Servers::Sentinel(Mutex::new(sentinel(config, &seeds, ca)?)),
            RedisMode::Cluster => Servers::Cluster { seeds, ca },
        };
        Ok(Self { servers, timeout: config.redis_timeout, at, db })
    }

    /// Which servers are asked first: hosts and ports.
    pub fn at(&self) -> &str {
        &self.at
    }

    /// The number of the database.
    pub fn db(&self) -> i64 {
        self.db
    }

    /// A new connection, within the deadline of the settings. What Redis says unasked (messages of channels, and that the connection
    /// is gone) goes to `hear`, on the connection's own task and in the order in which it came: before any reply that came after it.
    pub async fn connect(&self, hear: impl Fn(PushInfo) + Send + Sync + 'static) -> Result<Wire, RedisError> {
        let hear = move |push| -> Result<(), std::convert::Infallible> {
            hear(push);
            Ok(())
        };
        let config = || {
            AsyncConnectionConfig::new()
                .set_connection_timeout(Some(self.timeout))
                .set_response_timeout(Some(self.timeout))
                .set_pipeline_buffer_size(PIPELINE)
        };
        match &self.servers {
            Servers::Standalone(client) => {
                let config = config().set_push_sender(hear);
                client.get_multiplexed_async_connection_with_config(&config).await.map(Wire::Single)
            }
            Servers::Sentinel(client) => {
                let config = config().set_push_sender(hear);
                client.lock().await.get_async_connection_with_config(&config).await.map(Wire::Single)
            }
            Servers::Cluster { seeds, ca } => {
                let mut builder = ClusterClientBuilder::new(seeds.clone())
                    .use_protocol(ProtocolVersion::RESP3)
                    .connection_timeout(self.timeout)
                    .response_timeout(self.timeout)
                    .overall_response_timeout(Some(self.timeout))
                    .retries(3)
                    .push_sender(hear);
                if let Some(ca) = ca {
                    builder = builder.certs(certificates(ca.clone()));
                }
                builder.build()?.get_async_connection().await.map(Wire::Cluster)
            }
        }
    }
}

impl Wire {
    /// Listens to channels of one partition.
    pub async fn listen(&mut self, channels: &[String]) -> Result<(), RedisError> {
        match self {
            Self::Single(wire) => redis::cmd("SSUBSCRIBE").arg(channels).exec_async(wire).await,
            Self::Cluster(wire) => wire.ssubscribe(channels).await,
        }
    }

    /// Listens to a channel no longer.
    pub async fn ignore(&mut self, channel: &str) -> Result<(), RedisError> {
        match self {
            Self::Single(wire) => redis::cmd("SUNSUBSCRIBE").arg(channel).exec_async(wire).await,
            Self::Cluster(wire) => wire.sunsubscribe(channel).await,
        }
    }
}

impl ConnectionLike for Wire {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Single(wire) => wire.req_packed_command(cmd),
            Self::Cluster(wire) => wire.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        commands: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Single(wire) => wire.req_packed_commands(commands, offset, count),
            Self::Cluster(wire) => wire.req_packed_commands(commands, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Single(wire) => wire.get_db(),
            Self::Cluster(wire) => wire.get_db(),
        }
    }
}

fn nowhere() -> ConnectorError {
    ConnectorError::Url((redis::ErrorKind::InvalidClientConfig, "names no server").into())
}

fn is_tls(info: &ConnectionInfo) -> bool {
    matches!(info.addr(), ConnectionAddr::TcpTls { .. })
}

fn certificates(ca: Vec<u8>) -> TlsCertificates {
    TlsCertificates { client_tls: None::<ClientTlsConfig>, root_cert: Some(ca) }
}

/// The servers of the settings, with what the settings say of all of them.
fn seeds(config: &RedisConfig) -> Result<Vec<ConnectionInfo>, ConnectorError> {
    let mut urls: Vec<String> = config.redis_url.iter().map(|url| url.trim().to_owned()).collect();
    urls.retain(|url| !url.is_empty());
    if let (true, Some(host)) = (urls.is_empty(), &config.redis_host) {
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        urls.push(format!("redis://{host}:{}", config.redis_port));
    }
    urls.into_iter()
        .map(|url| {
            let info = url.into_connection_info().map_err(ConnectorError::Url)?;
            let mut settings =
                info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3).set_skip_set_lib_name();
            if let (None, Some(password)) = (settings.password(), &config.redis_password) {
                settings = settings.set_password(password);
            }
            if let (None, Some(username)) = (settings.username(), &config.redis_username) {
                settings = settings.set_username(username);
            }
            if settings.db() == 0 {
                settings = settings.set_db(config.redis_db.into());
            }
            Ok(info.set_redis_settings(settings))
        })
        .collect()
}

/// The one database that the settings name.
fn database(config: &RedisConfig, seeds: &[ConnectionInfo]) -> Result<i64, ConnectorError> {
    let first = seeds.first().map_or(0, |seed| seed.redis_settings().db());
    let others = seeds.iter().map(|seed| seed.redis_settings().db()).chain([config.redis_db.into()]);
    if let Some(other) = others.into_iter().find(|other| *other != first && (*other != 0 || first == 0)) {
        return Err(ConnectorError::Databases(first, other));
    }
    if first != 0 && config.redis_mode == RedisMode::Cluster {
        return Err(ConnectorError::NoDatabase(first));
    }
    Ok(first)
}

fn sentinel(
    config: &RedisConfig,
    seeds: &[ConnectionInfo],
    ca: Option<Vec<u8>>,
) -> Result<SentinelClient, ConnectorError> {
    let Some(first) = seeds.first() else { return Err(nowhere()) };
    let (tls, settings) = (is_tls(first), first.redis_settings().clone());
    let addresses = seeds.iter().map(|seed| seed.addr().clone());
    let mut builder = SentinelClientBuilder::new(addresses, &config.redis_master, SentinelServerType::Master)
        .map_err(ConnectorError::Url)?
        .set_client_to_redis_protocol(ProtocolVersion::RESP3)
        .set_client_to_sentinel_protocol(ProtocolVersion::RESP3)
        .set_client_to_redis_db(settings.db());
    if let Some(username) = &config.redis_sentinel_username {
        builder = builder.set_client_to_sentinel_username(username);
    }
    if let Some(password) = &config.redis_sentinel_password {
        builder = builder.set_client_to_sentinel_password(password);
    }
    if let Some(username) = settings.username() {
        builder = builder.set_client_to_redis_username(username);
    }
    if let Some(password) = settings.password() {
        builder = builder.set_client_to_redis_password(password);
    }
    if tls {
        builder = builder.set_client_to_redis_tls_mode(redis::TlsMode::Secure);
        if let Some(ca) = ca {
            builder = builder
                .set_client_to_redis_certificates(certificates(ca.clone()))
                .set_client_to_sentinel_certificates(certificates(ca));
        }
    }
    builder.build().map_err(ConnectorError::Url)
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, FromArgMatches as _};

    use super::*;

    fn connector(args: &[&str]) -> Result<Connector, ConnectorError> {
        let command = RedisConfig::augment_args(clap::Command::new("x"));
        let matches = command.get_matches_from(["x"].iter().chain(args));
        Connector::new(&RedisConfig::from_arg_matches(&matches).unwrap())
    }

    #[test]
    fn there_is_one_database_and_none_in_a_cluster() {
        for (url, more, db) in [
            ("redis://a", &[][..], 0),
            ("redis://a/3", &[], 3),
            ("redis://a", &["--redis-db", "3"], 3),
            ("redis://a/3", &["--redis-db", "3"], 3),
            ("redis://a,redis://b", &["--redis-db", "2", "--redis-mode", "sentinel"], 2),
            ("redis://a,redis://b", &["--redis-mode", "cluster"], 0),
        ] {
            let args = [&["--redis-url", url], more].concat();
            assert_eq!(connector(&args).unwrap().db(), db, "{args:?}");
        }
        for (url, more, why) in [
            ("redis://a/3", &["--redis-db", "4"][..], "names database 3"),
            ("redis://a/3,redis://b/4", &["--redis-mode", "sentinel"], "names database 3"),
            ("redis://a,redis://b/4", &["--redis-mode", "sentinel"], "names database 0"),
            ("redis://a", &["--redis-mode", "cluster", "--redis-db", "1"], "REDIS_DB 1: a Redis Cluster has only"),
            ("redis://a/1", &["--redis-mode", "cluster"], "REDIS_DB 1: a Redis Cluster has only"),
        ] {
            let args = [&["--redis-url", url], more].concat();
            let error = connector(&args).unwrap_err().to_string();
            assert!(error.contains(why), "{args:?}: {error}");
        }
    }
}
