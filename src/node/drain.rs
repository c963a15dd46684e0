use std::time::Duration;

use rand::seq::SliceRandom as _;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::task::TaskTracker;

use crate::{
    protocol::{Close, ServerFrame, encode},
    socket::{Admission, Registry},
    telemetry::Metrics,
};

/// How long the last sockets may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(3);
/// A few sockets need not take as long as many: between two closes it is this long at the most.
const PACE: Duration = Duration::from_millis(100);
/// When clients may come back, in ms: elsewhere they can at once, and each is closed at a moment of its own.
const RETRY_AFTER: u64 = 0;

/// Tells everybody that this node goes, and closes their sockets in random order, spread over `over`, so that they do not all
/// arrive at the other nodes in the same instant. How many there were.
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
    // Whoever slipped in between the door and the list.
    for outbox in registry.outboxes() {
        outbox.close(Close::Draining);
    }
    drop(outboxes);
    sockets.close();
    let _ = timeout(GOODBYE, sockets.wait()).await;
    count
}
