use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use serde_json::json;

use super::AppState;

/// `/health`: the process is alive. It depends on nothing else, because a node without its database must not be killed for that.
pub(super) async fn health(State(app): State<Arc<AppState>>) -> Response {
    Json(json!({ "status": "ok", "nodeId": app.hub.node() })).into_response()
}

/// `/ready`: whether new clients should be sent to this node.
pub(super) async fn ready(State(app): State<Arc<AppState>>) -> Response {
    if app.admission.is_closed() {
        let body = Json(json!({ "status": "draining", "nodeId": app.hub.node() }));
        return (StatusCode::SERVICE_UNAVAILABLE, body).into_response();
    }
    if app.admission.is_paused() {
        let body = Json(json!({ "status": "unavailable", "nodeId": app.hub.node() }));
        return (StatusCode::SERVICE_UNAVAILABLE, body).into_response();
    }
    if app.admission.is_overloaded() {
        let body = Json(json!({ "status": "overloaded", "nodeId": app.hub.node() }));
        return (StatusCode::SERVICE_UNAVAILABLE, body).into_response();
    }
    Json(json!({ "status": "ready", "nodeId": app.hub.node() })).into_response()
}
