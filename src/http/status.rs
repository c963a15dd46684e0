use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde_json::{Value, json};

use super::{AppState, recent::Recent};
use crate::{
    config::StatusDetail,
    headers::{Offer, preferred},
    ledger::{Database, Journal},
    room::Room,
    telemetry::{Format, Snapshot, memory},
};

/// The format that a scraper may request by name.
pub const OPEN_METRICS: Offer<Format> =
    Offer { kind: "application/openmetrics-text", version: "1.0.0", choice: Format::OpenMetrics };
/// The format that a scraper gets by default.
pub const TEXT: Offer<Format> = Offer { kind: "text/plain", version: "0.0.4", choice: Format::Text };

/// `/status`: numbers of this node, in the shape that the first generation polls every two seconds. With `STATUS_DETAIL=rooms` it also lists
/// rooms and members.
pub(super) async fn status(State(app): State<Arc<AppState>>) -> Response {
    shared(&app, &app.recent.status, numbers)
}

/// JSON that is made anew or sent again.
fn shared(app: &AppState, recent: &Recent<Bytes>, make: impl FnOnce(&AppState) -> Value) -> Response {
    let body = recent.again(app.clock.now()).unwrap_or_else(|| {
        let body = Bytes::from(make(app).to_string());
        recent.keep(body.clone());
        body
    });
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// `/status` where the numbers are on a port of their own: what clients of the first generation can read.
pub(super) async fn nothing() -> Response {
    Json(json!({ "rooms": [] })).into_response()
}

fn numbers(app: &AppState) -> Value {
    let mut rooms = Vec::new();
    // Every client asks every two seconds, so without the list no room is visited.
    if app.status_detail == StatusDetail::Rooms {
        let now = app.clock.now();
        app.hub.inspect(|room, sockets| {
            if sockets > 0 {
                rooms.push(listed(room, sockets, now));
            }
        });
    }
    let now = jiff::Timestamp::now();
    json!({
        "nodeId": app.hub.node(),
        "timestamp": format!("{now:.3}"),
        "localConnections": app.admission.open(),
        "localRooms": app.hub.len(),
        "rooms": rooms,
        "uptime": app.started.elapsed().as_secs_f64(),
        "memory": shape_of_node(),
    })
}

fn listed(room: &Room, sockets: usize, now: u64) -> Value {
    let position = room.timeline.position_at(now);
    let users: Vec<_> = room
        .members
        .values()
        .map(|member| {
            json!({
                "userId": member.user,
                "username": member.username,
                "currentTime": position,
                "isPlaying": room.timeline.playing,
                "connectionQuality": "good",
            })
        })
        .collect();
    json!({
        "roomId": room.id,
        "connectionCount": sockets,
        "currentTime": position,
        "isPlaying": room.timeline.playing,
        "currentUrl": room.url,
        "hostUserId": room.shown_host(),
        "users": users,
    })
}

/// `/metrics`: OpenMetrics or Prometheus text, or the shape of the first generation for `Accept: application/json`.
pub(super) async fn metrics(State(app): State<Arc<AppState>>, headers: HeaderMap) -> Response {
    let old = Offer { kind: "application/json", version: "", choice: None };
    let Some(format) = preferred(&headers, &TEXT.map(Some), &[old, OPEN_METRICS.map(Some)]) else {
        return shared(&app, &app.recent.old, old_metrics);
    };
    let recent = match format {
        Format::Text => &app.recent.text,
        Format::OpenMetrics => &app.recent.open_metrics,
    };
    let now = app.clock.now();
    let text = if let Some(text) = recent.again(now) {
        text
    } else {
        // Visiting every outbox takes milliseconds on a full node, so it does not happen on a thread that serves sockets.
        let rendering = Arc::clone(&app);
        let rendered =
            tokio::task::spawn_blocking(move || format.write(rendering.metrics.render(snapshot(&rendering))));
        let Ok(text) = rendered.await else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
        let text = Bytes::from(text);
        recent.keep(text.clone());
        text
    };
    ([(header::CONTENT_TYPE, format.content_type())], text).into_response()
}

fn old_metrics(app: &AppState) -> Value {
    json!({
        "nodeId": app.hub.node(),
        "localConnections": app.admission.open(),
        "localRooms": app.hub.len(),
        "memory": shape_of_node(),
        "uptime": app.started.elapsed().as_secs_f64(),
    })
}

fn snapshot(app: &AppState) -> Snapshot {
    let journal = |count: fn(&Journal) -> u64| app.journal.as_ref().map_or(0, count);
    Snapshot {
        rooms: app.hub.len(),
        outbox: app.waiting(),
        journal_waiting: journal(Journal::waiting),
        journal_written: journal(Journal::written),
        journal_lost: journal(Journal::lost),
        journal_failures: journal(Journal::failures),
        pool: app.database.as_ref().map(Database::connections).unwrap_or_default(),
    }
}

/// The fields of Node's `process.memoryUsage()`; there is no JavaScript heap here.
fn shape_of_node() -> Value {
    let memory = memory();
    json!({ "rss": memory.resident, "heapTotal": memory.mapped, "heapUsed": memory.resident, "external": 0, "arrayBuffers": 0 })
}
