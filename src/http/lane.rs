use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hyper::rt::Executor;
use tokio::{
    sync::Notify,
    task_local,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::task::TaskTracker;

use super::pulse::Pulse;
use crate::{socket::Carrier, telemetry::HttpMetrics};

/// How long what a socket wrote last may wait for its client once the socket is over.
const LAST_WORDS: Duration = Duration::from_secs(2);

task_local! {
    /// The stream whose request the task answers.
    static CURRENT: Arc<Lane>;
}

/// A stream of an HTTP/2 connection.
#[derive(Debug)]
pub(super) struct Lane {
    pulse: Arc<Pulse>,
    metrics: HttpMetrics,
    /// When the client last had room for a piece of the answer; `None` before there is an answer.
    moved: Mutex<Option<Instant>>,
    /// The socket on it has ended.
    left: Notify,
}

/// Runs the tasks of one HTTP/2 connection. hyper has no deadlines for them: a client that takes nothing would keep them for ever.
#[derive(Debug, Clone)]
pub(super) struct Runner {
    pub(super) tasks: TaskTracker,
    pub(super) pulse: Arc<Pulse>,
    pub(super) metrics: HttpMetrics,
    /// For each piece of an answer.
    pub(super) write: Duration,
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Runner {
    fn execute(&self, work: F) {
        if let Some(lane) = Lane::current() {
            // A stream that becomes a socket has a second task, which writes for it.
            self.tasks.spawn(lane.write_while_it_matters(work));
        } else {
            let lane = Arc::new(Lane {
                pulse: Arc::clone(&self.pulse),
                metrics: self.metrics.clone(),
                moved: Mutex::new(None),
                left: Notify::new(),
            });
            self.tasks.spawn(CURRENT.scope(Arc::clone(&lane), lane.answer_while_it_moves(work, self.write)));
        }
    }
}

impl Lane {
    /// The stream whose request this task answers.
    pub(super) fn current() -> Option<Arc<Self>> {
        CURRENT.try_with(Arc::clone).ok()
    }

    /// Records that the client has room for more of the answer.
    pub(super) fn moved(&self) {
        *self.moved.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Answers, and resets the stream of a client that does not take the answer.
    async fn answer_while_it_moves(self: Arc<Self>, work: impl Future<Output = ()>, patience: Duration) {
        let stalls = async {
            let mut due = Instant::now() + patience;
            loop {
                sleep_until(due).await;
                let now = Instant::now();
                let moved = *self.moved.lock().unwrap_or_else(PoisonError::into_inner);
                due = moved.unwrap_or(now) + patience;
                if due <= now {
                    return;
                }
            }
        };
        tokio::select! {
            () = work => {}
            () = stalls => tracing::debug!("a stream was reset: its client did not take the answer"),
        }
    }

    /// Writes what a socket hands over. Once it is over, a client that takes nothing is not waited for.
    async fn write_while_it_matters(self: Arc<Self>, work: impl Future<Output = ()>) {
        let over = async {
            self.left.notified().await;
            Box::pin(sleep(LAST_WORDS)).await;
        };
        tokio::select! {
            () = work => {}
            () = over => {}
        }
    }
}

impl Carrier for Lane {
    fn begin(&self) {
        self.metrics.http2_sockets.inc();
        self.pulse.socket_began();
    }

    fn end(&self) {
        self.pulse.socket_ended();
        self.left.notify_one();
    }
}
