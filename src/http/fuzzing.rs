//! The way in for the targets in `fuzz/`, which see only what is public. Nothing else is built with this.

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::Router;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Patience,
    connection_limit::ConnectionLimit,
    http2::{self, Party},
    preface::Spoken,
    proxy_header::{Malformed, Opening, Source},
    pulse::Pulse,
    read_ahead::ReadAhead,
    seat::Seat,
    serve,
    threshold::{Entered, Threshold},
};
use crate::{config::Network, telemetry::HttpMetrics};

/// Longer than anything lasts here.
const DAY: Duration = Duration::from_hours(24);

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

/// Serves one connection of HTTP/1.1 or HTTP/2, from its first byte to its last, without the deadlines of a listener.
pub async fn converse<S>(mut stream: S, address: IpAddr, proxies: Vec<Network>, metrics: HttpMetrics, router: Router)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let threshold = Threshold::new(proxies, metrics.clone());
    let Ok(Entered { peer, rest }) = threshold.enter(&mut stream, address).await else { return };
    let Ok((spoken, rest)) = Spoken::listen(&mut stream, rest).await else { return };
    let (pulse, router, tasks) = (Arc::new(Pulse::new()), Arc::new(router), TaskTracker::new());
    let stream = ReadAhead::new(stream, rest, tasks.clone(), Some(Arc::clone(&pulse)));
    if spoken != Spoken::Http2 {
        let _ = serve::converse(stream, (peer, None), router, pulse).await;
        return;
    }
    let limit = ConnectionLimit::new(1, None, metrics.clone());
    let seat = Seat::new((limit.enter(Arc::clone(&pulse)).0, None), limit, None, peer);
    let patience = Patience { head: DAY, keep_alive: DAY, write: DAY };
    let (account, drain) = (None, CancellationToken::new());
    let party = Party { who: (peer, None), router, pulse, seat, tasks, patience, metrics, account, drain };
    let _ = http2::converse(stream, party).await;
}
