use std::sync::Arc;

use prometheus_client::{metrics::gauge::Gauge, registry::Registry};

use super::{CounterVec, TlsHandshake, TlsReload, register::gauge};

/// The metrics of the node's own TLS.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "each is described where it is registered")]
pub struct TlsMetrics {
    pub expiry: Gauge,
    pub reloads: Arc<CounterVec<TlsReload>>,
    pub handshakes: Arc<CounterVec<TlsHandshake>>,
}

impl TlsMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        Self {
            expiry: gauge(
                registry,
                "tls_certificate_expiry_timestamp_seconds",
                "When the certificate in use expires, in seconds since 1970; 0 without TLS_CERT_FILE",
            ),
            reloads: Arc::new(CounterVec::register(
                registry,
                "tls_reloads",
                "Certificates that were put in the place of the one in use, by what became of them",
            )),
            handshakes: Arc::new(CounterVec::register(
                registry,
                "tls_handshakes",
                "TLS handshakes by outcome, and connections without TLS that TLS_ONLY refused",
            )),
        }
    }
}
