//! The ledger, read with `tandem audit events`.

use serde_json::{Value, json};
use tandem::ledger::EventType;
use uuid::Uuid;

use tandem_testkit::{Client, TestApp, now_ms};

/// A party with at least one event of each type; the server still runs.
async fn everything() -> TestApp {
    let app = TestApp::start_with(&[("EMPTY_ROOM_SECONDS", "0.3"), ("HOST_GRACE_SECONDS", "0.2")]).await;
    let (mut host, _) = Client::join_with(&app, "room", "host", json!({"features": [], "pin": "739153"})).await;
    let (mut guest, state) =
        Client::join_with(&app, "room", "guest", json!({"features": ["resume"], "pin": "739153"})).await;
    let mut pest = Client::join_with(&app, "room", "pest", json!({"features": [], "pin": "739153"})).await.0;
    for frame in [
        json!({"type": "UPDATE_USERNAME", "username": "The \"Host\", really\nnot"}),
        json!({"type": "URL_CHANGE", "url": "https://example.org/film?x=1"}),
        json!({"type": "PLAY_PAUSE", "control": "play", "currentTime": 1.5}),
        json!({"type": "SEEK", "currentTime": 300.25, "isPlaying": false}),
        json!({"type": "TOGGLE_GUEST_CONTROL", "enabled": true}),
        json!({"type": "SET_ROLE", "targetUserId": "guest", "role": "co-host"}),
        json!({"type": "BROADCAST", "event": "reaction", "data": {"emoji": "🦀"}}),
        json!({"type": "OFFER", "to": "guest", "offer": {"type": "offer", "sdp": "v=0 sdp-secret-text"}}),
        json!({"type": "ICE_CANDIDATE", "to": "guest", "candidate": {"candidate": "ice-secret-text"}}),
        json!({"type": "HOST_HEARTBEAT", "currentTime": 300.5, "isPlaying": false}),
        json!({"type": "POSITION_UPDATE", "currentTime": 300.5, "isPlaying": false}),
        json!({"type": "KICK", "targetUserId": "pest", "reason": "spoilers"}),
        json!({"type": "LOCK_ROOM", "locked": true}),
        json!({"type": "LOCK_ROOM", "locked": false}),
        json!({"type": "SET_PIN", "pin": "846206"}),
        json!({"type": "BAN", "targetUserId": "pest"}),
        json!({"type": "UNBAN", "targetUserId": "pest"}),
    ] {
        host.acked(frame).await;
    }
    pest.closed().await;
    let mut stranger = Client::connect(&app).await;
    stranger.send_join("room", "stranger", json!({"pin": "846205"})).await;
    stranger.expect_error("invalid_pin").await;
    stranger
        .send(json!({"type": "RESUME", "roomId": "room", "userId": "host", "resumeToken": "a guess", "epoch": 1, "version": 1}))
        .await;
    stranger.expect_error("unauthorized").await;
    guest.refused(json!({"type": "KICK", "targetUserId": "host"}), "forbidden").await;
    guest.fence().await;
    guest.reset();
    host.until("MEMBER_AWAY").await;
    let mut guest = Client::connect(&app).await;
    guest
        .send(json!({"type": "RESUME", "roomId": "room", "userId": "guest", "resumeToken": state["resumeToken"],
            "epoch": state["epoch"], "version": state["version"], "features": ["resume"]}))
        .await;
    guest.expect("RESUMED").await;
    host.acked(json!({"type": "TRANSFER_HOST", "targetUserId": "guest"})).await;
    for mut one in [host, guest] {
        one.send(json!({"type": "LEAVE"})).await;
        one.closed().await;
    }
    app.audit_until(&["--type", "ROOM_CLOSED"], 1).await;
    app
}

fn count(events: &[Value], kind: &str) -> usize {
    events.iter().filter(|event| event["event_type"] == kind).count()
}

#[tokio::test]
async fn every_kind_of_change_is_there() {
    let started = now_ms();
    let app = everything().await;
    let events = app.audit(&["--room", "room", "--limit", "1000"]).await;
    let types: Vec<&str> = EventType::ALL.iter().map(|kind| kind.as_str()).collect();
    for kind in &types {
        assert!(count(&events, kind) > 0, "no {kind} in {events:#?}");
    }
    for (kind, times) in
        [("ROOM_CREATED", 1), ("USER_JOINED", 3), ("URL_CHANGE", 1), ("SEEK", 1), ("USER_KICKED", 1), ("BROADCAST", 1)]
    {
        assert_eq!(count(&events, kind), times, "{kind} in {events:#?}");
    }
    for event in &events {
        let known = types.contains(&event["event_type"].as_str().unwrap());
        assert!(known, "{event}");
        assert_eq!(event["room_id"], "room");
        assert!(event["node_id"].is_string() && event["epoch"].is_u64() && event["version"].is_u64(), "{event}");
        assert!(event.get("data").is_some() && event.get("user_id").is_some(), "{event}");
        let id: Uuid = event["id"].as_str().unwrap().parse().unwrap();
        assert_eq!(id.get_version_num(), 7, "{event}");
        let (seconds, nanos) = id.get_timestamp().unwrap().to_unix();
        let made = seconds * 1_000 + u64::from(nanos) / 1_000_000;
        assert!((started.saturating_sub(1_000)..=now_ms()).contains(&made), "{event}");
    }
    // In one direction only, so that the output stays readable.
    let versions: Vec<u64> = events.iter().map(|event| event["version"].as_u64().unwrap()).collect();
    assert!(versions.is_sorted() || versions.iter().rev().is_sorted(), "{versions:?}");
    let text = serde_json::to_string(&events).unwrap();
    for secret in ["739153", "846205", "846206", "sdp-secret-text", "ice-secret-text", "resumeToken"] {
        assert!(!text.contains(secret), "{secret} is in the ledger");
    }
    let play = events.iter().find(|event| event["event_type"] == "PLAY_PAUSE").unwrap();
    assert_eq!(play["user_id"], "host");
    assert!(play["data"].is_object(), "data is JSON, not a text of it: {play}");
    assert!(play["data"].to_string().contains("play"), "{play}");
}

/// Waits for `count` refusals of a room: the attempt, the id, and the reason.
async fn refusals(app: &TestApp, count: usize) -> Vec<(String, String, String, String)> {
    let mut all = Vec::new();
    for kind in ["JOIN_REFUSED", "RESUME_REFUSED", "ACTION_REFUSED"] {
        all.extend(app.audit(&["--room", "room", "--type", kind]).await);
    }
    if all.len() < count {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        return Box::pin(refusals(app, count)).await;
    }
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let row = |event: &Value| {
        assert!(event["data"]["peerId"].is_string() && event["data"]["origin"].is_string(), "{event}");
        let (kind, user) = (text(&event["event_type"]), text(&event["user_id"]));
        (kind, user, text(&event["data"]["action"]), text(&event["data"]["code"]))
    };
    all.iter().map(row).collect()
}

#[tokio::test]
async fn an_auditor_sees_who_tried_which_room_and_was_refused() {
    let app = TestApp::start_with(&[("ROOM_MAX_MEMBERS", "2"), ("TRUST_PROXY_HOPS", "1")]).await;
    // With a token, because otherwise its socket would be pinged.
    let host = json!({"features": ["resume"], "pin": "739153"});
    let (_host, _) = Client::join_with(&app, "room", "host", host).await;
    let mut other = Client::connect_from(&app, "192.0.2.1").await;
    other.send_join("room", "guest", json!({"features": [], "pin": "wrong"})).await;
    other.expect_error("invalid_pin").await;
    other.send_join("room", "host", json!({"features": [], "pin": "739153"})).await;
    other.expect_error("identity_in_use").await;
    other.enter("room", "guest", json!({"features": [], "pin": "739153"})).await;
    other.refused(json!({"type": "SEEK", "currentTime": 1.0, "isPlaying": true}), "forbidden").await;
    let mut third = Client::connect(&app).await;
    third.send_join("room", "third", json!({"features": [], "pin": "739153"})).await;
    third.expect_error("room_full").await;
    let mut found = refusals(&app, 4).await;
    found.sort();
    let row = |kind: &str, user: &str, action: &str, code: &str| {
        (kind.to_owned(), user.to_owned(), action.to_owned(), code.to_owned())
    };
    assert_eq!(
        found,
        [
            row("ACTION_REFUSED", "guest", "SEEK", "forbidden"),
            row("JOIN_REFUSED", "guest", "JOIN", "invalid_pin"),
            row("JOIN_REFUSED", "host", "JOIN", "identity_in_use"),
            row("JOIN_REFUSED", "third", "JOIN", "room_full"),
        ]
    );
}

#[tokio::test]
async fn nobody_can_fill_the_ledger_with_refusals() {
    let app = TestApp::start_with(&[("MESSAGES_PER_SECOND", "10000"), ("MESSAGE_BURST", "10000")]).await;
    let _host = Client::join(&app, "room", "host").await;
    let mut guest = Client::join(&app, "room", "guest").await;
    for number in 0..500 {
        guest.send(json!({"type": "SEEK", "currentTime": 1.0, "isPlaying": true, "id": number})).await;
    }
    for _ in 0..500 {
        guest.expect_error("forbidden").await;
    }
    // Everything before this event is in the ledger.
    guest.acked(json!({"type": "UPDATE_USERNAME", "username": "the last"})).await;
    app.audit_until(&["--type", "USERNAME_UPDATED"], 1).await;
    let taken = app.audit(&["--type", "ACTION_REFUSED"]).await.len();
    // Ten at once, and one more for each ten seconds.
    assert!((10..20).contains(&taken), "{taken}");
}

#[tokio::test]
async fn events_can_be_picked() {
    let app = everything().await;
    let all = app.audit(&["--limit", "1000"]).await;
    let by = |field: &'static str, value: &'static str| all.iter().filter(|event| event[field] == value).count();
    for kind in EventType::ALL {
        let kind = kind.as_str();
        assert_eq!(app.audit(&["--type", kind, "--limit", "0"]).await.len(), by("event_type", kind), "{kind}");
    }
    assert_eq!(app.audit(&["--user", "pest"]).await.len(), by("user_id", "pest"));
    assert_eq!(app.audit(&["--room", "nothing"]).await.len(), 0);
    assert_eq!(app.audit(&["--limit", "3"]).await.len(), 3);
    assert_eq!(app.audit(&["--limit", "0"]).await, all);
    for (limit, said) in [("3", true), (all.len().to_string().as_str(), false), ("0", false)] {
        let cut = app.run(&["audit", "events", "--limit", limit]).await;
        assert_eq!(cut.stderr.contains("--limit 0"), said, "{limit}: {cut:?}");
    }
    assert_eq!(app.audit(&["--room", "room", "--type", "SEEK", "--user", "host", "--limit", "10"]).await.len(), 1);
    assert_eq!(app.audit(&["--until", "2020-01-01T00:00:00Z"]).await.len(), 0);
    assert_eq!(app.audit(&["--since", "2020-01-01T00:00:00Z", "--limit", "1000"]).await.len(), all.len());
    assert_eq!(app.audit(&["--since", "2999-01-01T00:00:00Z"]).await.len(), 0);
}

#[tokio::test]
async fn tables_and_csv() {
    let app = everything().await;
    let table = app.run(&["audit", "events", "--room", "room", "--format", "table"]).await;
    assert_eq!(table.code, Some(0), "{table:?}");
    assert!(table.stdout.contains("USER_JOINED") && table.stdout.contains("guest"), "{}", table.stdout);
    let text = app.run(&["audit", "events", "--room", "room", "--format", "csv", "--limit", "1000"]).await;
    assert_eq!(text.code, Some(0), "{text:?}");
    let mut reader = csv::Reader::from_reader(text.stdout.as_bytes());
    let heads: Vec<String> = reader.headers().unwrap().iter().map(ToOwned::to_owned).collect();
    for field in ["id", "room_id", "event_type", "user_id", "data", "created_at", "version", "epoch", "node_id"] {
        assert!(heads.iter().any(|head| head == field), "{heads:?}");
    }
    let rows = reader.records().collect::<Result<Vec<_>, _>>().unwrap();
    assert_eq!(rows.len(), app.audit(&["--room", "room", "--limit", "1000"]).await.len());
    for args in [&["--format", "xml"][..], &["--since", "yesterday-ish"], &["--limit", "many"], &["--bogus", "1"]] {
        let all: Vec<&str> = ["audit", "events"].iter().chain(args).copied().collect();
        let output = app.run(&all).await;
        assert_eq!(output.code, Some(64), "{args:?} {output:?}");
        assert!(output.stderr.contains(args[1]) || output.stderr.contains(args[0]), "{output:?}");
    }
}

/// A terminal must not interpret the name of a member as a control sequence.
#[tokio::test]
async fn tables_are_safe_to_look_at() {
    let app = TestApp::start().await;
    let mut ben = Client::connect(&app).await;
    ben.send_join("fine", "ben", json!({"username": "\u{1b}[31mred", "features": []})).await;
    ben.expect("ROOM_STATE").await;
    app.audit_until(&["--room", "fine"], 2).await;
    let table = app.run(&["audit", "events", "--format", "table"]).await;
    assert!(!table.stdout.contains('\u{1b}') && !table.stdout.contains('\u{9b}'), "{:?}", table.stdout);
}

/// What turns a line around, or makes a spreadsheet run something, may be in what clients send.
#[tokio::test]
async fn names_neither_turn_a_table_around_nor_become_formulas() {
    let app = TestApp::start().await;
    let turning = "\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}\u{200e}\u{200f}\u{61c}";
    let mut ana = Client::connect(&app).await;
    ana.send_join("=cmd|' /c calc'!A1", "@ana", json!({"features": []})).await;
    ana.expect("ROOM_STATE").await;
    ana.send(json!({"type": "BROADCAST", "event": turning, "data": 1})).await;
    ana.send(json!({"type": "UPDATE_USERNAME", "username": format!("{turning}a{turning}b")})).await;
    app.audit_until(&[], 4).await;
    let table = app.run(&["audit", "events", "--format", "table"]).await;
    assert_eq!(table.code, Some(0), "{table:?}");
    for turns in turning.chars() {
        assert!(!table.stdout.contains(turns), "{:?}", table.stdout);
    }
    let text = app.run(&["audit", "events", "--format", "csv"]).await;
    let mut reader = csv::Reader::from_reader(text.stdout.as_bytes());
    let mut rooms = 0;
    for row in reader.records() {
        for cell in &row.unwrap() {
            assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r']), "{cell}");
            rooms += usize::from(cell == "'=cmd|' /c calc'!A1");
        }
    }
    assert!(rooms > 0, "{}", text.stdout);
    // Programs get what was sent.
    let events = app.audit(&[]).await;
    assert!(events.iter().all(|event| event["room_id"] == "=cmd|' /c calc'!A1"), "{events:?}");
}

#[tokio::test]
async fn the_ledger_of_a_single_node_is_its_owners_alone() {
    let app = TestApp::start().await;
    let _ana = Client::join(&app, "room", "ana").await;
    app.audit_until(&[], 2).await;
    let folder = app.ledger_file().parent().unwrap().to_owned();
    let mut seen = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let mode = std::os::unix::fs::PermissionsExt::mode(&entry.metadata().unwrap().permissions());
        let name = entry.file_name().into_string().unwrap();
        if name.starts_with("tandem.db") {
            assert_eq!(mode & 0o777, 0o600, "{name}");
            seen.push(name);
        }
    }
    assert!(seen.len() >= 2, "with its write-ahead log: {seen:?}");
}

#[tokio::test]
async fn an_empty_ledger_is_no_error() {
    let app = TestApp::start().await;
    assert_eq!(app.audit(&[]).await.len(), 0);
}
