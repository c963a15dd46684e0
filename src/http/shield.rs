use axum::{
    extract::Request,
    http::StatusCode,
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use crate::telemetry::contained;

/// Answers 500 when a bug ended the handling of a request. The connection and everybody else continue.
pub(super) async fn shield(request: Request, next: Next) -> Response {
    let answer = contained(next.run(request)).await;
    answer.unwrap_or_else(|| (StatusCode::INTERNAL_SERVER_ERROR, "internal error\n").into_response())
}
