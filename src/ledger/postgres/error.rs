use std::{sync::Arc, time::Duration};

use deadpool_postgres::{HookError, PoolError};
use tokio_postgres::error::SqlState;

use super::Unfit;
use crate::ledger::table::OutOfRange;

/// Why PostgreSQL did not do something.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// A setting leads nowhere.
    #[error("{0}")]
    Settings(String),
    /// No connection.
    #[error("cannot connect to PostgreSQL at {at}: {}{}", chain(source), next_step(source))]
    Connect {
        /// Hosts, ports and the database.
        at: Arc<str>,
        /// What stood in the way.
        source: PoolError,
    },
    /// The database is there, but cannot be used.
    #[error("{0}")]
    Unfit(#[from] Unfit),
    /// PostgreSQL says so.
    #[error("PostgreSQL: {}", chain(.0))]
    Postgres(#[from] tokio_postgres::Error),
    /// The table of a month could not be made.
    #[error("PostgreSQL: the table of a month ({months}) cannot be made: {}", chain(source))]
    Partition {
        /// Which months.
        months: String,
        source: tokio_postgres::Error,
    },
    /// It did not answer in time.
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

/// What a refusal says about what was to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is this very data that is not taken, now or ever.
    Data,
    /// Nothing is taken at the moment, whatever it is. That passes.
    Outage,
    /// It took too long, which may be due to either.
    Late,
    /// It may be due to either: whether anything else is taken has to be tried.
    Unclear,
}

/// Classes of SQLSTATE that mean the data itself: data exceptions, constraints, views that check, limits of the program (an index row,
/// say), and what a trigger raises, in whatever language it is written.
const DATA: [&str; 13] = ["09", "20", "21", "22", "23", "27", "2F", "38", "39", "44", "54", "HV", "P0"];
/// Classes that mean the server, the session or the transaction: connection, read-only, login, no such database, conflicts of
/// transactions, resources, locks, operators, disks, configuration.
const OUTAGE: [&str; 10] = ["08", "25", "28", "3D", "40", "53", "55", "57", "58", "F0"];

/// The crates keep the interesting part in `source`.
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

/// What the driver said when a connection could not be had.
fn driver(error: &PoolError) -> Option<&tokio_postgres::Error> {
    match error {
        PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => Some(error),
        _ => None,
    }
}

/// What to do about it, where waiting does not help.
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

/// Whether the system or the network said so, and not the server, the settings or a certificate.
fn is_of_the_network(error: &tokio_postgres::Error) -> bool {
    let mut next: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(error);
    while let Some(source) = next {
        if let Some(io) = source.downcast_ref::<std::io::Error>() {
            // What rustls says of a certificate comes as invalid data.
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
    /// What it says about what was to be written.
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Range(_) => Verdict::Data,
            Self::Late(_) => Verdict::Late,
            Self::Settings(_) | Self::Connect { .. } | Self::Unfit(_) => Verdict::Outage,
            Self::Postgres(error) => verdict_of(error),
            // Without the right to make tables no event of a new month is taken.
            Self::Partition { source, .. } if source.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
                Verdict::Outage
            }
            Self::Partition { source, .. } => match verdict_of(source) {
                // The month lies across a table that somebody else has made.
                Verdict::Data => Verdict::Unclear,
                verdict => verdict,
            },
        }
    }

    /// Whether it is this very data that is not taken, now or ever.
    pub fn is_about_data(&self) -> bool {
        self.verdict() == Verdict::Data
    }

    /// Whether the connection may be what is wrong: one that began while the database was read-only stays so, for example.
    pub(super) fn spoils_connection(&self) -> bool {
        self.verdict() != Verdict::Data
    }

    /// Whether waiting helps somebody who has only just begun: the server is not there yet, is starting, or has no place.
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
        // Poolers say with one code that the server is away, and that they know no such user or database.
        let says = |what: &str| source.as_db_error().is_some_and(|said| said.message().contains(what));
        let is_of = |class: &str| code.code().starts_with(class);
        is_of("53")
            || is_of("57")
            || is_of("08")
                && !["no such", "authentication", "password", "startup parameter"].iter().any(|what| says(what))
    }

    /// Whether a row found no partition: it breaks a constraint that has no name.
    pub(super) fn is_without_partition(&self) -> bool {
        let Self::Postgres(error) = self else { return false };
        let nameless = error.as_db_error().is_some_and(|said| said.constraint().is_none());
        error.code() == Some(&SqlState::CHECK_VIOLATION) && nameless
    }

    /// Whether a table is missing: nobody has migrated yet.
    pub(super) fn is_undefined_table(&self) -> bool {
        matches!(self, Self::Postgres(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE))
    }
}
