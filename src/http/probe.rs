use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use serde_json::json;

use super::Site;

/// `/health`: the process is alive. It depends on nothing else, because a node without its database must not be killed for that.
pub(super) async fn health(State(site): State<Arc<Site>>) -> Response {
    Json(json!({ "status": "ok", "nodeId": site.hub.node() })).into_response()
}

/// `/ready`: whether new clients should be sent to this node.
pub(super) async fn ready(State(site): State<Arc<Site>>) -> Response {
    if site.admission.is_closed() {
        let body = Json(json!({ "status": "draining", "nodeId": site.hub.node() }));
        return (StatusCode::SERVICE_UNAVAILABLE, body).into_response();
    }
    if site.admission.is_paused() {
        let body = Json(json!({ "status": "unavailable", "nodeId": site.hub.node() }));
        return (StatusCode::SERVICE_UNAVAILABLE, body).into_response();
    }
    Json(json!({ "status": "ready", "nodeId": site.hub.node() })).into_response()
}
