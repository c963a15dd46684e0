//! The log says who did what, on which connection, and why it was refused or ended.

use serde_json::{Value, json};

use tandem_testkit::{Client, DEADLINE, TestApp, client::Connect};

use crate::tokens::{KEYS, token};

#[tokio::test]
async fn the_way_of_a_member_can_be_followed() {
    let app = TestApp::start().await;
    let (mut host, state) = Client::join_with(&app, "lounge", "host", json!({"features": ["resume"]})).await;
    let mut guest = Client::join(&app, "lounge", "guest").await;
    host.expect("USER_JOINED").await;
    host.send(json!({"type": "KICK", "targetUserId": "guest"})).await;
    guest.closed().await;
    let joined = app.log_line(json!({"msg": "joined", "user": "host"})).await;
    assert_eq!((&joined["room"], &joined["features"]), (&json!("lounge"), &json!("[\"resume\"]")), "{joined}");
    let conn = joined["conn"].as_str().unwrap().to_owned();
    assert_eq!(joined["reqId"], *conn, "no proxy named the request");
    app.log_line(json!({"msg": "kicked a member", "user": "host", "to": "guest", "conn": conn})).await;
    let closed = app.log_line(json!({"msg": "closed", "user": "guest"})).await;
    assert_eq!(
        (&closed["by"], &closed["code"], &closed["reason"], &closed["room"]),
        (&json!("server"), &json!(4503), &json!("kicked"), &json!("lounge"))
    );

    drop(host);
    app.log_line(json!({"msg": "closed", "user": "host", "conn": conn, "by": "network"})).await;
    let mut back = Client::connect(&app).await;
    back.send(json!({
        "type": "RESUME", "roomId": "lounge", "userId": "host", "resumeToken": state.str("resumeToken"),
        "epoch": state["epoch"], "version": state["version"],
    }))
    .await;
    back.expect("RESUMED").await;
    let resumed = app.log_line(json!({"msg": "resumed", "user": "host", "room": "lounge"})).await;
    assert_ne!(resumed["conn"], *conn);
    back.send(json!({"type": "LEAVE"})).await;
    back.closed().await;
    app.log_line(json!({"msg": "left", "user": "host", "conn": resumed["conn"]})).await;
    app.log_line(json!({"msg": "closed", "user": "host", "reason": "left", "conn": resumed["conn"]})).await;
}

#[tokio::test]
async fn a_refusal_names_who_tried_what_and_why() {
    let app = TestApp::start().await;
    let _host = Client::join_with(&app, "lounge", "host", json!({"features": [], "pin": "123456"})).await;
    let mut thief = Client::connect(&app).await;
    thief.send_join("lounge", "thief", json!({"features": [], "pin": "000000"})).await;
    thief.expect("ERROR").await;
    let line = app.log_line(json!({"msg": "refused", "code": "invalid_pin"})).await;
    assert_eq!(
        (&line["type"], &line["room"], &line["user"], &line["level"]),
        (&json!("JOIN"), &json!("lounge"), &json!("thief"), &json!(30))
    );
    let mut guest = Client::join_with(&app, "lounge", "guest", json!({"features": [], "pin": "123456"})).await.0;
    guest.send(json!({"type": "SEEK", "currentTime": 1.0, "isPlaying": true})).await;
    guest.expect("ERROR").await;
    let line = app.log_line(json!({"msg": "refused", "type": "SEEK"})).await;
    assert_eq!((&line["code"], &line["room"], &line["user"]), (&json!("forbidden"), &json!("lounge"), &json!("guest")));
    assert!(line["conn"].is_string() && line["reqId"].is_string(), "{line}");
}

#[tokio::test]
async fn a_refused_upgrade_says_what_is_wrong_with_its_token() {
    let app = TestApp::start_with(&[("AUTH_MODE", "token"), ("AUTH_KEYS", KEYS)]).await;
    let expired = token("ana", &json!({"exp": 1}));
    let forged = format!("{}x", token("ana", &json!({})));
    let of_nobody = token("ana", &json!({"aud": "elsewhere"}));
    for (shown, fault) in
        [(expired.as_str(), "expired"), (&forged, "signature"), (&of_nobody, "audience"), ("no-token", "malformed")]
    {
        let bearer = format!("Bearer {shown}");
        let headers = [("Authorization", bearer.as_str())];
        Client::try_connect(&app, Connect { headers: &headers, ..Connect::default() }).await.err().expect("no upgrade");
        let line = app.log_line(json!({"msg": "upgrade refused", "why": "token", "fault": fault})).await;
        assert_eq!(line["level"], 30, "{line}");
    }
    let good = format!("Bearer {}", token("ana", &json!({})));
    let headers = [("Authorization", good.as_str())];
    let invited = Connect { path: Some("/ws?user=ana&invite=no-invitation"), headers: &headers, ..Connect::default() };
    Client::try_connect(&app, invited).await.err().expect("no upgrade");
    app.log_line(json!({"msg": "upgrade refused", "why": "invitation", "fault": "invalid"})).await;
    app.get("/ws").await;
    let line = app.log_line(json!({"msg": "upgrade refused", "why": "handshake"})).await;
    assert_eq!(line.get("fault"), None, "a refusal for another reason has none: {line}");
}

#[tokio::test]
async fn nobody_can_flood_the_log_with_refusals() {
    let app = TestApp::start_with(&[("MESSAGES_PER_SECOND", "10000"), ("MESSAGE_BURST", "10000")]).await;
    let _host = Client::join(&app, "lounge", "host").await;
    let mut guest = Client::join(&app, "lounge", "guest").await;
    for number in 0..1_000 {
        guest.send(json!({"type": "SEEK", "currentTime": f64::from(number), "isPlaying": true, "id": number})).await;
    }
    for _ in 0..1_000 {
        guest.expect("ERROR").await;
    }
    app.log_is_whole().await;
    let count = || app.log_lines().iter().filter(|line| line["msg"] == "refused").count();
    // 200 at once, and 50 a second for as long as it took.
    assert!((200..900).contains(&count()), "{}", count());
    // What was left out is told with the next.
    let begun = std::time::Instant::now();
    loop {
        guest.send(json!({"type": "SEEK", "currentTime": 1.0, "isPlaying": true, "id": 0})).await;
        guest.expect("ERROR").await;
        let told: u64 = app
            .log_lines()
            .iter()
            .filter(|line| line["msg"] == "refused")
            .filter_map(|line| line["skipped"].as_u64())
            .sum();
        if told >= 100 {
            break;
        }
        assert!(begun.elapsed() < DEADLINE, "{}", app.log());
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn ids_can_be_masked() {
    let secret = "a secret of this deployment";
    let mut seen = Vec::new();
    for level in ["info", "debug"] {
        let settings = [("LOG_MASK_IDS", "true"), ("TANDEM_SECRET", secret), ("LOG_LEVEL", level)];
        let app = TestApp::start_with(&settings).await;
        let (mut host, _) = Client::join_with(&app, "lounge-of-ada", "ada-lovelace", json!({"features": []})).await;
        let _guest = Client::join(&app, "lounge-of-ada", "charles").await;
        host.expect("USER_JOINED").await;
        host.send(json!({"type": "KICK", "targetUserId": "charles"})).await;
        app.log_line(json!({"msg": "kicked a member"})).await;
        for line in app.log_lines().iter().filter(|line| line["level"].as_u64() >= Some(30)) {
            for name in ["lounge", "lovelace", "charles"] {
                assert!(!line.to_string().contains(name), "{line}");
            }
        }
        let joined = app.log_line(json!({"msg": "joined"})).await;
        seen.push((joined["user"].clone(), joined["room"].clone()));
    }
    assert!(seen[0].0.as_str().is_some_and(|user| user.starts_with('~')), "{seen:?}");
    assert_eq!(seen[0], seen[1], "one secret, one name");
}

#[tokio::test]
async fn the_id_of_a_request_goes_from_the_proxy_through_the_log_to_the_client() {
    let app = TestApp::start().await;
    let header = |reply: &tandem_testkit::http::Reply| reply.header("x-request-id").map(str::to_owned);
    assert_eq!(header(&app.http("GET", "/health", &[("X-Request-Id", "edge-42")]).await).as_deref(), Some("edge-42"));
    let made = header(&app.get("/health").await).unwrap();
    assert_eq!(made.len(), 36, "{made}");
    assert_ne!(header(&app.http("GET", "/health", &[("X-Request-Id", "two words")]).await).unwrap(), "two words");
    let mut client =
        Client::connect_with(&app, Connect { headers: &[("X-Request-Id", "edge-43")], ..Connect::default() }).await;
    let answered = client.handshake.iter().find(|(name, _)| name.eq_ignore_ascii_case("x-request-id"));
    assert_eq!(answered.map(|(_, id)| id.as_str()), Some("edge-43"));
    client.enter("lounge", "ada", json!({"features": []})).await;
    let line = app.log_line(json!({"msg": "joined"})).await;
    assert_eq!(line["reqId"], "edge-43");
}

#[tokio::test]
async fn a_reader_of_the_log_that_stands_still_stops_nobody() {
    let settings = [
        ("LOG_LEVEL", "trace"),
        ("MESSAGES_PER_SECOND", "100000"),
        ("MESSAGE_BURST", "100000"),
        ("WORKER_THREADS", "1"),
    ];
    let mut app = TestApp::start_with(&settings).await;
    let mut ada = Client::join(&app, "lounge", "ada").await;
    let reading = app.stop_reading_its_log().await;
    // Each leaves a line: far more than the pipe, the reader's buffer and what the node keeps for it together.
    for _ in 0..30 {
        for _ in 0..500 {
            ada.send(json!({"type": "POSITION_UPDATE", "currentTime": 1.0, "isPlaying": true})).await;
        }
        ada.ping().await;
    }
    assert_eq!(app.get("/health").await.status, 200);
    let metrics = app.get("/metrics").await.body;
    let dropped = metrics.lines().find_map(|line| line.strip_prefix("tandem_log_lines_dropped_total ")).unwrap();
    assert_ne!(dropped, "0");
    drop(reading);
    let told = app.log_line(json!({"msg": "log lines were dropped: the reader of the log did not keep up"})).await;
    assert!(told["lines"].as_u64() > Some(0), "{told}");
    app.sigterm().await;
    assert_eq!(app.exit(DEADLINE).await.code(), Some(0));
    app.log_line(json!({"msg": "stopped"})).await;
}

#[tokio::test]
async fn a_hangup_ends_nothing() {
    let mut app = TestApp::start().await;
    let mut ada = Client::join(&app, "lounge", "ada").await;
    app.sighup().await;
    app.log_line(json!({"msg": "SIGHUP: no setting has changed", "level": 30})).await;
    ada.ping().await;
    assert!(app.is_running());
}

#[tokio::test]
async fn at_trace_every_frame_leaves_a_line() {
    let app = TestApp::start_with(&[("LOG_LEVEL", "trace")]).await;
    let _ada = Client::join(&app, "lounge", "ada").await;
    let line: Value = app.log_line(json!({"msg": "frame", "type": "JOIN"})).await;
    assert!(line["bytes"].as_u64() > Some(0) && line["conn"].is_string(), "{line}");
}
