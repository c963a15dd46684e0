use std::{sync::Arc, time::Duration};

use axum::{Router, body::Body, http::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower_service::Service as _;

use super::{Peer, scoop::Scoop};

/// The largest request head, in bytes: beyond it hyper answers 431.
const MAX_HEAD: usize = 32 * 1024;
/// After an error of `accept` (too many files, say) it is tried again after this.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections until `stop`, each in a task of `tasks`. Ours rather than axum's, for the deadline on request heads and
/// for TCP_NODELAY.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    header_timeout: Duration,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    let router = Arc::new(router);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, address)) => {
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "TCP_NODELAY");
                }
                let stream = Scoop::new(stream, tasks.clone());
                let connection = connection(stream, Peer(address), Arc::clone(&router), header_timeout);
                let stop = stop.clone();
                tasks.spawn(async move {
                    tokio::select! {
                        () = connection => {}
                        () = stop.cancelled() => {}
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn connection(stream: Scoop, peer: Peer, router: Arc<Router>, header_timeout: Duration) {
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        let mut router = Router::clone(&router);
        async move { router.call(request.map(Body::new)).await }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, peer = %peer.0, "a connection ended early");
    }
}
