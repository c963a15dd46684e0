use std::time::Duration;

use redis::{
    AsyncConnectionConfig, Client, ConnectionInfo, ProtocolVersion, PushInfo, RedisError,
    cluster::ClusterClientBuilder, sentinel::SentinelClient,
};
use tokio::sync::Mutex;

use super::{
    connection::RedisConnection,
    servers::{certificates, database, is_tls, no_server, seeds, sentinel},
};
use crate::config::{RedisConfig, RedisMode};

/// Maximum number of commands in flight on one connection. The default of the crate, 50, delays a busy node.
const PIPELINE: usize = 1_024;

/// Why no connection can be opened.
#[derive(Debug, thiserror::Error)]
pub enum ConnectorError {
    /// A setting names no server.
    #[error("REDIS_URL {0}; expected redis://[user:password@]host[:port][/db], or rediss:// for TLS")]
    Url(RedisError),
    /// A Redis Cluster has no databases.
    #[error(
        "REDIS_DB {0}: a Redis Cluster has only database 0 (REDIS_MODE=cluster); REDIS_PREFIX keeps deployments apart there"
    )]
    NoDatabase(i64),
    /// Two settings name different databases.
    #[error("REDIS_URL names database {0} and another of its servers, or REDIS_DB, names database {1}: name one")]
    Databases(i64, i64),
    /// The file of certificate authorities cannot be read.
    #[error("REDIS_CA_FILE {0}")]
    Ca(std::io::Error),
    /// Redis or the client library returned an error.
    #[error("{0}")]
    Redis(#[from] RedisError),
}

/// Opens connections, to a single server, a Sentinel group or a Redis Cluster.
pub struct Connector {
    servers: Servers,
    timeout: Duration,
    /// Hosts and ports, for messages.
    at: String,
    db: i64,
}

enum Servers {
    Standalone(Client),
    /// Asked for each connection, because the master may have changed.
    Sentinel(Mutex<SentinelClient>),
    Cluster {
        seeds: Vec<ConnectionInfo>,
        ca: Option<Vec<u8>>,
    },
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector").finish_non_exhaustive()
    }
}

impl Connector {
    /// Reads the settings. Nothing is connected yet.
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
                let Some(seed) = seeds.into_iter().next() else { return Err(no_server()) };
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

    /// The hosts and ports of the servers that are tried first.
    pub fn at(&self) -> &str {
        &self.at
    }

    /// The number of the database.
    pub fn db(&self) -> i64 {
        self.db
    }

    /// Opens a connection, within the deadline of the settings. Pushes (messages of channels, and the end of the connection) are passed to
    /// `on_push` by the task of the connection, in their order, and before any reply that came after them.
    pub async fn connect(
        &self,
        on_push: impl Fn(PushInfo) + Send + Sync + 'static,
    ) -> Result<RedisConnection, RedisError> {
        let on_push = move |push| -> Result<(), std::convert::Infallible> {
            on_push(push);
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
                let config = config().set_push_sender(on_push);
                client.get_multiplexed_async_connection_with_config(&config).await.map(RedisConnection::Single)
            }
            Servers::Sentinel(client) => {
                let config = config().set_push_sender(on_push);
                client.lock().await.get_async_connection_with_config(&config).await.map(RedisConnection::Single)
            }
            Servers::Cluster { seeds, ca } => {
                let mut builder = ClusterClientBuilder::new(seeds.clone())
                    .use_protocol(ProtocolVersion::RESP3)
                    .connection_timeout(self.timeout)
                    .response_timeout(self.timeout)
                    .overall_response_timeout(Some(self.timeout))
                    .retries(3)
                    .push_sender(on_push);
                if let Some(ca) = ca {
                    builder = builder.certs(certificates(ca.clone()));
                }
                builder.build()?.get_async_connection().await.map(RedisConnection::Cluster)
            }
        }
    }
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
