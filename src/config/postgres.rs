use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};

use super::parse;

/// The ledger's database in a cluster.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "PostgreSQL")]
#[allow(rustdoc::broken_intra_doc_links, reason = "the brackets of a URL are no links")]
pub struct PostgresConfig {
    /// PostgreSQL 15 or later, as postgres://user:password@host[:port]/database[?sslmode=require], or as host=... user=... sslmode=...
    #[arg(long = "database-url", env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<String>,
    /// Host of PostgreSQL, where DATABASE_URL is not given
    #[arg(long = "postgres-host", env = "POSTGRES_HOST")]
    pub postgres_host: Option<String>,
    /// Its port
    #[arg(long = "postgres-port", env = "POSTGRES_PORT", default_value_t = 5432)]
    pub postgres_port: u16,
    /// User
    #[arg(long = "postgres-user", env = "POSTGRES_USER", default_value = "tandem")]
    pub postgres_user: String,
    /// Its password
    #[arg(long = "postgres-password", env = "POSTGRES_PASSWORD", hide_env_values = true)]
    pub postgres_password: Option<String>,
    /// Database
    #[arg(long = "postgres-db", env = "POSTGRES_DB", default_value = "tandem")]
    pub postgres_db: String,
    /// Whether TLS is spoken [default: prefer]; sslmode= in DATABASE_URL wins. Only verify-full (or a POSTGRES_CA_FILE) checks who the server is
    #[arg(long = "postgres-sslmode", env = "POSTGRES_SSLMODE")]
    pub postgres_sslmode: Option<PostgresTls>,
    /// The same under libpq's name, where POSTGRES_SSLMODE is not given
    #[arg(long = "pgsslmode", env = "PGSSLMODE")]
    pub pgsslmode: Option<PostgresTls>,
    /// PEM file of certificate authorities; those of the system if not given
    #[arg(long = "postgres-ca-file", env = "POSTGRES_CA_FILE")]
    pub postgres_ca_file: Option<PathBuf>,
    /// Most connections of a process
    #[arg(long = "postgres-pool-size", env = "POSTGRES_POOL_SIZE", default_value = "4", value_parser = parse::count)]
    pub postgres_pool_size: usize,
    /// How long PostgreSQL may take to answer, in seconds; a worker's batch may take ten times as long
    #[arg(long = "postgres-timeout-seconds", env = "POSTGRES_TIMEOUT_SECONDS", default_value = "2", value_parser = parse::some_seconds)]
    pub postgres_timeout: Duration,
}

/// How much TLS is asked of PostgreSQL, in libpq's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PostgresTls {
    /// None.
    Disable,
    /// If the server can.
    #[value(alias = "allow")]
    Prefer,
    /// Or no connection at all.
    Require,
    /// The server also has to be vouched for by an authority.
    VerifyCa,
    /// And to prove that it is the one that was asked for.
    VerifyFull,
}

impl PostgresConfig {
    /// Whether there is any.
    pub fn is_given(&self) -> bool {
        self.database_url.is_some() || self.postgres_host.is_some()
    }

    /// How much TLS is asked for where DATABASE_URL does not say.
    pub fn sslmode(&self) -> PostgresTls {
        self.postgres_sslmode.or(self.pgsslmode).unwrap_or(PostgresTls::Prefer)
    }
}
