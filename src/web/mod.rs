//! The web page, which is part of the binary: it has no build step and loads nothing from elsewhere.

mod dead_link;

use axum::{
    extract::Path,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use include_dir::{Dir, File, include_dir};
use sha2::{Digest as _, Sha256};

use crate::headers::knows_tag;

pub use dead_link::DeadLink;

static FILES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/src/web");

/// Only scripts of the page run; films may come from anywhere.
const POLICY: &str = "default-src 'self'; media-src 'self' blob: http: https:; img-src 'self' data: blob:; \
    object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// `/`
pub async fn page(headers: HeaderMap) -> Response {
    FILES.get_file("index.html").map_or_else(missing, |file| send(file, "text/html; charset=utf-8", &headers))
}

/// `/assets/<file>`
pub async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Response {
    let kind = match name.rsplit_once('.') {
        Some((_, "js")) => "text/javascript; charset=utf-8",
        Some((_, "css")) => "text/css; charset=utf-8",
        Some((_, "svg")) => "image/svg+xml",
        _ => return missing(),
    };
    FILES.get_file(&name).map_or_else(missing, |file| send(file, kind, &headers))
}

fn missing() -> Response {
    (StatusCode::NOT_FOUND, "there is no such file\n").into_response()
}

/// A browser revalidates each time, and gets the file again only when it has changed.
fn send(file: &'static File<'static>, kind: &'static str, asked: &HeaderMap) -> Response {
    let tag = format!("\"{:.16x}\"", Sha256::digest(file.contents()));
    let mut response =
        if knows_tag(asked, &tag) { StatusCode::NOT_MODIFIED.into_response() } else { file.contents().into_response() };
    secure(&mut response);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    response
}

/// The headers of every page.
fn secure(response: &mut Response) {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
}
