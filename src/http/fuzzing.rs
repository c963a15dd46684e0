//! The way in for the targets in `fuzz/`, which see only what is public. Nothing else is built with this.

use std::{net::IpAddr, sync::Arc};

use axum::Router;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::task::TaskTracker;

use super::{
    proxy_header::{Malformed, Opening, Source},
    pulse::Pulse,
    read_ahead::ReadAhead,
    serve,
    threshold::{Entered, Threshold},
};
use crate::{config::Network, telemetry::HttpMetrics};

/// What the first bytes of a connection are taken for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "as in proxy_header.rs")]
pub enum Opened {
    Header { client: Option<IpAddr>, length: usize },
    Part,
    Other,
    Malformed,
}

/// Reads the first bytes of a connection.
pub fn open(bytes: &[u8]) -> Opened {
    match Opening::read(bytes) {
        Ok(Opening::Header(source, length)) => {
            let client = match source {
                Source::Client(client) => Some(client),
                Source::Proxy | Source::Unknown => None,
            };
            Opened::Header { client, length }
        }
        Ok(Opening::Part) => Opened::Part,
        Ok(Opening::Other) => Opened::Other,
        Err(Malformed) => Opened::Malformed,
    }
}

/// Serves one connection, from its first byte to its last, without the deadlines of a listener.
pub async fn converse<S>(mut stream: S, address: IpAddr, proxies: Vec<Network>, metrics: HttpMetrics, router: Router)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let threshold = Threshold::new(proxies, metrics);
    let Ok(Entered { peer, rest }) = threshold.enter(&mut stream, address).await else { return };
    let pulse = Arc::new(Pulse::new());
    let stream = ReadAhead::new(stream, rest, TaskTracker::new(), Some(Arc::clone(&pulse)));
    let _ = serve::converse(stream, (peer, None), Arc::new(router), pulse).await;
}
