//! `tandem worker` moves ledger entries from the streams in Redis to PostgreSQL. No room waits for it. Nothing leaves Redis before it is in
//! PostgreSQL, and a second write of an entry changes nothing, so a worker may be killed at any moment, and several may run.
//!
//! [`Worker`] puts the parts together: `pump` moves entries from the [queue](crate::backend::LedgerQueue) to `batch_writer`, which writes
//! them into the [ledger](crate::ledger::EventStore); `checkup` checks whether PostgreSQL can be used; `jobs` runs the hourly jobs; `watch`
//! measures the backlog; `routes` serves probes and metrics.

mod batch_writer;
mod breaker;
mod checkup;
mod condition;
mod cpu_wait;
mod jobs;
mod metrics;
mod outage;
mod pump;
mod routes;
mod start;
mod watch;

pub use condition::Condition;
pub use metrics::WorkerMetrics;
pub use pump::{Pump, PumpParts};
pub use start::{Worker, WorkerError, WorkerSettings};
