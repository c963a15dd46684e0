use std::sync::Arc;

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};

use super::{
    CounterVec, ProxyHeaderFault,
    register::{counter, gauge},
};

/// The metrics of connections that are not WebSockets.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "each is described where it is registered")]
pub struct HttpMetrics {
    pub connections: Gauge,
    pub shed: Counter,
    pub http2_connections: Gauge,
    pub http2_sockets: Counter,
    pub accept_failures: Counter,
    pub proxy_headers_refused: Arc<CounterVec<ProxyHeaderFault>>,
}

impl Default for HttpMetrics {
    /// Metrics that nobody reads.
    fn default() -> Self {
        Self::register(&mut Registry::default())
    }
}

impl HttpMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        Self {
            connections: gauge(registry, "http_connections", "Open HTTP connections, without WebSockets"),
            shed: counter(
                registry,
                "http_connections_shed",
                "Idle HTTP connections that were closed to make room for others",
            ),
            http2_connections: gauge(
                registry,
                "http2_connections",
                "Open connections of HTTP/2, with or without WebSockets on them",
            ),
            http2_sockets: counter(
                registry,
                "http2_websockets_opened",
                "WebSockets opened over HTTP/2 since the start, which connections_opened counts, too",
            ),
            accept_failures: counter(
                registry,
                "accept_failures",
                "Times that no connection could be accepted because files or memory ran out",
            ),
            proxy_headers_refused: Arc::new(CounterVec::register(
                registry,
                "proxy_headers_refused",
                "Connections that were closed for their PROXY header, by reason",
            )),
        }
    }
}
