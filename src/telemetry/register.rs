//! Short forms for registering a metric.

use std::time::Duration;

use prometheus_client::{
    metrics::{
        counter::{Atomic, Counter},
        gauge::Gauge,
    },
    registry::Registry,
};

use super::Histogram;

pub(super) fn gauge(registry: &mut Registry, name: &str, help: &str) -> Gauge {
    let gauge = Gauge::default();
    registry.register(name, help, gauge.clone());
    gauge
}

pub(super) fn counter<A>(registry: &mut Registry, name: &str, help: &str) -> Counter<u64, A>
where
    A: Atomic<u64> + Default + std::fmt::Debug + Send + Sync + 'static,
{
    let counter = Counter::default();
    registry.register(name, help, counter.clone());
    counter
}

pub(super) fn histogram(registry: &mut Registry, name: &str, help: &str, bounds: &'static [Duration]) -> Histogram {
    let histogram = Histogram::new(bounds);
    registry.register(name, help, histogram.clone());
    histogram
}
