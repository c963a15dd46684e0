use std::{sync::Arc, time::Duration};

use deadpool_postgres::{HookError, PoolError};
use tokio_postgres::error::SqlState;

use super::Unfit;
use crate::ledger::table::OutOfRange;

/// Errors of PostgreSQL.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// A setting is not usable.
    #[error("{0}")]
    Settings(String),
    /// There is no connection.
    #[error("cannot connect to PostgreSQL at {at}: {}{}", chain(source), next_step(source))]
    Connect {
        /// Hosts, ports and the database.
        at: Arc<str>,
        /// The reason.
        source: PoolError,
    },
    /// The database answers, but cannot be used.
    #[error("{0}")]
    Unfit(#[from] Unfit),
    /// PostgreSQL returned an error.
    #[error("PostgreSQL: {}", chain(.0))]
    Postgres(#[from] tokio_postgres::Error),
    /// The table of a month could not be created.
    #[error("PostgreSQL: the table of a month ({months}) cannot be made: {}", chain(source))]
    Partition {
        /// The months.
        months: String,
        source: tokio_postgres::Error,
    },
    /// PostgreSQL did not answer in time.
    #[error("PostgreSQL did not answer within {} s", .0.as_secs_f64())]
    Late(Duration),
    /// A value that no column can hold.
    #[error("{0} is out of range")]
    Range(&'static str),
}

impl From<OutOfRange> for LedgerError {
    fn from(OutOfRange(column): OutOfRange) -> Self {
        Self::Range(column)
    }
}

/// What an error says about the data that was to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// This data is never accepted.
    Data,
    /// No data is accepted at the moment; this passes.
    Outage,
    /// It took too long, for either reason.
    Late,
    /// Either reason is possible: try whether other data is accepted.
    Unclear,
}

/// SQLSTATE classes of errors about the data: data exceptions, constraints, checks of views, limits of the program (such as an index row),
/// and errors raised by triggers in any language.
const DATA: [&str; 13] = ["09", "20", "21", "22", "23", "27", "2F", "38", "39", "44", "54", "HV", "P0"];
/// SQLSTATE classes of errors about the server, the session or the transaction: connection, read-only, login, missing database, conflicts,
/// resources, locks, operators, disks, configuration.
const OUTAGE: [&str; 10] = ["08", "25", "28", "3D", "40", "53", "55", "57", "58", "F0"];

/// The crates keep the actual reason in `source`.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let said = source.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        next = source.source();
    }
    text
}

/// The error of the driver behind a failed connection.
fn driver(error: &PoolError) -> Option<&tokio_postgres::Error> {
    match error {
        PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => Some(error),
        _ => None,
    }
}

/// A hint for the operator, where waiting does not help.
fn next_step(error: &PoolError) -> &'static str {
    let Some(error) = driver(error) else { return "" };
    match error.code() {
        Some(code) if *code == SqlState::INVALID_CATALOG_NAME => {
            "; create the database (CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0), or correct DATABASE_URL or POSTGRES_DB"
        }
        Some(code) if *code == SqlState::INVALID_PASSWORD => {
            "; correct the user or the password (DATABASE_URL, or POSTGRES_USER and POSTGRES_PASSWORD)"
        }
        Some(code) if *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
            "; correct the user (DATABASE_URL or POSTGRES_USER), or what pg_hba.conf allows it: sslmode=disable is refused by a server that takes TLS only"
        }
        Some(code) if *code == SqlState::INSUFFICIENT_PRIVILEGE => "; GRANT CONNECT ON DATABASE is missing",
        None if error.to_string().starts_with("invalid configuration") => {
            "; give the password in DATABASE_URL or POSTGRES_PASSWORD"
        }
        _ => "",
    }
}

/// Whether the error is from the system or the network, and not from the server, the settings or a certificate.
fn is_of_the_network(error: &tokio_postgres::Error) -> bool {
    let mut next: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(error);
    while let Some(source) = next {
        if let Some(io) = source.downcast_ref::<std::io::Error>() {
            // rustls reports certificates as invalid data.
            return io.kind() != std::io::ErrorKind::InvalidData;
        }
        next = source.source();
    }
    false
}

fn verdict_of(error: &tokio_postgres::Error) -> Verdict {
    let Some(code) = error.code() else {
        let gone = error.is_closed() || is_of_the_network(error);
        return if gone { Verdict::Outage } else { Verdict::Unclear };
    };
    if *code == SqlState::QUERY_CANCELED {
        return Verdict::Late;
    }
    let is_of = |classes: &[&str]| classes.iter().any(|class| code.code().starts_with(class));
    match code {
        _ if is_of(&DATA) => Verdict::Data,
        _ if is_of(&OUTAGE) => Verdict::Outage,
        _ => Verdict::Unclear,
    }
}

impl LedgerError {
    /// What the error says about the data that was to be written.
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Range(_) => Verdict::Data,
            Self::Late(_) => Verdict::Late,
            Self::Settings(_) | Self::Connect { .. } | Self::Unfit(_) => Verdict::Outage,
            Self::Postgres(error) => verdict_of(error),
            // Without the right to create tables no event of a new month is accepted.
            Self::Partition { source, .. } if source.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
                Verdict::Outage
            }
            Self::Partition { source, .. } => match verdict_of(source) {
                // The month overlaps a table that another program created.
                Verdict::Data => Verdict::Unclear,
                verdict => verdict,
            },
        }
    }

    /// Whether this data is never accepted.
    pub fn is_about_data(&self) -> bool {
        self.verdict() == Verdict::Data
    }

    /// Whether the connection may be the cause: for example, one that began while the database was read-only stays read-only.
    pub(super) fn spoils_connection(&self) -> bool {
        self.verdict() != Verdict::Data
    }

    /// Whether waiting helps at a start: the server is not there yet, is starting, or has no free connection.
    pub fn passes_by_itself(&self) -> bool {
        let source = match self {
            Self::Postgres(error) | Self::Partition { source: error, .. } => error,
            Self::Late(_) | Self::Connect { source: PoolError::Timeout(_), .. } => return true,
            Self::Connect { source, .. } => match driver(source) {
                Some(error) => error,
                None => return false,
            },
            Self::Settings(_) | Self::Unfit(_) | Self::Range(_) => return false,
        };
        let Some(code) = source.code() else {
            return source.is_closed() || is_of_the_network(source) || source.to_string().starts_with("timeout");
        };
        // Poolers use one code for an unreachable server and for an unknown user or database.
        let says = |what: &str| source.as_db_error().is_some_and(|said| said.message().contains(what));
        let is_of = |class: &str| code.code().starts_with(class);
        is_of("53")
            || is_of("57")
            || is_of("08")
                && !["no such", "authentication", "password", "startup parameter"].iter().any(|what| says(what))
    }

    /// Whether a row has no partition: it violates a constraint without a name.
    pub(super) fn is_without_partition(&self) -> bool {
        let Self::Postgres(error) = self else { return false };
        let nameless = error.as_db_error().is_some_and(|said| said.constraint().is_none());
        error.code() == Some(&SqlState::CHECK_VIOLATION) && nameless
    }

    /// Whether a row was there before.
    pub(super) fn is_duplicate(&self) -> bool {
        matches!(self, Self::Postgres(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION))
    }

    /// Whether a table is missing because no migration has run yet.
    pub(super) fn is_undefined_table(&self) -> bool {
        matches!(self, Self::Postgres(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE))
    }
}
