use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

/// What a worker needs, and whether it is there: what `/ready` answers from. Each flag has one writer.
#[derive(Debug, Default)]
pub struct Condition {
    /// Redis can be read. By the pump.
    pub(super) redis: Flag,
    /// PostgreSQL answers, takes writes, and lets this user do what is needed. By the checkup.
    pub(super) postgres: Flag,
    /// It has all the tables that this worker knows. By the checkup.
    pub(super) schema: Flag,
    /// The last entries could not be written, and the next ones will have to wait. By the scribe.
    pub(super) stuck: Flag,
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
        self.redis.get() && self.postgres.get() && self.schema.get() && !self.stuck.get() && !self.stopping.get()
    }

    /// Why PostgreSQL cannot be used, for whoever asks. By the checkup.
    pub(super) fn explain(&self, why: Option<String>) {
        *self.why.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    pub(super) fn why(&self) -> Option<String> {
        self.why.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
