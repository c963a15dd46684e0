use std::sync::OnceLock;

use tracing_subscriber::{filter::LevelFilter, registry::Registry, reload::Handle};

use crate::config::LogLevel;

static LEVEL: OnceLock<Handle<LevelFilter, Registry>> = OnceLock::new();

/// Keeps what changes the level.
pub(super) fn keep(handle: Handle<LevelFilter, Registry>) {
    // A second one cannot be reached: a process begins to log once.
    let _ = LEVEL.set(handle);
}

/// Logs from this level up from now on.
pub fn set_level(level: LogLevel) {
    if let Some(handle) = LEVEL.get() {
        // It fails only if the log is gone, and then nobody reads it.
        let _ = handle.reload(level.filter());
    }
}
