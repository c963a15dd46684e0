use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Whether a link is up. Those who wait for that go on in the order in which they came.
///
/// A `watch` channel of tokio would wake them in an order that tokio draws by itself, from a number that differs with each runtime of the
/// process: no seed of ours reaches it, and the same story would go another way.
#[derive(Default)]
pub(super) struct Up {
    up: AtomicBool,
    raised: Notify,
}

impl Up {
    pub(super) fn get(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    pub(super) fn set(&self, up: bool) {
        self.up.store(up, Ordering::Relaxed);
        if up {
            self.raised.notify_waiters();
        }
    }

    pub(super) async fn wait(&self) {
        loop {
            // It notices from here on, before it is polled.
            let raised = self.raised.notified();
            if self.get() {
                return;
            }
            raised.await;
        }
    }
}
