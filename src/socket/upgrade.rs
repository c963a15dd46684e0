use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::{
    http::{HeaderMap, request::Parts},
    response::Response,
};
use tokio::{sync::Semaphore, time::Instant};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_util::task::TaskTracker;

use super::{
    Admission, Admitted, Handshake, Invitations, Limits, Registry, Tokens, Unfit,
    heartbeat::Ticks,
    opening::{Opening, Wish},
    refusal::Refusal,
    tokens::Held,
    web_socket::WRITE_BUFFER,
};
use crate::{
    account::Accounts,
    auth::Keys,
    clock::Clock,
    config::Config,
    hub::Hub,
    id::ConnId,
    limit::Throttle,
    protocol::MAX_TRANSPORT_BYTES,
    telemetry::{Label as _, Metrics, Refused, Subject},
};

/// What a socket reads into. A frame is a hundred bytes as a rule; larger ones grow it for as long as they are there.
const READ_BUFFER: usize = 256;
/// Seats that are given up at the same time.
const DEPARTURES: usize = 32;
/// Some round trips around the world, and not longer than the last moments of a drain.
const HANDOVER: Duration = Duration::from_secs(2);
/// Log lines about refusals: so many at once, and in the long run.
const REFUSALS: u32 = 200;
const REFUSALS_PER_SECOND: u32 = 50;
/// Sockets that are opened only to tell why they are closed, at the same time.
const LAST_WORDS: usize = 32;

/// What all sockets of this node share.
#[derive(Debug)]
pub struct Gateway {
    pub(super) hub: Arc<Hub>,
    pub(super) keys: Keys,
    pub(super) clock: Clock,
    pub(super) metrics: Arc<Metrics>,
    pub(super) admission: Arc<Admission>,
    pub(super) registry: Arc<Registry>,
    pub(super) accounts: Arc<Accounts>,
    /// How tokens are judged; nothing where nobody looks at them.
    pub(super) tokens: Option<Tokens>,
    pub(super) invitations: Invitations,
    tasks: TaskTracker,
    pub(super) limits: Arc<Limits>,
    pub(super) ping_interval: Duration,
    pub(super) ping_timeout: Duration,
    /// When the timers of idle sockets fire.
    pub(super) ticks: Ticks,
    pub(super) join_timeout: Duration,
    /// How long the seat of a client waits for it to come back on another node, while this one drains.
    pub(super) handover: Duration,
    /// The turns of those who depart.
    pub(super) departures: Semaphore,
    /// The turns of those who are refused by a close.
    last_words: Arc<Semaphore>,
    /// For the log lines of refusals.
    pub(super) refusals: Throttle,
    /// For those about clients whose address nobody tells.
    pub(super) strangers: Throttle,
}

/// What a gateway is made of.
#[derive(Debug)]
#[allow(missing_docs, reason = "each is its own name")]
pub struct GatewayParts {
    pub hub: Arc<Hub>,
    pub keys: Keys,
    pub clock: Clock,
    pub metrics: Arc<Metrics>,
    pub admission: Arc<Admission>,
    pub registry: Arc<Registry>,
    pub accounts: Arc<Accounts>,
    pub tokens: Option<Tokens>,
    pub invitations: Invitations,
    pub tasks: TaskTracker,
}

impl Gateway {
    /// A gateway with the rules of `config`.
    pub fn new(parts: GatewayParts, config: &Config) -> Self {
        let GatewayParts { hub, keys, clock, metrics, admission, registry, accounts, tokens, invitations, tasks } =
            parts;
        Self {
            hub,
            keys,
            clock,
            metrics,
            admission,
            registry,
            accounts,
            tokens,
            invitations,
            tasks,
            limits: Arc::new(Limits::new(config)),
            ping_interval: config.socket.ping_interval,
            ping_timeout: config.socket.ping_timeout,
            ticks: Ticks::new(Instant::now()),
            join_timeout: config.socket.join_timeout,
            handover: if config.redis.is_given() { HANDOVER } else { Duration::ZERO },
            departures: Semaphore::new(DEPARTURES),
            last_words: Arc::new(Semaphore::new(LAST_WORDS)),
            refusals: Throttle::new(REFUSALS_PER_SECOND, REFUSALS),
            strangers: Throttle::new(1, 1),
        }
    }

    /// What may change while the node runs.
    pub fn limits(&self) -> &Arc<Limits> {
        &self.limits
    }

    /// Bytes that wait in the outboxes of all sockets, and in the fullest one.
    pub fn waiting(&self) -> (usize, usize) {
        self.registry.waiting()
    }

    /// Counts a refused upgrade and writes it to the log, of which a crowd cannot make a flood.
    pub(super) fn refuse(&self, why: Refused, address: Option<IpAddr>) {
        self.refuse_for(why, None, address);
    }

    /// The same, and names what is wrong with the token or the invitation.
    fn refuse_for(&self, why: Refused, fault: Option<&'static str>, address: Option<IpAddr>) {
        self.metrics.upgrades_refused.inc(why);
        if let Some(skipped) = self.refusals.pass(self.clock.now()) {
            let client = address.map_or_else(|| "unknown".to_owned(), |address| address.to_string());
            tracing::info!(why = why.value(), fault, client, skipped, "upgrade refused");
        }
    }

    /// How bytes become messages.
    fn transport(&self) -> WebSocketConfig {
        WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(WRITE_BUFFER)
            .max_write_buffer_size(self.limits.outbox_bytes() + WRITE_BUFFER + MAX_TRANSPORT_BYTES)
            .max_message_size(Some(MAX_TRANSPORT_BYTES))
            .max_frame_size(Some(MAX_TRANSPORT_BYTES))
    }

    /// Refuses a request that is not right for a WebSocket.
    pub fn turn_away(&self, unfit: Unfit, address: Option<IpAddr>) -> Response {
        self.refuse(Refused::Handshake, address);
        tracing::debug!(%unfit, "no WebSocket handshake");
        unfit.answer()
    }
}

/// Lets a socket in, or refuses it while it is still HTTP: a refusal here makes clients back off, a close later does not.
pub async fn upgrade(
    gateway: &Arc<Gateway>,
    address: Option<IpAddr>,
    parts: &Parts,
    client: (ConnId, Arc<Subject>),
    handshake: Handshake,
) -> Response {
    let wish = Wish::read(&parts.headers, parts.uri.query());
    let (by_close, subprotocol) = (wish.refuse_by_close, wish.offers_subprotocol);
    match admit(gateway, address, &parts.headers, client, wish).await {
        Ok(admitted) => {
            let tasks = gateway.tasks.clone();
            handshake.accept(gateway.transport(), subprotocol, move |socket| async move {
                // A task of its own: that of the handshake would hold what it needed for as long as the socket lives.
                tasks.spawn(admitted.serve(socket));
            })
        }
        Err(refusal) => {
            match refusal.close().filter(|_| by_close).zip(gateway.last_words.clone().try_acquire_owned().ok()) {
                Some((close, turn)) => handshake.accept(gateway.transport(), subprotocol, move |socket| async move {
                    refusal.tell(socket, close).await;
                    drop(turn);
                }),
                None => refusal.answer(),
            }
        }
    }
}

async fn admit(
    gateway: &Arc<Gateway>,
    address: Option<IpAddr>,
    headers: &HeaderMap,
    client: (ConnId, Arc<Subject>),
    wish: Wish,
) -> Result<Admitted, Refusal> {
    if !gateway.limits.allow_origin(headers) {
        gateway.refuse(Refused::Origin, address);
        return Err(Refused::Origin.into());
    }
    let admitted = Admitted::new(gateway, address, client)?;
    let now = gateway.clock.now();
    let held = match &gateway.tokens {
        Some(tokens) => tokens.admit(&wish, now).await.inspect_err(|why| {
            gateway.metrics.tokens_refused.inc(why.label());
            gateway.refuse_for(Refused::Token, Some(why.label().value()), address);
        })?,
        None => None,
    };
    let invitation = wish.invitation().map(|text| gateway.invitations.verify(text, now)).transpose();
    let invitation = invitation.inspect_err(|why| {
        gateway.metrics.invitations_refused.inc(why.label());
        gateway.refuse_for(Refused::Invitation, Some(why.label().value()), address);
    })?;
    let frames = wish.frames(held.as_ref().map(Held::identity), invitation.as_ref());
    Ok(admitted.with(Opening { held: held.map(Box::new), frames }))
}
