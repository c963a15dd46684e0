use std::{
    convert::Infallible,
    future::{Future as _, poll_fn},
    pin::pin,
    sync::Arc,
    task::ready,
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    http::{HeaderValue, Request, Response, header},
};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, sleep_until};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower_service::Service as _;

use super::{
    Patience, Peer,
    answer::Answer,
    lane::{Lane, Runner},
    paced::Paced,
    peer::Encrypted,
    pulse::{Asked, Pulse},
    read_ahead::{ReadAhead, Stream},
    seat::Seat,
    serve::{Ended, MAX_HEAD},
};
use crate::{
    account::Account,
    clock::{Clock, Millis},
    socket,
    telemetry::{GaugeGuard, HttpMetrics},
};

/// Requests and sockets that one connection carries at the same time.
const STREAMS: u32 = 100;
/// Bytes that a client may send on a stream before the node has read them. A client that sends too fast is read slowly, and this waits.
const STREAM_WINDOW: u32 = 32 * 1024;
/// The same for all streams of a connection. It is more than they may send together, so that none of them waits for another; and h2 lets half
/// of it be the cost of frames under 256 bytes that nobody has read, which messages mostly are: 130,000 or so.
const CONNECTION_WINDOW: u32 = 64 * 1024 * 1024;
/// Bytes of a stream that wait for the connection to write them.
const SEND_BUFFER: usize = 16 * 1024;
/// Streams that a client has taken back before the node has looked at them. A proxy, whose connection is that of many, may take back all.
const EARLY_RESETS: usize = 20;
const EARLY_RESETS_OF_MANY: usize = 10 * STREAMS as usize;
/// Streams that the node has reset for a fault of the other end, for as long as the connection lives.
const FAULTS: usize = 100;
const FAULTS_OF_MANY: usize = 10_000;
/// The longest time that a connection is not looked at because its address has used too much CPU time.
const LONGEST_REST: Duration = Duration::from_millis(500);

/// What a connection of HTTP/2 is served with.
pub(super) struct Party {
    pub(super) who: (Peer, Option<Encrypted>),
    pub(super) router: Arc<Router>,
    pub(super) pulse: Arc<Pulse>,
    pub(super) seat: Seat,
    pub(super) tasks: TaskTracker,
    pub(super) patience: Patience,
    pub(super) metrics: HttpMetrics,
    /// The account that pays for what the connection costs, if the other end is a client.
    pub(super) account: Option<(Arc<Account>, Clock)>,
    /// The node takes no new sockets any more.
    pub(super) drain: CancellationToken,
}

/// Speaks HTTP/2 until the connection ends.
pub(super) async fn converse<S: Stream>(stream: ReadAhead<S>, party: Party) -> Result<(), Ended> {
    let Party { who, router, pulse, mut seat, tasks, patience, metrics, account, drain } = party;
    let _counted = GaugeGuard::new(&metrics.http2_connections, 1);
    let is_client = account.is_some();
    pulse.has_streams(is_client);
    let runner = Runner { tasks, pulse: Arc::clone(&pulse), metrics, write: patience.write };
    let asked = Arc::clone(&pulse);
    let service = service_fn(move |request| answer(request, who, Router::clone(&router), asked.asked()));
    let mut http = http2::Builder::new(runner);
    http.enable_connect_protocol()
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_header_list_size(u32::try_from(MAX_HEAD).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(if is_client { EARLY_RESETS } else { EARLY_RESETS_OF_MANY })
        .max_local_error_reset_streams(if is_client { FAULTS } else { FAULTS_OF_MANY });
    let mut connection = pin!(http.serve_connection(TokioIo::new(Paced::new(stream)), service));
    // Whoever comes while the node drains wants to know how it is.
    let mut told = drain.is_cancelled();
    let mut drained = pin!(drain.cancelled());
    let (mut rest, mut rests) = (pin!(sleep_until(Instant::now())), false);
    poll_fn(|context| {
        if rests {
            ready!(rest.as_mut().poll(context));
            rests = false;
        }
        if !told && (pulse.is_leaving() || drained.as_mut().poll(context).is_ready()) {
            told = true;
            connection.as_mut().graceful_shutdown();
        }
        let begun = Instant::now();
        let step = connection.as_mut().poll(context).map_err(Ended::Http);
        if step.is_pending() {
            seat.tend(&pulse)?;
            if let Some(debt) = debt(account.as_ref(), begun) {
                rest.as_mut().reset(Instant::now() + debt);
                rests = rest.as_mut().poll(context).is_pending();
            }
        }
        step
    })
    .await
}

/// Charges the time since `begun`. Frames that ask for nothing, such as pings, cost their sender in this way, too. Returns how long the
/// connection is not looked at for that, as a rule not at all.
fn debt(account: Option<&(Arc<Account>, Clock)>, begun: Instant) -> Option<Duration> {
    let (account, clock) = account?;
    let debt: Millis = account.spend_cpu(begun.elapsed(), || clock.now());
    (debt > 0).then(|| Duration::from_millis(debt).min(LONGEST_REST))
}

async fn answer(
    mut request: Request<Incoming>,
    (peer, encrypted): (Peer, Option<Encrypted>),
    mut router: Router,
    asked: Asked,
) -> Result<Response<Answer>, Infallible> {
    let lane = Lane::current();
    request.extensions_mut().insert(peer);
    if let Some(encrypted) = encrypted {
        request.extensions_mut().insert(encrypted);
    }
    if let Some(lane) = &lane {
        request.extensions_mut().insert(socket::Lane::new(Arc::clone(lane) as Arc<dyn socket::Carrier>));
    }
    // Where HTTP/1.1 has a header, this has a part of the address (RFC 9113, 8.3.1).
    if let Some(host) = request.uri().authority().and_then(|it| HeaderValue::from_str(it.as_str()).ok()) {
        request.headers_mut().entry(header::HOST).or_insert(host);
    }
    let answered = router.call(request.map(Body::new)).await;
    answered.map(|answer| answer.map(|body| Answer::new(body, asked, lane)))
}
