use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Whether a link is up. Tasks that wait for it go on in the order in which they came.
///
/// A `watch` channel would wake them in an order that tokio draws from random numbers of its own. These differ with each runtime of the
/// process, no seed reaches them, and the same story would go another way.
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
            // A wake-up counts from here on, although this is not polled yet.
            let raised = self.raised.notified();
            if self.get() {
                return;
            }
            raised.await;
        }
    }
}
