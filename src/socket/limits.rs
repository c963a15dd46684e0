use std::sync::{
    PoisonError, RwLock,
    atomic::{AtomicU32, AtomicUsize, Ordering},
};

use axum::http::{HeaderMap, header};

use super::budget::Allowance;
use crate::{
    config::{Config, OriginPattern},
    headers::list,
};

/// What sockets may do: the settings that may change while the node runs.
#[derive(Debug)]
pub struct Limits {
    rate: AtomicU32,
    burst: AtomicU32,
    outbox_bytes: AtomicUsize,
    origins: RwLock<Vec<OriginPattern>>,
}

impl Limits {
    pub(super) fn new(config: &Config) -> Self {
        let limits = Self {
            rate: AtomicU32::default(),
            burst: AtomicU32::default(),
            outbox_bytes: AtomicUsize::default(),
            origins: RwLock::default(),
        };
        limits.set(config);
        limits
    }

    /// Takes other settings. Budgets hold at once, also for sockets that are open; outboxes and origins for those that are opened from now
    /// on.
    pub fn set(&self, config: &Config) {
        self.rate.store(config.socket.messages_per_second, Ordering::Relaxed);
        self.burst.store(config.socket.message_burst, Ordering::Relaxed);
        self.outbox_bytes.store(config.socket.outbox_bytes, Ordering::Relaxed);
        let mut origins = self.origins.write().unwrap_or_else(PoisonError::into_inner);
        origins.clone_from(&config.server.allowed_origins);
    }

    pub(super) fn allowance(&self) -> Allowance {
        Allowance { rate: self.rate.load(Ordering::Relaxed), burst: self.burst.load(Ordering::Relaxed) }
    }

    pub(super) fn outbox_bytes(&self) -> usize {
        self.outbox_bytes.load(Ordering::Relaxed)
    }

    pub(super) fn allow_origin(&self, headers: &HeaderMap) -> bool {
        let allowed = self.origins.read().unwrap_or_else(PoisonError::into_inner);
        if allowed.contains(&OriginPattern::Any) {
            return true;
        }
        // A redirect makes a list of it (RFC 6454, 7.1): all of them have to be welcome.
        let mut origins = list(headers, header::ORIGIN).flat_map(|line| line.split(u8::is_ascii_whitespace)).peekable();
        let is_welcome = |origin: &[u8]| allowed.iter().any(|pattern| pattern.allows(origin));
        origins.peek().is_some() && origins.filter(|origin| !origin.is_empty()).all(is_welcome)
    }
}
