use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};

use super::parse;

/// Where the state is that nodes share. With none of it a node keeps its rooms to itself.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Redis")]
#[allow(rustdoc::broken_intra_doc_links, reason = "the brackets of a URL are no links")]
pub struct RedisConfig {
    /// Redis 7 or later, as redis://[user:password@]host[:port][/db] or rediss://...; several, comma-separated, for Sentinel and Cluster.
    /// With it a node is one of a cluster
    #[arg(long = "redis-url", env = "REDIS_URL", value_delimiter = ',', hide_env_values = true)]
    pub redis_url: Vec<String>,
    /// Host of Redis, where REDIS_URL is not given
    #[arg(long = "redis-host", env = "REDIS_HOST")]
    pub redis_host: Option<String>,
    /// Its port
    #[arg(long = "redis-port", env = "REDIS_PORT", default_value_t = 6379)]
    pub redis_port: u16,
    /// User of Redis' ACL
    #[arg(long = "redis-username", env = "REDIS_USERNAME")]
    pub redis_username: Option<String>,
    /// Its password; also for servers of REDIS_URL that have none
    #[arg(long = "redis-password", env = "REDIS_PASSWORD", hide_env_values = true)]
    pub redis_password: Option<String>,
    /// Number of the database; deployments may be apart by it alone. Redis Cluster has only 0
    #[arg(long = "redis-db", env = "REDIS_DB", default_value_t = 0)]
    pub redis_db: u16,
    /// What REDIS_URL leads to
    #[arg(long = "redis-mode", env = "REDIS_MODE", default_value = "standalone")]
    pub redis_mode: RedisMode,
    /// The name of the master that Sentinels watch
    #[arg(long = "redis-master", env = "REDIS_MASTER", default_value = "mymaster")]
    pub redis_master: String,
    /// User of the Sentinels' own ACL
    #[arg(long = "redis-sentinel-username", env = "REDIS_SENTINEL_USERNAME")]
    pub redis_sentinel_username: Option<String>,
    /// The password that the Sentinels themselves ask for; that of Redis is REDIS_PASSWORD
    #[arg(long = "redis-sentinel-password", env = "REDIS_SENTINEL_PASSWORD", hide_env_values = true)]
    pub redis_sentinel_password: Option<String>,
    /// PEM file of certificate authorities for rediss://; those of the system if not given
    #[arg(long = "redis-ca-file", env = "REDIS_CA_FILE")]
    pub redis_ca_file: Option<PathBuf>,
    /// What all keys begin with, so that deployments can share a server
    #[arg(long = "redis-prefix", env = "REDIS_PREFIX", default_value = "tandem:", value_parser = prefix)]
    pub redis_prefix: String,
    /// Into how many parts rooms are divided: the most shards of Redis Cluster that can be used. Fixed once a deployment has begun
    #[arg(long = "redis-partitions", env = "REDIS_PARTITIONS", default_value = "16", value_parser = partitions)]
    pub redis_partitions: u16,
    /// Connections to each server; more let a node with many cores read more
    #[arg(long = "redis-connections", env = "REDIS_CONNECTIONS", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub redis_connections: u16,
    /// How long Redis may take to answer, in seconds
    #[arg(long = "redis-timeout-seconds", env = "REDIS_TIMEOUT_SECONDS", default_value = "2", value_parser = parse::some_seconds)]
    pub redis_timeout: Duration,
    /// How often a node sees whether it still hears what it tells itself through Redis, in seconds; 0 never, and then a link that has gone
    /// deaf stays so
    #[arg(long = "redis-probe-seconds", env = "REDIS_PROBE_SECONDS", default_value = "1", value_parser = parse::seconds)]
    pub redis_probe: Duration,
    /// A node that has not been heard of for this long is dead, and others give up its members' seats, in seconds
    #[arg(long = "lease-seconds", env = "LEASE_SECONDS", default_value = "10", value_parser = parse::some_seconds)]
    pub lease: Duration,
    /// Most ledger entries that may wait in a partition for the worker; beyond it changes are refused, not forgotten
    #[arg(long = "ledger-stream-max", env = "LEDGER_STREAM_MAX", default_value = "1000000", value_parser = parse::count)]
    pub ledger_stream_max: usize,
    /// Most bytes that ledger entries may take of the memory of each server of Redis [default: a quarter of its maxmemory, or 67108864 where
    /// it has none or does not tell]; beyond it changes are refused, not forgotten
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

/// What is between braces decides where Redis Cluster keeps a key.
fn prefix(text: &str) -> Result<String, String> {
    if text.len() > 128 || text.contains(['{', '}']) || text.contains(|c: char| c.is_control() || c.is_whitespace()) {
        return Err("expected at most 128 bytes without blanks and braces".to_owned());
    }
    Ok(text.to_owned())
}

/// Less would be taken by streams that are empty.
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
    /// Whether there is any.
    pub fn is_given(&self) -> bool {
        self.redis_host.is_some() || self.redis_url.iter().any(|url| !url.trim().is_empty())
    }
}
