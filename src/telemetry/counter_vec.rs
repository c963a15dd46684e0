use std::{marker::PhantomData, sync::atomic::AtomicU64};

use prometheus_client::{
    metrics::{
        counter::{Atomic, Counter},
        family::Family,
    },
    registry::Registry,
};

/// A closed list of values of one label.
pub trait Label: Copy + PartialEq + 'static {
    /// The name of the label.
    const KEY: &'static str;
    /// Every value of the label.
    const ALL: &'static [Self];

    /// The value as it is exported.
    fn value(self) -> &'static str;

    /// Its index in [`Label::ALL`].
    fn place(self) -> usize {
        Self::ALL.iter().position(|it| *it == self).unwrap_or(0)
    }
}

/// A counter for each value of a label. All exist from the start, at zero, so counting needs no look-up.
#[derive(Debug)]
pub struct CounterVec<L, A = AtomicU64> {
    counters: Box<[Counter<u64, A>]>,
    of: PhantomData<L>,
}

impl<L: Label, A> CounterVec<L, A>
where
    A: Atomic<u64> + Default + std::fmt::Debug + Send + Sync + 'static,
{
    /// Registers a counter for each value of the label.
    pub(super) fn register(registry: &mut Registry, name: &str, help: &str) -> Self {
        let family = Family::<[(&'static str, &'static str); 1], Counter<u64, A>>::default();
        let counters = L::ALL.iter().map(|label| family.get_or_create_owned(&[(L::KEY, label.value())])).collect();
        registry.register(name, help, family);
        Self { counters, of: PhantomData }
    }

    /// Adds one.
    pub fn inc(&self, label: L) {
        self.add(label, 1);
    }

    /// Adds an amount.
    pub fn add(&self, label: L, more: u64) {
        if let Some(counter) = self.counters.get(label.place()) {
            counter.inc_by(more);
        }
    }

    /// Raises the counter to a total that was counted elsewhere.
    pub(super) fn raise(&self, label: L, to: u64) {
        if let Some(counter) = self.counters.get(label.place()) {
            counter.inc_by(to.saturating_sub(counter.get()));
        }
    }
}
