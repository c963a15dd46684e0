use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use serde_json::json;

use super::{WorkerMetrics, condition::Condition};
use crate::{http, ledger::Database};

/// The HTTP routes of a worker.
pub(super) struct WorkerState {
    pub(super) worker: String,
    pub(super) database: Database,
    pub(super) metrics: Arc<WorkerMetrics>,
    pub(super) condition: Arc<Condition>,
}

pub(super) fn router(state: WorkerState) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .with_state(Arc::new(state))
}

/// `/health`: the process is alive. It depends on nothing else, because a worker whose database is away must not be killed for that.
async fn health(State(state): State<Arc<WorkerState>>) -> Response {
    Json(json!({ "status": "ok", "worker": state.worker })).into_response()
}

/// `/ready`: whether entries can be written, as far as is known.
async fn ready(State(state): State<Arc<WorkerState>>) -> Response {
    let now = &state.condition;
    let ready = now.is_ready();
    let body = json!({
        "status": if ready { "ready" } else if now.stopping.get() { "stopping" } else { "waiting" },
        "worker": state.worker,
        "redis": now.reads(),
        "postgres": now.postgres.get(),
        "schema": now.schema.get(),
        "writing": !now.stuck.get(),
        "why": if ready { None } else { now.why() },
    });
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(body)).into_response()
}

/// `/metrics`: OpenMetrics or Prometheus text.
async fn metrics(State(state): State<Arc<WorkerState>>, headers: HeaderMap) -> Response {
    let format = http::preferred(&headers, &http::TEXT, &[http::OPEN_METRICS]);
    let text = format.write(state.metrics.render(state.database.connections()));
    ([(header::CONTENT_TYPE, format.content_type())], text).into_response()
}
