use std::{sync::Arc, time::Duration};

use tokio_postgres::error::SqlState;

/// Why PostgreSQL did not do something.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// A setting leads nowhere.
    #[error("{0}")]
    Settings(String),
    /// No connection.
    #[error("cannot connect to PostgreSQL at {at}: {}", chain(source))]
    Connect {
        /// Hosts, ports and the database.
        at: Arc<str>,
        /// What stood in the way.
        source: deadpool_postgres::PoolError,
    },
    /// PostgreSQL says so.
    #[error("PostgreSQL: {}", chain(.0))]
    Postgres(#[from] tokio_postgres::Error),
    /// It did not answer in time.
    #[error("PostgreSQL did not answer within {} s", .0.as_secs_f64())]
    Late(Duration),
    /// A value that no column can hold.
    #[error("{0} is out of range")]
    Range(&'static str),
}

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

impl LedgerError {
    /// Whether it is this very data that is not taken, now or ever. Anything else is trouble of the database as a whole, and passes.
    pub fn is_about_data(&self) -> bool {
        match self {
            Self::Range(_) => true,
            // Data exceptions, broken constraints, and what exceeds a limit of the program (an index row, say).
            Self::Postgres(error) => {
                error.code().is_some_and(|code| ["22", "23", "54"].iter().any(|class| code.code().starts_with(class)))
            }
            _ => false,
        }
    }

    /// Whether a smaller batch may be quick enough.
    pub fn is_late(&self) -> bool {
        match self {
            Self::Late(_) => true,
            Self::Postgres(error) => error.code() == Some(&SqlState::QUERY_CANCELED),
            _ => false,
        }
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
