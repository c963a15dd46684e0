//! The ledger of a cluster, in PostgreSQL: the [`Database`], with one file for each of its operations.

mod bans;
mod batch;
mod database;
mod dead;
mod error;
mod events;
mod fitness;
mod forget;
mod lock;
mod migrate;
mod nul;
mod partition;
mod probe;
mod query;
mod recall;
mod rooms;
mod server;
mod source;
mod sslmode;
mod tls;
mod users;

pub use database::Database;
pub use dead::{DeadLetter, DeadRow};
pub use error::{LedgerError, Verdict};
pub use fitness::{Duty, Unfit};
pub use lock::{Lock, LockSession};
pub use migrate::{MigrateError, Schema};
pub use nul::without_nul;
