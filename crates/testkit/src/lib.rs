//! What the tests and benches share: real servers that run on free ports in directories of their own and are killed, paused and
//! restarted by the tests; the server under test, with clients that check every frame they receive; and fixtures of back ends.
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
pub mod backing;
pub mod certificates;
pub mod client;
pub mod connect;
pub mod extension;
pub mod faketime;
pub mod fixture;
pub mod frame;
pub mod http;
pub mod pgbouncer;
pub mod port;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod redis;
pub mod schema;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use app::TestApp;
pub use client::{Client, Incoming};
pub use extension::Extension;
pub use frame::Frame;

/// Nothing that is expected takes this long; whatever does has not happened.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// Milliseconds since 1970.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}
