use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};

use super::parse;

/// Where the nodes of a cluster share their state. Without it a node keeps its rooms to itself.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Redis")]
#[allow(rustdoc::broken_intra_doc_links, reason = "the brackets of a URL are no links")]
pub struct RedisConfig {
    /// Redis 7 or later, as redis://[user:password@]host[:port][/db] or rediss://...; several, comma-separated, for Sentinel and Cluster.
    /// With it the node is part of a cluster
    #[arg(long = "redis-url", env = "REDIS_URL", value_delimiter = ',', hide_env_values = true)]
    pub redis_url: Vec<String>,
    /// Host of Redis, if REDIS_URL is not given
    #[arg(long = "redis-host", env = "REDIS_HOST")]
    pub redis_host: Option<String>,
    /// Port of Redis, if REDIS_URL is not given
    #[arg(long = "redis-port", env = "REDIS_PORT", default_value_t = 6379)]
    pub redis_port: u16,
    /// User name in Redis' ACL
    #[arg(long = "redis-username", env = "REDIS_USERNAME")]
    pub redis_username: Option<String>,
    /// Password of Redis; also used for the servers in REDIS_URL that have none
    #[arg(long = "redis-password", env = "REDIS_PASSWORD", hide_env_values = true)]
    pub redis_password: Option<String>,
    /// Number of the database in Redis; deployments may differ by it alone. Redis Cluster has only 0
    #[arg(long = "redis-db", env = "REDIS_DB", default_value_t = 0)]
    pub redis_db: u16,
    /// What REDIS_URL leads to: one server, Sentinels, or nodes of a Redis Cluster
    #[arg(long = "redis-mode", env = "REDIS_MODE", default_value = "standalone")]
    pub redis_mode: RedisMode,
    /// Name of the master that the Sentinels watch
    #[arg(long = "redis-master", env = "REDIS_MASTER", default_value = "mymaster")]
    pub redis_master: String,
    /// User name in the ACL of the Sentinels themselves
    #[arg(long = "redis-sentinel-username", env = "REDIS_SENTINEL_USERNAME")]
    pub redis_sentinel_username: Option<String>,
    /// Password of the Sentinels themselves; that of Redis is REDIS_PASSWORD
    #[arg(long = "redis-sentinel-password", env = "REDIS_SENTINEL_PASSWORD", hide_env_values = true)]
    pub redis_sentinel_password: Option<String>,
    /// PEM file of the certificate authorities for rediss://; those of the system if not given
    #[arg(long = "redis-ca-file", env = "REDIS_CA_FILE")]
    pub redis_ca_file: Option<PathBuf>,
    /// Prefix of all keys in Redis, so that deployments can share a server
    #[arg(long = "redis-prefix", env = "REDIS_PREFIX", default_value = "tandem:", value_parser = prefix)]
    pub redis_prefix: String,
    /// Number of partitions that rooms are divided into, which is also the maximum number of Redis Cluster shards that can be used. It is fixed once a deployment has begun
    #[arg(long = "redis-partitions", env = "REDIS_PARTITIONS", default_value = "16", value_parser = partitions)]
    pub redis_partitions: u16,
    /// Number of connections to each server of Redis; more of them let a node with many cores read more
    #[arg(long = "redis-connections", env = "REDIS_CONNECTIONS", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub redis_connections: u16,
    /// How long Redis may take to answer, in seconds
    #[arg(long = "redis-timeout-seconds", env = "REDIS_TIMEOUT_SECONDS", default_value = "2", value_parser = parse::some_seconds)]
    pub redis_timeout: Duration,
    /// Interval between the probes that a node sends to itself over each connection to Redis, in seconds; 0 turns them off, and then a
    /// connection that no longer delivers messages is not noticed
    #[arg(long = "redis-probe-seconds", env = "REDIS_PROBE_SECONDS", default_value = "1", value_parser = parse::seconds)]
    pub redis_probe: Duration,
    /// How long a node that does not renew its lease counts as alive, in seconds; after that other nodes give up its members' seats
    #[arg(long = "lease-seconds", env = "LEASE_SECONDS", default_value = "10", value_parser = parse::some_seconds)]
    pub lease: Duration,
    /// Maximum number of ledger entries that may wait for the worker in a partition; beyond it changes are refused rather than lost
    #[arg(long = "ledger-stream-max", env = "LEDGER_STREAM_MAX", default_value = "1000000", value_parser = parse::count)]
    pub ledger_stream_max: usize,
    /// Maximum number of bytes that ledger entries may take on each server of Redis [default: a quarter of its maxmemory, or 67108864 where
    /// it has none or does not tell it]; beyond it changes are refused rather than lost
    #[arg(long = "ledger-stream-bytes", env = "LEDGER_STREAM_BYTES", value_parser = stream_bytes)]
    pub ledger_stream_bytes: Option<u64>,
}

/// How a deployment of Redis is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RedisMode {
    /// One server.
    Standalone,
    /// REDIS_URL lists Sentinels, which know the master.
    Sentinel,
    /// REDIS_URL lists some nodes of a Redis Cluster.
    Cluster,
}

/// The part of a key between braces decides on which server a Redis Cluster keeps it, so a prefix must have none.
fn prefix(text: &str) -> Result<String, String> {
    if text.len() > 128 || text.contains(['{', '}']) || text.contains(|c: char| c.is_control() || c.is_whitespace()) {
        return Err("expected at most 128 bytes without blanks and braces".to_owned());
    }
    Ok(text.to_owned())
}

/// The minimum of LEDGER_STREAM_BYTES: empty streams alone take almost as much.
fn stream_bytes(text: &str) -> Result<u64, String> {
    const LEAST: u64 = 1024 * 1024;
    match text.parse() {
        Ok(bytes) if bytes >= LEAST => Ok(bytes),
        _ => Err(format!("expected a number of bytes, at least {LEAST}")),
    }
}

fn partitions(text: &str) -> Result<u16, String> {
    match text.parse::<u16>() {
        Ok(number) if number.is_power_of_two() && number <= 1024 => Ok(number),
        _ => Err("expected a power of two up to 1024".to_owned()),
    }
}

impl RedisConfig {
    /// Whether a Redis is configured.
    pub fn is_given(&self) -> bool {
        self.redis_host.is_some() || self.redis_url.iter().any(|url| !url.trim().is_empty())
    }
}
