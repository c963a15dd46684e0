use std::sync::{Arc, PoisonError};

use axum::{
    Json,
    extract::{Extension, Request, State},
    http::{StatusCode, Uri, header},
    response::{IntoResponse as _, Response},
};
use serde_json::json;
use url::form_urlencoded;

use super::{
    AppState, Peer,
    caller::{Caller, too_many},
    peer::Encrypted,
};
use crate::{account::Account, auth::tidy_code, backend::BackendError, config::Resource, id::RoomId, web::DeadLink};

/// Number of codes that are tried when one is taken. With 40 bits the second is hardly ever needed.
const ATTEMPTS: u32 = 4;
/// The mark in the query of an invite link that leads to the page of this node, wherever `INVITE_URL` leads.
const TO_PAGE: &str = "page";
/// How long a code is valid after it was last requested or used, in ms: as long as a room of the first generation was meant to live.
const LIFE: u64 = 4 * 60 * 60 * 1000;
/// How long the code of a room that does not exist is valid, in ms: anybody can request one.
const SHORT_LIFE: u64 = 30 * 60 * 1000;
/// Codes for rooms that do not exist which a node gives out each second, on average.
const STRANGE_RATE: u32 = 100;
/// Codes for rooms that do not exist which a node gives out at once: all clients of a node may ask for one just before their rooms are created.
const STRANGE_BURST: u32 = 5_000;

/// `/api/short-id/<room>`: the code of a room, always the same one. It can be requested before the room exists, because the extension asks
/// for both at once.
pub(super) async fn short_id(
    State(app): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response {
    let Some(room) = rest(request.uri(), "/api/short-id/").and_then(|raw| RoomId::parse(&raw).ok()) else {
        return failure(StatusCode::BAD_REQUEST, "not a room id");
    };
    match claim_code(&app, &room, caller.account.as_deref()).await {
        Ok(CodeOutcome::Busy(wait)) => busy(wait, "Failed to create short ID"),
        Ok(CodeOutcome::Code(code)) => {
            let link = format!("{}/room/{code}", base(&app, &request));
            // Another page than this node's is for the extension; this node's page has links of its own.
            let page = if app.invite_url.starts_with('/') { link.clone() } else { format!("{link}?{TO_PAGE}") };
            Json(json!({ "shortId": code, "roomId": room, "shortUrl": link, "pageUrl": page })).into_response()
        }
        Ok(CodeOutcome::Taken) => failure(StatusCode::INTERNAL_SERVER_ERROR, "Failed to create short ID"),
        Err(error) => {
            tracing::warn!(%error, "a short code could not be kept");
            failure(StatusCode::SERVICE_UNAVAILABLE, "Failed to create short ID")
        }
    }
}

/// `/api/room/<code>`: the room of a code, in any case.
pub(super) async fn by_code(
    State(app): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response {
    let Some(code) = rest(request.uri(), "/api/room/").and_then(|raw| tidy_code(&raw)) else {
        return failure(StatusCode::NOT_FOUND, "Room not found");
    };
    match resolve(&app, &code, caller.account.as_deref()).await {
        Ok(Resolved::Room(room)) => Json(json!({ "roomId": room, "shortId": code })).into_response(),
        Ok(Resolved::Nothing) => failure(StatusCode::NOT_FOUND, "Room not found"),
        Ok(Resolved::Busy(wait)) => busy(wait, "Failed to lookup room"),
        Err(error) => {
            tracing::warn!(%error, "a short code could not be looked up");
            failure(StatusCode::SERVICE_UNAVAILABLE, "Failed to lookup room")
        }
    }
}

/// `/room/<code>[/<pin>]`: the invite link. It redirects to where the film is watched.
pub(super) async fn invite(
    State(app): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response {
    // Cut before it is decoded: a PIN may have a slash, which is encoded then.
    let path = request.uri().path().strip_prefix("/room/").unwrap_or_default().trim_end_matches('/');
    let (code, pin) = path.split_once('/').map_or((path, None), |(code, pin)| (code, Some(pin)));
    let decoded = |part| percent_encoding::percent_decode_str(part).decode_utf8().ok();
    let code = decoded(code).as_deref().and_then(tidy_code);
    let is_pin = |pin: &str| (1..=64).contains(&pin.len()) && !pin.chars().any(char::is_control);
    let pin = pin.map(|pin| decoded(pin).filter(|text| !pin.contains('/') && is_pin(text)));
    let (Some(code), None | Some(Some(_))) = (code, &pin) else { return DeadLink::Gone.answer(request.headers()) };
    let pin = pin.flatten();
    match resolve(&app, &code, caller.account.as_deref()).await {
        Ok(Resolved::Room(room)) => {
            let mut query = form_urlencoded::Serializer::new(String::new());
            query.append_pair("tandemRoom", room.as_str());
            if let Some(pin) = &pin {
                query.append_pair("pin", pin);
            }
            // encodeURIComponent writes a blank as %20.
            let query = query.finish().replace('+', "%20");
            // A guest who was invited by the page of this node has no extension.
            let to_page = request.uri().query().is_some_and(|query| query.split('&').any(|key| key == TO_PAGE));
            let target = if to_page { "/" } else { app.invite_url.as_str() };
            let joint = if target.contains('?') { '&' } else { '?' };
            let target = format!("{target}{joint}{query}");
            // The link contains a PIN, so nobody on the way may cache it.
            let headers = [
                (header::LOCATION, target.as_str()),
                (header::CACHE_CONTROL, "no-store"),
                (header::REFERRER_POLICY, "no-referrer"),
            ];
            (StatusCode::FOUND, headers).into_response()
        }
        Ok(Resolved::Nothing) => DeadLink::Gone.answer(request.headers()),
        Ok(Resolved::Busy(wait)) => too_many(wait),
        Err(error) => {
            tracing::warn!(%error, "a short code could not be looked up");
            DeadLink::Unavailable.answer(request.headers())
        }
    }
}

/// The outcome of a request for a code.
enum CodeOutcome {
    Code(String),
    /// All codes that the room could have belong to other rooms.
    Taken,
    /// Too many requests; the client may retry after this many ms.
    Busy(u64),
}

/// The outcome of looking up a code.
enum Resolved {
    Room(RoomId),
    Nothing,
    /// Too many codes of this client led nowhere; it may retry after this many ms.
    Busy(u64),
}

async fn claim_code(app: &AppState, room: &RoomId, account: Option<&Account>) -> Result<CodeOutcome, BackendError> {
    let now = app.clock.now();
    let life = if app.backend.exists(room).await? {
        LIFE
    } else {
        if let Some(account) = account {
            if let Err((_, wait)) = account.spend(Resource::Codes, 1, now) {
                return Ok(CodeOutcome::Busy(wait));
            }
            let used = app.codes.lock().unwrap_or_else(PoisonError::into_inner).used(STRANGE_RATE, STRANGE_BURST, now);
            if let Err(wait) = account.new_code((STRANGE_RATE, STRANGE_BURST), used, now) {
                return Ok(CodeOutcome::Busy(wait));
            }
        }
        let mut codes = app.codes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(wait) = codes.take(1, STRANGE_RATE, STRANGE_BURST, now) {
            return Ok(CodeOutcome::Busy(wait));
        }
        SHORT_LIFE
    };
    for attempt in 0..ATTEMPTS {
        let code = app.keys.short_code(room, attempt);
        if app.backend.claim_code(&code, room, now + life, now).await? {
            return Ok(CodeOutcome::Code(code));
        }
    }
    Ok(CodeOutcome::Taken)
}

async fn resolve(app: &AppState, code: &str, account: Option<&Account>) -> Result<Resolved, BackendError> {
    let now = app.clock.now();
    // Before it is looked up: afterwards the answer would tell which codes exist.
    if let Some(Err(wait)) = account.map(|account| account.may_try_code(now)) {
        return Ok(Resolved::Busy(wait));
    }
    let Some(room) = app.backend.resolve_code(code, now).await? else {
        if let Some(account) = account {
            account.miss_code(now);
        }
        return Ok(Resolved::Nothing);
    };
    if app.backend.exists(&room).await? {
        // A used code stays valid, unless it was made for a room that nobody ever entered. If that cannot be stored, it still leads to its room.
        let _ = app.backend.claim_code(code, &room, now + LIFE, now).await;
    }
    Ok(Resolved::Room(room))
}

/// The decoded rest of the path after `prefix`; `None` if it is not text.
fn rest(uri: &Uri, prefix: &str) -> Option<String> {
    let raw = uri.path().strip_prefix(prefix)?;
    let decoded = percent_encoding::percent_decode_str(raw).decode_utf8().ok()?;
    (!decoded.is_empty()).then(|| decoded.into_owned())
}

/// The base URL under which clients reach this service.
fn base(app: &AppState, request: &Request) -> String {
    if let Some(url) = &app.public_url {
        return url.as_str().trim_end_matches('/').to_owned();
    }
    let plausible =
        |host: &&str| !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b));
    let host = request.headers().get(header::HOST).and_then(|value| value.to_str().ok());
    let host = host.filter(plausible).unwrap_or("localhost");
    let peer = request.extensions().get::<Peer>();
    let encrypted = request.extensions().get::<Encrypted>().is_some();
    let secure = peer.is_some_and(|peer| app.proxies.secure(*peer, request.headers(), encrypted));
    let scheme = if secure { "https" } else { "http" };
    format!("{scheme}://{host}")
}

fn busy(wait: u64, error: &str) -> Response {
    let wait = wait.div_ceil(1_000).max(1).to_string();
    ([(header::RETRY_AFTER, wait)], failure(StatusCode::TOO_MANY_REQUESTS, error)).into_response()
}

fn failure(status: StatusCode, error: &str) -> Response {
    (status, Json(json!({ "error": error }))).into_response()
}
