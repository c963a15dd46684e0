//! Checks whether a database can be used, and whether its user has the necessary rights. `docs/ledger.md` has the list.

use super::{Database, LedgerError};

/// The tasks of a process in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    /// `tandem migrate`: creates the tables.
    Migrate,
    /// `tandem worker`: writes the tables, and creates and drops those of months.
    Worker,
    /// A node: looks up rooms.
    Node,
}

/// Why a database that answers cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Its encoding cannot represent all names.
    #[error(
        "the database {database} has the encoding {encoding}, and tandem needs UTF8: create another one with CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0, and name it in DATABASE_URL or POSTGRES_DB"
    )]
    Encoding {
        /// The name of the database.
        database: String,
        /// The encoding of the database.
        encoding: String,
    },
    /// The server is a standby.
    #[error("the server is a standby of another one, and takes nothing until it is promoted")]
    Standby,
    /// The database is read-only.
    #[error("the database is read-only (default_transaction_read_only is on)")]
    ReadOnly,
    /// The user lacks rights.
    #[error("the user {user} of the database lacks: {}; docs/ledger.md says which rights are needed", missing.join(", "))]
    Rights {
        user: String,
        /// The missing rights.
        missing: Vec<String>,
    },
}

/// A right on tables, and the processes that need it. A table that does not exist yet requires nothing.
const TABLES: [(&[Duty], &str, &[&str]); 7] = [
    (&[Duty::Node], "SELECT", &["rooms", "room_bans"]),
    (&[Duty::Worker], "SELECT", &["room_events", "rooms", "users", "room_bans", "dead_letters", "schema_migrations"]),
    (&[Duty::Worker], "INSERT", &["room_events", "rooms", "users", "room_bans", "dead_letters"]),
    (&[Duty::Worker], "UPDATE", &["rooms", "users", "room_bans"]),
    (&[Duty::Worker], "DELETE", &["room_bans"]),
    (&[Duty::Migrate], "SELECT", &["schema_migrations"]),
    (&[Duty::Migrate], "INSERT", &["schema_migrations"]),
];
/// Tables that the user must own.
const OWNED: [(&[Duty], &[&str]); 2] = [
    (&[Duty::Worker], &["room_events"]),
    (&[Duty::Migrate], &["room_events", "rooms", "users", "room_bans", "dead_letters"]),
];

/// The query that returns one row for each missing right.
fn question(duty: Duty) -> String {
    let mut lines = Vec::new();
    if duty != Duty::Node {
        lines.push(
            "('CREATE on the schema ' || current_schema(), has_schema_privilege(current_schema(), 'CREATE'))"
                .to_owned(),
        );
    }
    for (roles, right, tables) in TABLES {
        for table in tables.iter().filter(|_| roles.contains(&duty)) {
            lines.push(format!(
                "('{right} on the table {table}', has_table_privilege(to_regclass('{table}'), '{right}'))"
            ));
        }
    }
    for (roles, tables) in OWNED {
        for table in tables.iter().filter(|_| roles.contains(&duty)) {
            lines.push(format!(
                "('ownership of the table {table}',
                  (SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = to_regclass('{table}')))"
            ));
        }
    }
    format!("SELECT what FROM (VALUES {}) AS needed (what, has) WHERE NOT has", lines.join(", "))
}

impl Database {
    /// Checks whether the database can be used for `duty` now. It changes nothing.
    pub async fn check(&self, duty: Duty) -> Result<(), LedgerError> {
        let client = self.lend().await?;
        let work = async {
            let row = client
                .query_one(
                    "SELECT current_setting('server_encoding'), pg_is_in_recovery(),
                         current_setting('transaction_read_only')::boolean, current_database()::text, current_user::text,
                         current_schema()::text",
                    &[],
                )
                .await?;
            let encoding: String = row.try_get(0)?;
            if encoding != "UTF8" {
                return Err(Unfit::Encoding { database: row.try_get(3)?, encoding }.into());
            }
            if duty != Duty::Node {
                if row.try_get(1)? {
                    return Err(Unfit::Standby.into());
                }
                if row.try_get(2)? {
                    return Err(Unfit::ReadOnly.into());
                }
            }
            let user: String = row.try_get(4)?;
            if row.try_get::<_, Option<String>>(5)?.is_none() {
                let missing = vec!["USAGE on a schema of its search_path (such as public)".to_owned()];
                return Err(Unfit::Rights { user, missing }.into());
            }
            let missing = client.query(&question(duty), &[]).await?;
            let missing = missing.iter().map(|row| row.try_get(0)).collect::<Result<Vec<String>, _>>()?;
            if missing.is_empty() { Ok(()) } else { Err(Unfit::Rights { user, missing }.into()) }
        };
        let outcome = self.within(work).await;
        self.return_client(client, outcome)
    }
}
