//! Progress of a run, on stderr.

use std::{sync::LazyLock, time::Instant};

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Says what happens now, and how many seconds after the first step.
pub(crate) fn step(text: &str) {
    eprintln!("[{:5.1} s] {text}", START.elapsed().as_secs_f64());
}
