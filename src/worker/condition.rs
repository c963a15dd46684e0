use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

/// Whether what a worker needs is available, for `/ready`. Each flag has one writer.
#[derive(Debug, Default)]
pub struct Condition {
    /// Redis answers. Set by the watch, which asks also while nothing is read.
    pub(super) redis: Flag,
    /// The queue could not be read. Set by the pump.
    pub(super) unread: Flag,
    /// PostgreSQL answers, accepts writes, and grants the necessary rights. Set by the checkup.
    pub(super) postgres: Flag,
    /// PostgreSQL has all tables that this worker needs. Set by the checkup.
    pub(super) schema: Flag,
    /// The last entries could not be written, and the next ones have to wait. Set by the batch writer.
    pub(super) stuck: Flag,
    /// The queue is so long that the worker does not rest any more. Set by the watch.
    pub(super) long: Flag,
    pub(super) stopping: Flag,
    why: Mutex<Option<String>>,
}

#[derive(Debug, Default)]
pub(super) struct Flag(watch::Sender<bool>);

impl Flag {
    pub(super) fn set(&self, value: bool) {
        self.0.send_if_modified(|was| std::mem::replace(was, value) != value);
    }

    pub(super) fn get(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it is set.
    pub(super) async fn is_set(&self) {
        // The sender lives as long as this.
        let _ = self.0.subscribe().wait_for(|value| *value).await;
    }
}

impl Condition {
    pub(super) fn is_ready(&self) -> bool {
        self.reads() && self.postgres.get() && self.schema.get() && !self.stuck.get() && !self.stopping.get()
    }

    /// Whether the queue can be read from Redis.
    pub(super) fn reads(&self) -> bool {
        self.redis.get() && !self.unread.get()
    }

    /// Why PostgreSQL cannot be used, for operators. Set by the checkup.
    pub(super) fn explain(&self, why: Option<String>) {
        *self.why.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    pub(super) fn why(&self) -> Option<String> {
        self.why.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
