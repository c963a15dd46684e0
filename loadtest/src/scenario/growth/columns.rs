use crate::findings::Column;

/// What kind of load the figures are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Load {
    /// Sockets at rest.
    Idle,
    /// Changes and their deliveries.
    Control,
}

const MEMORY: &str = "Memory of an idle socket, bytes";
const REST: &str = "CPU at rest, % of a core";
const COST: &str = "CPU of a delivery, µs";
const BUSY: &str = "CPU under load, % of a core";
const LATENCY: &str = "Latency, ms";

/// Figure, head of its column, and, where it is in a plot, which and under which name.
type Shape = (&'static str, &'static str, Option<(&'static str, &'static str)>);

const IDLE: [Shape; 6] = [
    ("socket_rss_bytes", "RSS", Some((MEMORY, "nodes"))),
    ("socket_private_bytes", "private", None),
    ("socket_redis_rss_bytes", "RSS of Redis", Some((MEMORY, "Redis"))),
    ("idle_cpu_percent", "CPU %", Some((REST, "nodes"))),
    ("idle_redis_cpu_percent", "Redis CPU %", Some((REST, "Redis"))),
    ("joins_per_second", "joins/s", None),
];

const CONTROL: [Shape; 9] = [
    ("delivery_cpu_us", "all us", Some((COST, "all"))),
    ("delivery_nodes_cpu_us", "nodes us", Some((COST, "nodes"))),
    ("delivery_redis_cpu_us", "Redis us", Some((COST, "Redis"))),
    ("nodes_cpu_percent", "nodes %", Some((BUSY, "nodes"))),
    ("redis_cpu_percent", "Redis %", Some((BUSY, "Redis"))),
    ("latency_p50_ms", "p50 ms", Some((LATENCY, "p50"))),
    ("latency_p99_ms", "p99 ms", Some((LATENCY, "p99"))),
    ("latency_p999_ms", "p99.9 ms", None),
    ("generator_lag_p99_ms", "generator p99", Some((LATENCY, "p99 of the generator itself"))),
];

impl Load {
    /// What is told of each point.
    pub(crate) fn columns(self) -> Vec<Column> {
        let shapes: &[Shape] = match self {
            Self::Idle => &IDLE,
            Self::Control => &CONTROL,
        };
        let column = |(figure, head, plot): &Shape| Column {
            figure: (*figure).to_owned(),
            head: (*head).to_owned(),
            plot: plot.map(|(plot, name)| (plot.to_owned(), name.to_owned())),
        };
        shapes.iter().map(column).collect()
    }
}
