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
    /// Host of PostgreSQL, if DATABASE_URL is not given
    #[arg(long = "postgres-host", env = "POSTGRES_HOST")]
    pub postgres_host: Option<String>,
    /// Port of PostgreSQL, if DATABASE_URL is not given
    #[arg(long = "postgres-port", env = "POSTGRES_PORT", default_value_t = 5432)]
    pub postgres_port: u16,
    /// User name in PostgreSQL, if DATABASE_URL is not given
    #[arg(long = "postgres-user", env = "POSTGRES_USER", default_value = "tandem")]
    pub postgres_user: String,
    /// Password in PostgreSQL, if DATABASE_URL is not given
    #[arg(long = "postgres-password", env = "POSTGRES_PASSWORD", hide_env_values = true)]
    pub postgres_password: Option<String>,
    /// Name of the database in PostgreSQL, if DATABASE_URL is not given
    #[arg(long = "postgres-db", env = "POSTGRES_DB", default_value = "tandem")]
    pub postgres_db: String,
    /// Whether connections to PostgreSQL use TLS [default: prefer]; sslmode= in DATABASE_URL takes precedence. Only verify-full (or a POSTGRES_CA_FILE) verifies the name of the server
    #[arg(long = "postgres-sslmode", env = "POSTGRES_SSLMODE")]
    pub postgres_sslmode: Option<PostgresTls>,
    /// As POSTGRES_SSLMODE, under libpq's name, if POSTGRES_SSLMODE is not given
    #[arg(long = "pgsslmode", env = "PGSSLMODE")]
    pub pgsslmode: Option<PostgresTls>,
    /// PEM file of the certificate authorities for PostgreSQL; those of the system if not given
    #[arg(long = "postgres-ca-file", env = "POSTGRES_CA_FILE")]
    pub postgres_ca_file: Option<PathBuf>,
    /// Maximum number of connections to PostgreSQL of each process
    #[arg(long = "postgres-pool-size", env = "POSTGRES_POOL_SIZE", default_value = "4", value_parser = parse::count)]
    pub postgres_pool_size: usize,
    /// How long PostgreSQL may take to answer, in seconds; a worker's batch may take ten times as long
    #[arg(long = "postgres-timeout-seconds", env = "POSTGRES_TIMEOUT_SECONDS", default_value = "2", value_parser = parse::some_seconds)]
    pub postgres_timeout: Duration,
}

/// How TLS is used with PostgreSQL, in libpq's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PostgresTls {
    /// No TLS.
    Disable,
    /// TLS if the server offers it.
    #[value(alias = "allow")]
    Prefer,
    /// TLS, or no connection at all.
    Require,
    /// TLS, with a certificate that an authority has signed.
    VerifyCa,
    /// TLS, with a signed certificate for the name of the server.
    VerifyFull,
}

impl PostgresConfig {
    /// Whether a PostgreSQL is configured.
    pub fn is_given(&self) -> bool {
        self.database_url.is_some() || self.postgres_host.is_some()
    }

    /// The TLS mode where DATABASE_URL has none.
    pub fn sslmode(&self) -> PostgresTls {
        self.postgres_sslmode.or(self.pgsslmode).unwrap_or(PostgresTls::Prefer)
    }
}
