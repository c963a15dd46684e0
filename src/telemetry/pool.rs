use prometheus_client::{metrics::gauge::Gauge, registry::Registry};

/// How the connections to PostgreSQL are used.
#[derive(Debug, Clone, Copy, Default)]
pub struct PoolUse {
    /// Open connections.
    pub size: usize,
    /// Open connections that are idle.
    pub available: usize,
    /// Tasks that wait for a connection.
    pub waiting: usize,
    /// The limit of the pool.
    pub most: usize,
}

/// The gauges of the connections to PostgreSQL.
#[derive(Debug, Default)]
pub struct PoolGauges {
    size: Gauge,
    available: Gauge,
    waiting: Gauge,
    most: Gauge,
}

impl PoolGauges {
    /// Registers the gauges, at zero.
    pub fn register(registry: &mut Registry) -> Self {
        let pool = Self::default();
        let mut gauge = |name, help, gauge: &Gauge| registry.register(name, help, gauge.clone());
        gauge("postgres_pool_size", "Open connections to PostgreSQL", &pool.size);
        gauge("postgres_pool_available", "Idle connections to PostgreSQL", &pool.available);
        gauge("postgres_pool_waiting", "Tasks that wait for a connection to PostgreSQL", &pool.waiting);
        gauge("postgres_pool_max", "Maximum number of connections to PostgreSQL (POSTGRES_POOL_SIZE)", &pool.most);
        pool
    }

    /// Sets the gauges before a scrape.
    pub fn set(&self, now: PoolUse) {
        let set = |gauge: &Gauge, value: usize| gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        set(&self.size, now.size);
        set(&self.available, now.available);
        set(&self.waiting, now.waiting);
        set(&self.most, now.most);
    }
}
