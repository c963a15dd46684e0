use std::sync::atomic::{AtomicU32, Ordering};

use crate::config::{Caps, Resource};

/// The caps in force, which may be replaced while they are read. A cap is never 0, so that 0 stands for none.
#[derive(Debug, Default)]
pub(super) struct LiveCaps([AtomicU32; Resource::ALL.len()]);

impl LiveCaps {
    pub(super) fn new(caps: &Caps) -> Self {
        let live = Self::default();
        live.set(caps);
        live
    }

    pub(super) fn set(&self, caps: &Caps) {
        for resource in Resource::ALL {
            if let Some(cap) = self.0.get(resource.place()) {
                cap.store(caps.of(resource).unwrap_or(0), Ordering::Relaxed);
            }
        }
    }

    pub(super) fn of(&self, resource: Resource) -> Option<u32> {
        self.0.get(resource.place()).map(|cap| cap.load(Ordering::Relaxed)).filter(|cap| *cap > 0)
    }
}
