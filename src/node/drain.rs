use std::time::Duration;

use rand::seq::SliceRandom as _;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::task::TaskTracker;

use crate::{
    protocol::{Close, ServerFrame, encode},
    socket::{Admission, Registry},
    telemetry::Metrics,
};

/// Deadline for the last closing handshakes.
const GOODBYE: Duration = Duration::from_secs(3);
/// Maximum pause between two closes, because a few sockets need not take as long as many.
const PACE: Duration = Duration::from_millis(100);
/// The delay in SERVER_DRAINING before clients reconnect, in ms. Other nodes accept them at once, and each socket is closed at a time of
/// its own.
const RETRY_AFTER: u64 = 0;

/// Sends SERVER_DRAINING to all clients, and closes their sockets in random order, spread over `over`, so that they do not reach the other
/// nodes at the same instant. Returns the number of sockets.
pub(super) async fn drain(
    admission: &Admission,
    registry: &Registry,
    sockets: &TaskTracker,
    metrics: &Metrics,
    over: Duration,
) -> usize {
    admission.close();
    metrics.draining.set(1);
    let mut outboxes = registry.outboxes();
    let count = outboxes.len();
    let over = over.min(PACE * u32::try_from(count).unwrap_or(u32::MAX));
    tracing::info!(sockets = count, seconds = over.as_secs_f64(), "draining");
    let frame = encode(&ServerFrame::ServerDraining { retry_after_ms: RETRY_AFTER, resume: true });
    for outbox in &outboxes {
        outbox.push(frame.clone());
    }
    outboxes.shuffle(&mut rand::rng());
    let start = Instant::now();
    for (place, outbox) in (1_u32..).zip(&outboxes) {
        let share = f64::from(place) / f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        sleep_until(start + over.mul_f64(share)).await;
        outbox.close(Close::Draining);
    }
    // Sockets that were accepted while the list was made.
    for outbox in registry.outboxes() {
        outbox.close(Close::Draining);
    }
    drop(outboxes);
    sockets.close();
    let _ = timeout(GOODBYE, sockets.wait()).await;
    count
}

/// Logs how a stop has ended: `drained` is the number of sockets that were told, unless a second signal came; `forced` are those that did
/// not end in time, and `lost` the seats that could not be given up.
pub(super) fn tell_end(drained: Option<usize>, forced: usize, lost: usize) {
    if let Some(sockets) = drained {
        let clean = sockets.saturating_sub(forced);
        tracing::info!(clean, forced, lost, "stopped");
    } else {
        tracing::warn!(forced, lost, "stopped at once by a second signal");
    }
}
