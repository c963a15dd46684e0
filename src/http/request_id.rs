use axum::{
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue},
    middleware::Next,
    response::Response,
};
use uuid::Uuid;

use crate::telemetry::Subject;

/// The header in which proxies and browsers name a request.
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The maximum length of an id that is adopted: it is kept for as long as a socket lives.
const MAX_BYTES: usize = 64;

/// The id that the sender gave a request, if it is short and safe in a log.
#[derive(Debug, Clone)]
pub(super) struct GivenId(pub(super) Option<Box<str>>);

impl GivenId {
    fn of(headers: &HeaderMap) -> Self {
        let given = headers.get(X_REQUEST_ID).and_then(|id| id.to_str().ok());
        let fits =
            |id: &&str| !id.is_empty() && id.len() <= MAX_BYTES && id.bytes().all(|byte| byte.is_ascii_graphic());
        Self(given.filter(fits).map(Into::into))
    }
}

/// Gives every request an id, its sender's if there is one. The log lines of the request and the answer carry it.
pub(super) async fn request_id(mut request: Request, next: Next) -> Response {
    let given = GivenId::of(request.headers());
    let id = given.0.clone().unwrap_or_else(|| Uuid::new_v4().to_string().into());
    request.extensions_mut().insert(given);
    let header = HeaderValue::from_str(&id);
    let mut response = Subject::request(id).scope(next.run(request)).await;
    // An upgrade has already set it.
    if let (Ok(id), false) = (header, response.headers().contains_key(X_REQUEST_ID)) {
        response.headers_mut().insert(X_REQUEST_ID, id);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(id: &[u8]) -> Option<Box<str>> {
        let mut headers = HeaderMap::new();
        headers.insert(X_REQUEST_ID, HeaderValue::from_bytes(id).unwrap());
        GivenId::of(&headers).0
    }

    #[test]
    fn only_an_id_that_cannot_disturb_a_log_is_taken_over() {
        assert_eq!(given(b"edge-7:a/b=="), Some("edge-7:a/b==".into()));
        for bad in [&b""[..], b"two words", b"\xff", "x".repeat(65).as_bytes()] {
            assert_eq!(given(bad), None, "{bad:?}");
        }
    }
}
