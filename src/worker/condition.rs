use std::sync::atomic::{AtomicBool, Ordering};

/// What a worker needs, and whether it is there: what `/ready` answers from.
#[derive(Debug, Default)]
pub(super) struct Condition {
    pub(super) redis: Flag,
    pub(super) postgres: Flag,
    pub(super) schema: Flag,
    pub(super) stopping: Flag,
}

#[derive(Debug, Default)]
pub(super) struct Flag(AtomicBool);

impl Flag {
    pub(super) fn set(&self, value: bool) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Condition {
    pub(super) fn is_ready(&self) -> bool {
        self.redis.get() && self.postgres.get() && self.schema.get() && !self.stopping.get()
    }
}
