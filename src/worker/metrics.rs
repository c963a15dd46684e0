use std::sync::atomic::AtomicU64;

use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, gauge::Gauge, histogram::Histogram, info::Info},
    registry::Registry,
};

use crate::telemetry::{PoolGauges, PoolUse, ProcessCollector, RuntimeCollector};

/// Bounds of batches, in seconds.
const SECONDS: [f64; 11] = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// The metrics of a worker.
#[derive(Debug)]
#[allow(missing_docs, reason = "each is described where it is registered")]
pub struct WorkerMetrics {
    registry: Registry,
    pub events: Counter,
    pub batches: Counter,
    pub batch_seconds: Histogram,
    pub retries: Counter,
    pub dead_letters: Counter,
    pub set_aside: Counter,
    pub taken_over: Counter,
    pub breaker: Gauge,
    pub stream_length: Gauge,
    pub lag_seconds: Gauge<f64, AtomicU64>,
    pub cpu_waiting: Gauge<f64, AtomicU64>,
    pub jobs: Gauge,
    pool: PoolGauges,
}

impl WorkerMetrics {
    /// All at zero.
    pub fn new(worker: &str) -> Self {
        let mut all = Registry::default();
        all.register_collector(Box::new(ProcessCollector));
        let registry = all.sub_registry_with_prefix("tandem");
        registry.register_collector(Box::new(RuntimeCollector));
        let build = vec![
            ("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
            ("worker".to_owned(), worker.to_owned()),
        ];
        registry.register("worker_build", "Version of the binary and name of this worker", Info::new(build));
        let metrics = Self {
            events: Counter::default(),
            batches: Counter::default(),
            batch_seconds: Histogram::new(SECONDS),
            retries: Counter::default(),
            dead_letters: Counter::default(),
            set_aside: Counter::default(),
            taken_over: Counter::default(),
            breaker: Gauge::default(),
            stream_length: Gauge::default(),
            lag_seconds: Gauge::default(),
            cpu_waiting: Gauge::default(),
            jobs: Gauge::default(),
            pool: PoolGauges::register(registry),
            registry: Registry::default(),
        };
        let mut counter = |name, help, counter: &Counter| registry.register(name, help, counter.clone());
        counter(
            "ledger_events_written",
            "Events that this worker wrote to PostgreSQL; repeated ones do not count",
            &metrics.events,
        );
        counter("ledger_batches", "Committed transactions", &metrics.batches);
        counter("ledger_retries", "Transactions that failed and were retried", &metrics.retries);
        counter("ledger_dead_letters", "Entries that were moved to dead_letters", &metrics.dead_letters);
        counter(
            "ledger_set_aside",
            "Times that an entry was left in Redis because PostgreSQL accepts other entries but neither this one nor its dead letter",
            &metrics.set_aside,
        );
        counter("worker_taken_over", "Entries that were claimed for too long and were taken over", &metrics.taken_over);
        let mut gauge = |name, help, gauge: &Gauge| registry.register(name, help, gauge.clone());
        gauge(
            "worker_breaker",
            "State of the circuit breaker for PostgreSQL: 0 closed (in use), 1 half open (being tried), 2 open (paused for some seconds)",
            &metrics.breaker,
        );
        gauge("ledger_stream_length", "Ledger entries in Redis, over all partitions", &metrics.stream_length);
        gauge("worker_jobs", "1 on the worker that runs the hourly jobs", &metrics.jobs);
        registry.register("ledger_batch_seconds", "Time that a transaction took", metrics.batch_seconds.clone());
        registry.register("ledger_lag_seconds", "Age of the oldest ledger entry in Redis", metrics.lag_seconds.clone());
        registry.register(
            "worker_cpu_waiting_ratio",
            "Part of the time since the last round in which tasks of this machine waited for a processor; the worker rests for it",
            metrics.cpu_waiting.clone(),
        );
        Self { registry: all, ..metrics }
    }

    /// As `OpenMetrics`; `Format` has the older text.
    pub fn render(&self, pool: PoolUse) -> String {
        self.pool.set(pool);
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
