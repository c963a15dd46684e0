//! What the tests stand on.

pub(crate) mod app;
pub(crate) mod client;
pub(crate) mod connect;
pub(crate) mod extension;
pub(crate) mod frame;
pub(crate) mod http;
pub(crate) mod schema;

pub(crate) use app::TestApp;
#[allow(unused_imports, reason = "not in every binary")]
pub(crate) use client::{Client, Incoming};
pub(crate) use extension::Extension;
pub(crate) use frame::Frame;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Nothing that is expected takes this long; whatever does has not happened.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}
