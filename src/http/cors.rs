use axum::{
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use crate::headers::{has_word, list};

/// The allowed methods. Most paths ignore the method, and none changes anything.
pub(super) const METHODS: &str = "GET, HEAD, OPTIONS";
/// The headers of an answer that a page of another site may read.
const EXPOSED: &str = "Allow, Content-Length, Date, ETag, Location, Retry-After, X-Request-Id";
/// How long a browser may cache the answer to a preflight, in seconds. No browser accepts more.
const MAX_AGE: &str = "86400";
/// The headers that an answer to a preflight depends on.
const VARY: &str = "Access-Control-Request-Headers, Access-Control-Request-Private-Network";
const REQUEST_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-request-private-network");
const ALLOW_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-allow-private-network");

/// The headers of every answer. Answers OPTIONS on any path, and lets pages of all sites read every answer, also errors and redirects. No
/// answer depends on cookies or on who asks, so one site cannot take anything from another.
pub(super) async fn cors(request: Request, next: Next) -> Response {
    let mut response =
        if request.method() == Method::OPTIONS { preflight(request.headers()) } else { next.run(request).await };
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // What says nothing else is of this moment: numbers, codes, and whether the node is ready.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Every header is allowed, because tracing libraries add some to every request.
fn preflight(asked: &HeaderMap) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    for (name, value) in [
        (header::ALLOW, METHODS),
        (header::ACCESS_CONTROL_ALLOW_METHODS, METHODS),
        (header::ACCESS_CONTROL_MAX_AGE, MAX_AGE),
        (header::VARY, VARY),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let wanted: Vec<_> = list(asked, header::ACCESS_CONTROL_REQUEST_HEADERS)
        .filter_map(|name| HeaderName::from_bytes(name).ok())
        .collect();
    let allowed = if wanted.is_empty() {
        "content-type".to_owned()
    } else {
        wanted.iter().map(HeaderName::as_str).collect::<Vec<_>>().join(", ")
    };
    if let Ok(allowed) = HeaderValue::from_str(&allowed) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, allowed);
    }
    // A page from the internet may ask a node in a private network: the extension runs in such pages.
    if has_word(asked, REQUEST_PRIVATE_NETWORK, "true") {
        headers.insert(ALLOW_PRIVATE_NETWORK, HeaderValue::from_static("true"));
    }
    response
}
