use std::{path::PathBuf, time::Duration};

use tokio_postgres::{
    Config,
    config::{Host, SslMode},
};

use super::{
    LedgerError,
    sslmode::{Taken, take},
};
use crate::config::{PostgresConfig, PostgresTls};

/// The port of PostgreSQL, registered with IANA.
const POSTGRES: u16 = 5432;

/// The address of the server, and the TLS settings.
pub(super) struct Server {
    pub(super) config: Config,
    pub(super) tls: Security,
}

/// The TLS mode, and the certificate authorities.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Security {
    pub(super) mode: PostgresTls,
    pub(super) ca_file: Option<PathBuf>,
}

/// Converts the settings for the driver. `patience` is the deadline of a statement.
pub(super) fn server(config: &PostgresConfig, patience: Duration) -> Result<Server, LedgerError> {
    let (mut server, mode, ca_file) = if let Some(url) = &config.database_url {
        let Taken { rest, mode, ca_file } = take(url)?;
        let server =
            rest.parse::<Config>().map_err(|error| LedgerError::Settings(format!("DATABASE_URL: {}", why(&error))))?;
        (server, mode, ca_file)
    } else {
        let mut server = Config::new();
        let host = config.postgres_host.as_deref().ok_or_else(|| nowhere("DATABASE_URL or POSTGRES_HOST is needed"))?;
        server.host(host).port(config.postgres_port);
        (server, None, None)
    };
    if server.get_hosts().is_empty() && server.get_hostaddrs().is_empty() {
        return Err(nowhere("DATABASE_URL names no host"));
    }
    let tls = Security {
        mode: mode.unwrap_or_else(|| config.sslmode()),
        ca_file: config.postgres_ca_file.clone().or(ca_file),
    };
    if server.get_user().is_none() {
        server.user(&config.postgres_user);
    }
    if let (None, Some(password)) = (server.get_password(), &config.postgres_password) {
        server.password(password);
    }
    if server.get_dbname().is_none() {
        server.dbname(&config.postgres_db);
    }
    server.ssl_mode(match tls.mode {
        PostgresTls::Disable => SslMode::Disable,
        PostgresTls::Prefer => SslMode::Prefer,
        PostgresTls::Require | PostgresTls::VerifyCa | PostgresTls::VerifyFull => SslMode::Require,
    });
    server
        .application_name("tandem")
        .connect_timeout(config.postgres_timeout)
        .tcp_user_timeout(patience + config.postgres_timeout)
        .keepalives_idle(Duration::from_secs(15));
    Ok(Server { config: server, tls })
}

/// The driver keeps the actual reason in `source`.
fn why(error: &tokio_postgres::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

/// The settings of a session, sent after its start, because poolers refuse `options` in the start-up packet. The server gives up a
/// statement when this process does, and a process that stops within a transaction does not keep its locks.
pub(super) fn session(server: &Config, patience: Duration) -> String {
    // Settings in DATABASE_URL take precedence.
    let given = server.get_options().unwrap_or_default();
    let own =
        ["statement_timeout", "idle_in_transaction_session_timeout"].into_iter().filter(|name| !given.contains(name));
    own.map(|name| format!("SET {name} = {}", patience.as_millis())).collect::<Vec<_>>().join("; ")
}

/// `host:port/database`, with a comma between several hosts.
pub(super) fn place(server: &Config) -> String {
    // The driver pairs them in the same way: one port for all hosts, or one for each.
    let (addresses, names, ports) = (server.get_hostaddrs(), server.get_hosts(), server.get_ports());
    let count = names.len().max(addresses.len());
    let hosts = (0..count).map(|nth| {
        let host = match (names.get(nth), addresses.get(nth)) {
            (Some(Host::Tcp(name)), _) => name.clone(),
            #[cfg(unix)]
            (Some(Host::Unix(path)), _) => path.display().to_string(),
            (None, Some(address)) => address.to_string(),
            (None, None) => String::new(),
        };
        let port = ports.get(nth).or(ports.first()).copied().unwrap_or(POSTGRES);
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    });
    format!("{}/{}", hosts.collect::<Vec<_>>().join(","), server.get_dbname().unwrap_or_default())
}

fn nowhere(what: &str) -> LedgerError {
    LedgerError::Settings(what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_named() {
        let of = |url: &str| place(&url.parse().unwrap());
        assert_eq!(of("postgres://ana:secret@db.example/films"), "db.example:5432/films");
        assert_eq!(of("postgres://a@one:5433,two/films"), "one:5433,two:5432/films");
        assert_eq!(of("host=one,two port=6000 user=a dbname=films"), "one:6000,two:6000/films");
        assert_eq!(of("hostaddr=::1 user=a dbname=films"), "[::1]:5432/films");
        assert_eq!(of("host=/run/postgresql dbname=films"), "/run/postgresql:5432/films");
    }

    #[test]
    fn a_session_is_told_what_nobody_else_has_told_it() {
        let of = |text: &str| session(&text.parse().unwrap(), Duration::from_secs(2));
        assert_eq!(of("host=b"), "SET statement_timeout = 2000; SET idle_in_transaction_session_timeout = 2000");
        let given = of("host=b options='-c statement_timeout=5'");
        assert_eq!(given, "SET idle_in_transaction_session_timeout = 2000");
    }
}
