//! The test kit: real servers on free ports, in their own directories, which tests kill, pause and restart; the server under test, with
//! clients that check every frame; and fixtures of back ends, with what every one
//! of them must do.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::missing_panics_doc,
    async_fn_in_trait,
    missing_docs,
    reason = "a test that cannot go on panics, and only tests call this"
)]

pub mod app;
mod audit;
pub mod backing;
pub mod binary;
pub mod certificates;
pub mod client;
pub mod conformance;
pub mod connect;
mod expect;
pub mod extension;
pub mod faketime;
mod fence;
pub mod fixture;
pub mod frame;
pub mod http;
pub mod http2;
mod log;
mod node;
pub mod pgbouncer;
pub mod port;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod redis;
mod redis_cluster;
mod redis_inline;
pub mod schema;
mod sentinel;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use app::TestApp;
pub use client::{Client, Incoming};
pub use extension::Extension;
pub use frame::Frame;

/// The deadline for everything that a test expects.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// Milliseconds since 1970.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}
