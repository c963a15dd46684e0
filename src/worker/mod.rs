//! What `tandem worker` does: it takes the ledger's entries from the streams in Redis and writes them into PostgreSQL. Nobody waits
//! for it. Nothing leaves Redis before it is in PostgreSQL, and what is written twice changes nothing: so a worker may be killed at
//! any moment, and several may run.
//!
//! [`Worker`] puts together: `pump` moves entries from the [queue](crate::backend::LedgerQueue) to `scribe`, which writes them into the [ledger](crate::ledger::EventStore), `checkup` looks whether PostgreSQL can be used, `jobs` does what has to be done every hour, `watch` sees
//! how much waits, `site` is what operators ask.

mod breaker;
mod checkup;
mod condition;
mod jobs;
mod metrics;
mod pump;
mod scribe;
mod site;
mod start;
mod trouble;
mod watch;

pub use condition::Condition;
pub use metrics::WorkerMetrics;
pub use pump::{Pump, PumpParts};
pub use start::{Worker, WorkerError, WorkerSettings};
