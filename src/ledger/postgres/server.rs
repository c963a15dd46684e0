use std::time::Duration;

use tokio_postgres::{
    Config,
    config::{Host, SslMode},
};

use super::LedgerError;
use crate::config::{PostgresConfig, PostgresTls};

/// The port that IANA gave PostgreSQL.
const POSTGRES: u16 = 5432;

/// The settings as the driver takes them, and how much TLS is asked for. `patience` is how long a statement may take.
pub(super) fn server(config: &PostgresConfig, patience: Duration) -> Result<(Config, PostgresTls), LedgerError> {
    let (mut server, tls) = if let Some(url) = &config.database_url {
        let (url, tls) = take_sslmode(url)?;
        let server = url.parse::<Config>().map_err(|error| LedgerError::Settings(format!("DATABASE_URL: {error}")))?;
        (server, tls.unwrap_or(config.postgres_sslmode))
    } else {
        let mut server = Config::new();
        let host = config.postgres_host.as_deref().ok_or_else(|| nowhere("DATABASE_URL or POSTGRES_HOST is needed"))?;
        server.host(host).port(config.postgres_port);
        (server, config.postgres_sslmode)
    };
    if server.get_hosts().is_empty() && server.get_hostaddrs().is_empty() {
        return Err(nowhere("DATABASE_URL names no host"));
    }
    if server.get_user().is_none() {
        server.user(&config.postgres_user);
    }
    if let (None, Some(password)) = (server.get_password(), &config.postgres_password) {
        server.password(password);
    }
    if server.get_dbname().is_none() {
        server.dbname(&config.postgres_db);
    }
    server.ssl_mode(match tls {
        PostgresTls::Disable => SslMode::Disable,
        PostgresTls::Prefer => SslMode::Prefer,
        PostgresTls::Require | PostgresTls::VerifyFull => SslMode::Require,
    });
    // The server gives up when we do; and one of us that stops in the middle of a transaction does not keep rows from the others.
    let own = format!("-c statement_timeout={0} -c idle_in_transaction_session_timeout={0}", patience.as_millis());
    let options = server.get_options().map_or_else(|| own.clone(), |given| format!("{own} {given}"));
    server
        .options(options)
        .application_name("tandem")
        .connect_timeout(config.postgres_timeout)
        .tcp_user_timeout(patience + config.postgres_timeout)
        .keepalives_idle(Duration::from_secs(15));
    Ok((server, tls))
}

/// `host:port/database`, with a comma between several hosts.
pub(super) fn place(server: &Config) -> String {
    // As the driver pairs them: one port for all, or each host has its own.
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

/// The driver does not know all of libpq's words.
fn take_sslmode(url: &str) -> Result<(String, Option<PostgresTls>), LedgerError> {
    let Some((head, query)) = url.split_once('?') else { return Ok((url.to_owned(), None)) };
    let mut mode = None;
    let mut rest = Vec::new();
    for pair in query.split('&') {
        match pair.strip_prefix("sslmode=") {
            Some(word) => mode = Some(word),
            None => rest.push(pair),
        }
    }
    let mode = match mode {
        None => None,
        Some("disable") => Some(PostgresTls::Disable),
        Some("allow" | "prefer") => Some(PostgresTls::Prefer),
        Some("require") => Some(PostgresTls::Require),
        Some("verify-ca" | "verify-full") => Some(PostgresTls::VerifyFull),
        Some(word) => return Err(LedgerError::Settings(format!("DATABASE_URL: sslmode={word} is unknown"))),
    };
    let url = if rest.is_empty() { head.to_owned() } else { format!("{head}?{}", rest.join("&")) };
    Ok((url, mode))
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
    fn sslmode_is_taken_out() {
        let of = |url| take_sslmode(url).unwrap();
        assert_eq!(of("postgres://a@b/c"), ("postgres://a@b/c".to_owned(), None));
        assert_eq!(
            of("postgres://b/c?sslmode=verify-full"),
            ("postgres://b/c".to_owned(), Some(PostgresTls::VerifyFull))
        );
        let (url, mode) = of("postgres://b/c?a=1&sslmode=require&d=2");
        assert_eq!((url.as_str(), mode), ("postgres://b/c?a=1&d=2", Some(PostgresTls::Require)));
        assert!(take_sslmode("postgres://b/c?sslmode=maybe").is_err());
    }
}
