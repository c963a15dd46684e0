use std::{
    sync::{Arc, Mutex},
    time::Instant,
};

use axum::{
    Router,
    body::Bytes,
    extract::{Extension, Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::any,
};
use hyper::ext::Protocol;

use super::{
    caller::{self, Caller},
    cors, invite, probe,
    proxies::Proxies,
    recent::Recent,
    request_id::{self, GivenId, X_REQUEST_ID},
    shield, status,
};
use crate::{
    account::Accounts,
    auth::Keys,
    backend::Backend,
    clock::Clock,
    config::{Config, StatusDetail},
    hub::Hub,
    id::ConnId,
    ledger::{Database, Journal},
    limit::Bucket,
    socket::{self, Admission, Gateway, Handshake},
    telemetry::{Metrics, Subject},
    web,
};

/// What all requests share.
pub struct AppState {
    pub(super) gateway: Arc<Gateway>,
    pub(super) hub: Arc<Hub>,
    pub(super) backend: Arc<dyn Backend>,
    pub(super) journal: Option<Journal>,
    pub(super) database: Option<Database>,
    pub(super) keys: Keys,
    pub(super) clock: Clock,
    pub(super) metrics: Arc<Metrics>,
    pub(super) admission: Arc<Admission>,
    pub(super) started: Instant,
    pub(super) status_detail: StatusDetail,
    pub(super) invite_url: String,
    pub(super) public_url: Option<url::Url>,
    pub(super) proxies: Arc<Proxies>,
    pub(super) accounts: Arc<Accounts>,
    /// Whether `/metrics` and `/status` are on a port of their own.
    metrics_apart: bool,
    pub(super) recent: RecentAnswers,
    /// Budget for codes of rooms that do not exist.
    pub(super) codes: Mutex<Bucket>,
}

/// Answers that are shared when many ask for them at once.
#[derive(Debug, Default)]
pub(super) struct RecentAnswers {
    pub(super) status: Recent<Bytes>,
    pub(super) text: Recent<Bytes>,
    pub(super) open_metrics: Recent<Bytes>,
    pub(super) old: Recent<Bytes>,
}

/// What the state is made of.
#[allow(missing_docs, reason = "each is its own name")]
pub struct AppStateParts {
    pub gateway: Arc<Gateway>,
    pub hub: Arc<Hub>,
    pub backend: Arc<dyn Backend>,
    /// The ledger of a single node.
    pub journal: Option<Journal>,
    /// The ledger of a cluster.
    pub database: Option<Database>,
    pub keys: Keys,
    pub clock: Clock,
    pub metrics: Arc<Metrics>,
    pub admission: Arc<Admission>,
    pub accounts: Arc<Accounts>,
}

impl std::fmt::Debug for AppState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AppState").field("hub", &self.hub).finish_non_exhaustive()
    }
}

impl AppState {
    /// The state of a node with the rules of `config`.
    pub fn new(parts: AppStateParts, config: &Config) -> Self {
        let AppStateParts { gateway, hub, backend, journal, database, keys, clock, metrics, admission, accounts } =
            parts;
        Self {
            gateway,
            hub,
            backend,
            journal,
            database,
            keys,
            clock,
            metrics,
            admission,
            started: Instant::now(),
            status_detail: config.server.status_detail,
            invite_url: config.server.invite_url.clone(),
            public_url: config.server.public_url.clone(),
            proxies: Arc::new(Proxies::new(&config.server)),
            accounts,
            metrics_apart: config.server.metrics_port.is_some(),
            recent: RecentAnswers::default(),
            codes: Mutex::default(),
        }
    }

    /// Bytes that wait in the outboxes of all sockets, and in the fullest one.
    pub(super) fn waiting(&self) -> (usize, usize) {
        self.gateway.waiting()
    }
}

/// All routes, but those of the port for metrics, if there is one. Most accept any method, as in the first generation.
pub fn router(app: Arc<AppState>) -> Router {
    let routes = if app.metrics_apart {
        // Clients of the first generation ask for it every two seconds.
        Router::new().route("/status", any(status::nothing))
    } else {
        numbers().route_layer(middleware::from_fn_with_state(Arc::clone(&app), caller::charge_numbers))
    };
    let routes = routes
        .route("/ws", any(socket))
        .route("/health", any(probe::health))
        .route("/ready", any(probe::ready))
        .route("/api/short-id/{*room}", any(invite::short_id))
        .route("/api/room/{*code}", any(invite::by_code))
        .route("/room/{*code}", any(invite::invite))
        .route("/", any(web::page))
        .route("/assets/{file}", any(web::asset))
        .fallback(elsewhere);
    layered(routes, app)
}

/// The routes of the port for metrics.
pub fn metrics_router(app: Arc<AppState>) -> Router {
    let routes = numbers().route("/health", any(probe::health)).route("/ready", any(probe::ready));
    layered(routes.fallback(elsewhere), app)
}

fn numbers() -> Router<Arc<AppState>> {
    Router::new().route("/status", any(status::status)).route("/metrics", any(status::metrics))
}

fn layered(routes: Router<Arc<AppState>>, app: Arc<AppState>) -> Router {
    routes
        .layer(middleware::from_fn(sockets_only_at_ws))
        .layer(middleware::from_fn_with_state(Arc::clone(&app), caller::charge))
        .layer(middleware::from_fn(shield::shield))
        .layer(middleware::from_fn(cors::cors))
        .layer(middleware::from_fn(request_id::request_id))
        .with_state(app)
}

async fn socket(
    State(app): State<Arc<AppState>>,
    Extension(Caller { address, .. }): Extension<Caller>,
    Extension(GivenId(request_id)): Extension<GivenId>,
    request: Request,
) -> Response {
    let (mut parts, _) = request.into_parts();
    match Handshake::read(&mut parts) {
        Ok(handshake) => {
            let conn = ConnId::random();
            let name =
                request_id.as_deref().map_or_else(|| HeaderValue::from_str(&conn.to_string()), HeaderValue::from_str);
            let subject = Subject::socket(conn, request_id);
            let mut response = socket::upgrade(&app.gateway, address, &parts, (conn, subject), handshake).await;
            if let Ok(name) = name {
                response.headers_mut().insert(X_REQUEST_ID, name);
            }
            response
        }
        Err(unfit) => app.gateway.turn_away(unfit, address),
    }
}

async fn sockets_only_at_ws(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let connects = parts.method == Method::CONNECT;
    if connects && parts.extensions.get::<Protocol>().is_none() {
        let allow = [(header::ALLOW, cors::METHODS)];
        return (StatusCode::METHOD_NOT_ALLOWED, allow, "this is no proxy\n").into_response();
    }
    if connects && !socket::is_of_sockets(&parts) {
        return (StatusCode::NOT_IMPLEMENTED, "the only protocol of CONNECT is websocket\n").into_response();
    }
    if parts.uri.path() != "/ws" && (connects || socket::asks_for_socket(&parts.headers)) {
        return (StatusCode::BAD_REQUEST, "WebSockets are at /ws\n").into_response();
    }
    next.run(Request::from_parts(parts, body)).await
}

/// Any other path: the answer says what this server is.
async fn elsewhere(State(app): State<Arc<AppState>>) -> Response {
    let banner = format!(
        "tandem: Signaling server running (node {})\n/ /ws /health /ready /status /metrics /room/<code> /api/short-id/<room> /api/room/<code>\n",
        app.hub.node()
    );
    (StatusCode::NOT_FOUND, banner).into_response()
}
