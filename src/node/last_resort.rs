//! The end of a stop that takes too long.

use std::{process::exit, thread, time::Duration};

use crate::telemetry;

/// How much longer than the drain a stop may take in all.
const AT_MOST: Duration = Duration::from_secs(5);

/// Ends the process some seconds after a drain of this length, whatever it does then. Each step of a stop has a deadline, but on a machine without CPU time to
/// spare the timers of a runtime with ten thousand tasks are late, and a thread of its own is not. The other nodes give up what is left.
pub(super) fn arm(drain: Duration) {
    let within = drain + AT_MOST;
    let end = move || {
        thread::sleep(within);
        tracing::error!(
            seconds = within.as_secs_f64(),
            "the stop takes too long, so it ends here: connections are cut off, and the other nodes give up their seats"
        );
        telemetry::flush_log();
        exit(1)
    };
    if let Err(error) = thread::Builder::new().name("stop".to_owned()).spawn(end) {
        tracing::warn!(%error, "there is no thread that would end a stop that takes too long");
    }
}
