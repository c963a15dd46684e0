use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::{
    body::HttpBody as _,
    extract::{Extension, Request, State},
    http::{StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use super::{AppState, Peer, proxies::Proxies};
use crate::{
    account::{Account, Accounts, Exceeded, Hold},
    clock::{Clock, Millis},
    config::Resource,
    socket::Limits,
};

/// What a request costs on average. Those for a socket are charged for the handshake, too.
const REQUEST: Duration = Duration::from_micros(50);

/// Who makes a request.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    /// The address of the client, if it is known.
    pub(super) address: Option<IpAddr>,
    /// The account of that address.
    pub(super) account: Option<Arc<Account>>,
}

/// The accounts of those who open connections.
#[derive(Debug)]
pub struct ConnectionAccounts {
    pub(super) accounts: Arc<Accounts>,
    pub(super) proxies: Arc<Proxies>,
    pub(super) clock: Clock,
}

impl ConnectionAccounts {
    /// The account of the other end, if that is a client.
    pub(super) fn of(&self, peer: Peer) -> Option<Arc<Account>> {
        let address = peer.0.filter(|_| !self.proxies.is_proxy(peer))?;
        Some(self.accounts.of(address, self.clock.now()))
    }

    /// Has the account of the other end hold a connection. A proxy has none: its connections are of many clients.
    pub(super) fn hold(&self, peer: Peer) -> Result<Option<Hold>, Exceeded> {
        self.of(peer).map(|account| account.hold(Resource::Connections)).transpose()
    }
}

impl AppState {
    /// What sockets may do, as far as it may change.
    pub fn limits(&self) -> &Arc<Limits> {
        self.gateway.limits()
    }

    /// The accounts of those who open connections to this node.
    pub fn connection_accounts(&self) -> ConnectionAccounts {
        ConnectionAccounts {
            accounts: Arc::clone(&self.accounts),
            proxies: Arc::clone(&self.proxies),
            clock: self.clock,
        }
    }
}

/// Finds out who makes the request, and charges its account.
pub(super) async fn charge(
    State(app): State<Arc<AppState>>,
    Extension(peer): Extension<Peer>,
    mut request: Request,
    next: Next,
) -> Response {
    let headers = request.headers();
    let address = app.proxies.client(peer, headers);
    let now = app.clock.now();
    let account = address.map(|address| app.accounts.of(address, now));
    if let Some(account) = &account {
        if address == peer.0 && app.proxies.is_of_many(peer, headers) {
            account.is_of_many();
        }
        let debt = account.spend_cpu(REQUEST, || now);
        let capped = account.spend(Resource::Requests, 1, now).err().map(|(_, wait)| wait);
        if let Some(wait) = capped.or((debt > 0).then_some(debt)) {
            return too_many(wait);
        }
    }
    request.extensions_mut().insert(Caller { address, account });
    next.run(request).await
}

/// Charges the caller for the bytes of an answer about the node, and refuses others while it has had too many of them. One that was made for
/// somebody else costs no more than to send it; but it is much longer than what it takes to ask for it.
pub(super) async fn charge_numbers(
    State(app): State<Arc<AppState>>,
    Extension(Caller { account, .. }): Extension<Caller>,
    request: Request,
    next: Next,
) -> Response {
    let Some(account) = account else { return next.run(request).await };
    if let Err(wait) = account.may_read_numbers(app.clock.now()) {
        return too_many(wait);
    }
    let answer = next.run(request).await;
    let bytes = answer.body().size_hint().lower();
    account.spend_numbers(u32::try_from(bytes).unwrap_or(u32::MAX), app.clock.now());
    answer
}

/// The answer to a client that asks for too much.
pub(super) fn too_many(wait: Millis) -> Response {
    let wait = wait.div_ceil(1_000).max(1).to_string();
    (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, wait)], "too many requests from this address\n")
        .into_response()
}
