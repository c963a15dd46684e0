use std::{
    future::Future,
    io,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Poll, ready},
    time::Duration,
};

use axum::{Router, body::Body, http::Request};
use bytes::Bytes;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    time::{Instant, sleep_until},
};
use tokio_rustls::server::TlsStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower_service::Service as _;

use super::{
    Patience, Peer,
    answer::Answer,
    caller::ConnectionAccounts,
    charged::charged,
    complaint::Complaint,
    connection_limit::{ConnectionLimit, ConnectionSlot},
    http2::{self, Party},
    peer::Encrypted,
    preface::Spoken,
    pulse::{Overdue, Pulse},
    read_ahead::{ReadAhead, Stream},
    seat::Seat,
    threshold::{Entered, NotEntered, Threshold},
};
use crate::{
    account::{Account, Exceeded, Hold},
    clock::{Clock, Millis},
    config::Network,
    socket::Admission,
    telemetry::{HttpMetrics, ProxyHeaderFault},
    tls::Tls,
};

/// The largest request head, in bytes: beyond it hyper answers 431. Over HTTP/2 each header counts 32 bytes more.
pub(super) const MAX_HEAD: usize = 32 * 1024;
/// The answer to an address that has too many connections.
const TOO_MANY: &[u8] =
    b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 2\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
/// The answer to a connection without TLS where there has to be one.
const PLAIN: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\ncontent-length: 46\r\nconnection: close\r\n\r\n\
    this port speaks TLS: use https:// and wss://\n";
/// Pause after a failed `accept` (too many open files, for example).
const PAUSE: Duration = Duration::from_millis(100);

/// Terms on which connections are served.
#[derive(Debug)]
pub struct Terms {
    /// Their deadlines.
    pub patience: Patience,
    /// Maximum number of connections at once that are not WebSockets.
    pub most: usize,
    /// The sockets, whose free places they may borrow.
    pub sockets: Option<Arc<Admission>>,
    /// The proxies whose connections begin with a PROXY header.
    pub proxy_protocol_from: Vec<Network>,
    /// Whether HTTP/2 is spoken, too, without TLS.
    pub http2: bool,
    /// Cancelled when the node begins to drain: connections of HTTP/2 are told.
    pub drain: CancellationToken,
    /// TLS for those who speak it, if there is a certificate.
    pub tls: Option<Arc<Tls>>,
    /// Whether others than this machine have to speak it.
    pub tls_only: bool,
    /// The metrics that count them.
    pub metrics: HttpMetrics,
    /// The accounts that hold them; none for connections from the inside.
    pub accounts: Option<ConnectionAccounts>,
}

/// Accepts connections until `stop`, and serves each in a task of `tasks`. `axum::serve` has neither these deadlines nor TCP_NODELAY.
pub async fn serve(listener: TcpListener, router: Router, terms: Terms, tasks: TaskTracker, stop: CancellationToken) {
    let router = Arc::new(router);
    let Terms { patience, most, sockets, proxy_protocol_from, http2, drain, tls, tls_only, metrics, accounts } = terms;
    let accounts = accounts.map(Arc::new);
    let limit = ConnectionLimit::new(most, sockets, metrics.clone());
    let threshold = Arc::new(Threshold::new(proxy_protocol_from, metrics.clone()));
    let (failed, crowded) = (Complaint::new(), Complaint::new());
    loop {
        let next = async {
            // Whoever has no place yet waits in the queue of the kernel.
            let shed = limit.room().await;
            if let Some(shed) = shed
                && let Some(skipped) = crowded.pass()
            {
                tracing::warn!(
                    most = limit.most(),
                    shed,
                    skipped,
                    "all HTTP connections that the open files allow are in use (ulimit -n); the longest idle ones are closed, and newcomers \
                     wait"
                );
            }
            listener.accept().await
        };
        let accepted = tokio::select! {
            accepted = next => accepted,
            () = stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, address)) => {
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "TCP_NODELAY");
                }
                // On a socket for both families an IPv4 client has an IPv4-mapped IPv6 address.
                let address = SocketAddr::new(address.ip().to_canonical(), address.port());
                // Before it takes the place of another connection. A balancer has to say first whom it connects for.
                let hold = match accounts.as_ref().filter(|_| !threshold.expects(address.ip())) {
                    Some(accounts) => accounts.hold(Peer(Some(address.ip()))),
                    None => Ok(None),
                };
                let Ok(hold) = hold.inspect_err(|exceeded| refuse(&stream, address, *exceeded)) else { continue };
                let pulse = Arc::new(Pulse::new());
                let (member, _) = limit.enter(Arc::clone(&pulse));
                let threshold = Arc::clone(&threshold);
                let connection = Connection {
                    stream,
                    address,
                    threshold,
                    pulse,
                    patience,
                    http2,
                    drain: drain.clone(),
                    tls: tls.clone(),
                    tls_only,
                    member,
                    hold,
                    limit: Arc::clone(&limit),
                    metrics: metrics.clone(),
                    accounts: accounts.clone(),
                    tasks: tasks.clone(),
                };
                let (router, stop) = (Arc::clone(&router), stop.clone());
                tasks.spawn(async move {
                    tokio::select! {
                        () = connection.serve(router) => {}
                        () = stop.cancelled() => {}
                    }
                });
            }
            Err(error) if is_of_one_client(&error) => {
                tracing::debug!(%error, "a client went away before its connection was accepted");
            }
            Err(error) => {
                metrics.accept_failures.inc();
                // Its place becomes free as soon as its task has run.
                let shed = limit.shed();
                if let Some(skipped) = failed.pass() {
                    tracing::warn!(%error, shed, skipped, "connections cannot be accepted; they wait, and accepting will be retried");
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Whether the error concerns only this connection.
fn is_of_one_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

struct Connection {
    stream: TcpStream,
    address: SocketAddr,
    threshold: Arc<Threshold>,
    pulse: Arc<Pulse>,
    patience: Patience,
    http2: bool,
    drain: CancellationToken,
    tls: Option<Arc<Tls>>,
    tls_only: bool,
    /// For as long as it is HTTP.
    member: ConnectionSlot,
    /// Its place in the account of the other end, if that is its client.
    hold: Option<Hold>,
    limit: Arc<ConnectionLimit>,
    metrics: HttpMetrics,
    accounts: Option<Arc<ConnectionAccounts>>,
    tasks: TaskTracker,
}

impl Connection {
    async fn serve(self, router: Arc<Router>) {
        let Self { mut stream, address, threshold, pulse, patience, http2, drain, .. } = self;
        let Self { tls, tls_only, member, hold, limit, metrics, accounts, tasks, .. } = self;
        let entered = AtomicBool::new(false);
        let shed = metrics.shed.clone();
        let served = async {
            let Entered { peer, rest } = threshold.enter(&mut stream, address.ip()).await?;
            entered.store(true, Ordering::Relaxed);
            let hold = match accounts.as_ref().filter(|_| hold.is_none() && peer.0.is_some()) {
                Some(accounts) => accounts.hold(peer).inspect_err(|exceeded| refuse(&stream, address, *exceeded))?,
                None => hold,
            };
            let (spoken, rest) = Spoken::listen(&mut stream, rest).await.map_err(Ended::Cut)?;
            let account = accounts.as_ref().and_then(|accounts| Some((accounts.of(peer)?, accounts.clock)));
            // Held for as long as the connection is HTTP.
            let seat = Seat::new((member, hold), limit, accounts, peer);
            let party = |who, seat, tasks| Party {
                who,
                router: Arc::clone(&router),
                pulse: Arc::clone(&pulse),
                seat,
                tasks,
                patience,
                metrics,
                account: account.clone(),
                drain,
            };
            // In boxes: plain connections do not pay for their size.
            match (spoken, tls) {
                (Spoken::Tls, Some(tls)) => {
                    Box::pin(async {
                        let stream = ReadAhead::new(stream, rest, tasks.clone(), None);
                        let stream = shake_hands(&tls, stream, account.clone()).await?;
                        let chosen_http2 = Tls::chose_http2(&stream);
                        let stream = ReadAhead::new(stream, Bytes::new(), tasks.clone(), Some(Arc::clone(&pulse)));
                        let who = (peer, Some(Encrypted));
                        if chosen_http2 {
                            return Box::pin(http2::converse(stream, party(who, seat, tasks))).await;
                        }
                        let _seat = seat;
                        let (router, pulse) = (Arc::clone(&router), Arc::clone(&pulse));
                        converse(stream, who, router, pulse).await.map_err(Ended::Http)
                    })
                    .await
                }
                (_, Some(tls)) if tls_only && !address.ip().is_loopback() => {
                    tls.refuse_plain();
                    let _ = stream.try_write(PLAIN);
                    Err(Ended::Plain)
                }
                (spoken, _) => {
                    let stream = ReadAhead::new(stream, rest, tasks.clone(), Some(Arc::clone(&pulse)));
                    if http2 && spoken == Spoken::Http2 {
                        return Box::pin(http2::converse(stream, party((peer, None), seat, tasks))).await;
                    }
                    let _seat = seat;
                    let (router, pulse) = (Arc::clone(&router), Arc::clone(&pulse));
                    converse(stream, (peer, None), router, pulse).await.map_err(Ended::Http)
                }
            }
        };
        let mut served = pin!(served);
        let mut alarm = pin!(sleep_until(Instant::now() + patience.head));
        let ended = std::future::poll_fn(|context| {
            loop {
                if let Poll::Ready(served) = served.as_mut().poll(context) {
                    return Poll::Ready(served);
                }
                // Every change of the pulse happens within that poll, or wakes this task.
                let Some((due, why)) = pulse.due(&patience, context.waker()) else { return Poll::Pending };
                if alarm.deadline() != due {
                    alarm.as_mut().reset(due);
                }
                ready!(alarm.as_mut().poll(context));
                if !pulse.says_goodbye(why) {
                    return Poll::Ready(Err(Ended::Overdue(why)));
                }
            }
        });
        match ended.await {
            Ok(()) => {}
            Err(Ended::NotEntered(NotEntered::Header(fault))) => threshold.refuse(fault, address),
            Err(Ended::Overdue(Overdue::Head))
                if !entered.load(Ordering::Relaxed) && threshold.expects(address.ip()) =>
            {
                threshold.refuse(ProxyHeaderFault::Slow, address);
            }
            Err(Ended::Overdue(why @ Overdue::Shed)) => {
                shed.inc();
                tracing::debug!(%why, peer = %address, "a connection was closed");
            }
            Err(Ended::Overdue(Overdue::Idle)) => tracing::trace!(peer = %address, "an idle connection was closed"),
            Err(why) => tracing::debug!(%why, peer = %address, "a connection was closed"),
        }
        pulse.finish();
    }
}

/// Tells a client that it has too many connections. The answer fits into the empty buffer of the kernel, or nobody gets it.
fn refuse(stream: &TcpStream, peer: SocketAddr, exceeded: Exceeded) {
    let _ = stream.try_write(TOO_MANY);
    tracing::debug!(%exceeded, %peer, "a connection was refused");
}

/// Shakes hands, at the expense of the client's account: a signature is the dearest thing that a node does for a stranger.
async fn shake_hands(
    tls: &Tls,
    stream: ReadAhead,
    account: Option<(Arc<Account>, Clock)>,
) -> Result<TlsStream<ReadAhead>, Ended> {
    let accepting = tls.accept(stream);
    let Some((account, clock)) = account else { return accepting.await.map_err(Ended::Tls) };
    match account.cpu_debt(|| clock.now()) {
        0 => {
            let charge = |time| {
                account.spend_cpu(time, || clock.now());
            };
            charged(accepting, charge).await.map_err(Ended::Tls)
        }
        debt => Err(Ended::Debt(debt)),
    }
}

/// Speaks HTTP/1.1 until the connection ends, or becomes a WebSocket. Not an `async fn`: those keep their arguments twice.
pub(super) fn converse<S: Stream>(
    stream: ReadAhead<S>,
    (peer, encrypted): (Peer, Option<Encrypted>),
    router: Arc<Router>,
    pulse: Arc<Pulse>,
) -> impl Future<Output = hyper::Result<()>> {
    let service = service_fn(move |mut request: Request<Incoming>| {
        let asked = pulse.asked();
        request.extensions_mut().insert(peer);
        if let Some(encrypted) = encrypted {
            request.extensions_mut().insert(encrypted);
        }
        let mut router = Router::clone(&router);
        async move {
            let answered = router.call(request.map(Body::new)).await;
            answered.map(|answer| answer.map(|body| Answer::new(body, asked, None)))
        }
    });
    let mut http = http1::Builder::new();
    http.header_read_timeout(None).max_buf_size(MAX_HEAD);
    http.serve_connection(TokioIo::new(stream), service).with_upgrades()
}

/// Why a connection ended before its client was done.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error(transparent)]
    NotEntered(#[from] NotEntered),
    #[error("its first bytes: {0}")]
    Cut(io::Error),
    #[error("the TLS handshake: {0}")]
    Tls(io::Error),
    #[error("it has no TLS")]
    Plain,
    #[error("its address has used up its CPU time for {0} ms")]
    Debt(Millis),
    #[error("it ended early: {0}")]
    Http(hyper::Error),
    #[error(transparent)]
    TooMany(#[from] Exceeded),
    #[error("{0}")]
    Overdue(Overdue),
}
