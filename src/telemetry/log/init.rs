use std::{
    io::{self, IsTerminal as _},
    sync::OnceLock,
    time::Duration,
};

use tracing_bunyan_formatter::{BunyanFormattingLayer, JsonStorageLayer};
use tracing_subscriber::{layer::SubscriberExt as _, registry::Registry, reload, util::SubscriberInitExt as _};

use super::{
    level,
    line::{Lines, Look, notice},
    mask::Mask,
    pipe::Pipe,
};
use crate::{
    config::{LogConfig, LogFormat},
    telemetry::panics::log_panics,
};

/// How long the process waits for the reader of the log when it ends.
const LAST_LINES: Duration = Duration::from_secs(1);

static PIPE: OnceLock<Pipe> = OnceLock::new();

/// Why logging could not begin.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum LogError {
    #[error("cannot begin to log: {0}")]
    Begun(#[from] tracing_subscriber::util::TryInitError),
    #[error("cannot start the thread that writes the log: {0}")]
    Thread(#[from] io::Error),
}

/// Starts logging to standard output: JSON lines as pino writes them, or text for people. `secret` is the key of masked ids.
pub fn init(config: &LogConfig, secret: Option<&str>) -> Result<(), LogError> {
    let look = if is_for_people(config) { Look::Text { colours: io::stdout().is_terminal() } } else { Look::Json };
    let pipe = Pipe::new(io::stdout(), notice(look))?;
    let mask = config.log_mask_ids.then(|| Mask::new(secret));
    let lines = Lines { look, addresses: config.log_addresses, mask, pipe: pipe.clone() };
    // The level applies to all layers at once, so events below it are not even dispatched.
    let (level, handle) = reload::Layer::new(config.log_level.filter());
    let layer = BunyanFormattingLayer::new("tandem".to_owned(), lines);
    Registry::default().with(level).with(JsonStorageLayer).with(layer).try_init()?;
    // A second one cannot be reached: `try_init` refuses it.
    let _ = PIPE.set(pipe);
    level::keep(handle);
    log_panics();
    Ok(())
}

/// Waits until the last lines are written, but not for a stalled reader.
pub fn flush() {
    if let Some(pipe) = PIPE.get() {
        pipe.flush(LAST_LINES);
    }
}

/// Whether text is wanted rather than JSON lines.
pub fn is_for_people(config: &LogConfig) -> bool {
    match config.log_format {
        LogFormat::Pretty => true,
        LogFormat::Json => false,
        LogFormat::Auto => io::stdout().is_terminal(),
    }
}
