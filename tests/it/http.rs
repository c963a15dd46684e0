//! HTTP routes.

use std::time::Duration;

use serde_json::{Value, json};

use tandem_testkit::{
    Client, Extension, TestApp,
    client::Connect,
    http::{raw, trickle},
};

async fn code_of(app: &TestApp, room: &str) -> String {
    let reply = app.get(&format!("/api/short-id/{room}")).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()["shortId"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn health_and_readiness() {
    let app = TestApp::start().await;
    for path in ["/health", "/health?x=1"] {
        let reply = app.get(path).await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.json()["status"], "ok");
        assert!(reply.json()["nodeId"].is_string());
    }
    assert_eq!(app.http("POST", "/health", &[("Content-Length", "0")]).await.status, 200);
    assert_eq!(app.get("/ready").await.status, 200);
}

#[tokio::test]
async fn metrics_are_prometheus_text_or_the_old_json() {
    let app = TestApp::start().await;
    let _ana = Client::join(&app, "room", "ana").await;
    let text = app.get("/metrics").await;
    assert_eq!(text.status, 200);
    assert!(text.body.contains("# TYPE ") && text.body.contains("tandem_"), "{}", text.body);
    for line in text.body.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let value = line.rsplit(' ').next().unwrap();
        assert!(value.parse::<f64>().is_ok(), "{line}");
    }
    assert!(!text.body.contains("ana") && !text.body.contains("\"room\""), "{}", text.body);
    let old = app.http("GET", "/metrics", &[("Accept", "application/json")]).await.json();
    assert_eq!((&old["localConnections"], &old["localRooms"]), (&json!(1), &json!(1)));
    assert!(old["nodeId"].is_string() && old["uptime"].is_number() && old["memory"]["rss"].is_number(), "{old}");
}

#[tokio::test]
async fn metrics_come_in_the_format_that_is_asked_for() {
    const OPEN: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
    const JSON: &str = "application/json";
    let prometheus_2 = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    let prometheus_3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
    let cases: &[(&[&str], &str)] = &[
        (&[], TEXT),
        (&[""], TEXT),
        (&["*/*"], TEXT),
        (&["text/*"], TEXT),
        (&["text/plain"], TEXT),
        (&["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"], TEXT),
        (&["text/plain;version=0.0.4;q=0.5, */*;q=0.1"], TEXT),
        (&["application/vnd.google.protobuf"], TEXT),
        (&["application/openmetrics-text;version=0.0.1"], TEXT),
        (&["application/openmetrics-text;q=0"], TEXT),
        (&["application/openmetrics-text;q=0.1,text/plain;q=0.9"], TEXT),
        (&["application/openmetrics-text;q=high"], TEXT),
        (&["application/json;q=0.1, text/plain"], TEXT),
        (&[prometheus_2], OPEN),
        (&[prometheus_3], OPEN),
        (&["application/openmetrics-text"], OPEN),
        (&["Application/OpenMetrics-Text; Version=\"1.0.0\" ; Q=0.9"], OPEN),
        (&["text/plain;q=0.5", "application/openmetrics-text"], OPEN),
        (&["text/plain, application/openmetrics-text"], OPEN),
        (&["application/json"], JSON),
        (&["APPLICATION/JSON"], JSON),
        (&["application/json, text/plain, */*"], JSON),
        (&["text/plain", "application/json"], JSON),
    ];
    let app = TestApp::start().await;
    for (accept, wanted) in cases {
        let headers: Vec<_> = accept.iter().map(|line| ("Accept", *line)).collect();
        let reply = app.http("GET", "/metrics", &headers).await;
        assert_eq!(reply.header("content-type"), Some(*wanted), "{accept:?}");
        match *wanted {
            // What the newer format demands, and the older one does not know.
            OPEN => assert!(reply.body.ends_with("# EOF\n") && reply.body.contains(" info\n"), "{accept:?}"),
            TEXT => assert!(!reply.body.contains("# EOF") && !reply.body.contains(" info\n"), "{accept:?}"),
            _ => assert!(reply.json()["nodeId"].is_string(), "{accept:?}"),
        }
    }
}

#[tokio::test]
async fn status_tells_counts_and_no_names() {
    let app = TestApp::start().await;
    let mut ana = Extension::join(&app, "secret-room-name", "user_ana1").await;
    ana.url_change("https://www.netflix.com/watch/100", 0.0).await;
    ana.fence().await;
    let reply = app.get("/status").await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.json()["rooms"], json!([]));
    assert_eq!(reply.json()["localConnections"], 1);
    for secret in ["secret-room-name", "user_ana1", "netflix"] {
        assert!(!reply.body.contains(secret), "{}", reply.body);
    }
}

#[tokio::test]
async fn status_lists_the_rooms_when_it_is_told_to() {
    let app = TestApp::start_with(&[("STATUS_DETAIL", "rooms")]).await;
    let mut ana = Extension::join(&app, "room", "user_ana1").await;
    ana.url_change("https://www.netflix.com/watch/100", 0.0).await;
    ana.play_pause("pause", 12.5).await;
    ana.fence().await;
    let status = app.get("/status").await.json();
    let room = &status["rooms"][0];
    assert_eq!(room["roomId"], "room");
    assert_eq!(room["connectionCount"], 1);
    assert_eq!(room["currentUrl"], "https://www.netflix.com/watch/100");
    assert_eq!(room["hostUserId"], "user_ana1");
    assert_eq!(room["isPlaying"], false);
    assert!((room["currentTime"].as_f64().unwrap() - 12.5).abs() < 1e-9);
    assert_eq!(room["users"][0]["userId"], "user_ana1");
    assert!(status["timestamp"].is_string() && status["nodeId"].is_string() && status["uptime"].is_number());
}

#[tokio::test]
async fn a_room_has_one_code_in_any_case() {
    let app = TestApp::start_with(&[("PUBLIC_URL", "https://party.example.org")]).await;
    let _ana = Client::join(&app, "film night/ü&?#", "ana").await;
    let reply = app.get("/api/short-id/film%20night%2F%C3%BC%26%3F%23").await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let found = reply.json();
    assert_eq!(found["roomId"], "film night/ü&?#");
    let code = found["shortId"].as_str().unwrap();
    assert_eq!(found["shortUrl"], format!("https://party.example.org/room/{code}"));
    for spelled in [code.to_owned(), code.to_uppercase(), code.to_lowercase()] {
        let room = app.get(&format!("/api/room/{spelled}")).await;
        assert_eq!(room.status, 200);
        assert_eq!(room.json()["roomId"], "film night/ü&?#");
        assert!(room.json()["shortId"].as_str().unwrap().eq_ignore_ascii_case(code));
        let redirect = app.get(&format!("/room/{spelled}")).await;
        assert_eq!(
            (redirect.status, redirect.header("location")),
            (302, Some("/?tandemRoom=film%20night%2F%C3%BC%26%3F%23"))
        );
    }
    for target in ["/api/room/zzzzzzzz", "/api/room/%00", "/api/room/..%2f..", "/api/room/a'%20OR%201=1"] {
        let reply = app.get(target).await;
        assert_eq!((reply.status, reply.json()), (404, json!({"error": "Room not found"})), "{target}");
    }
    assert_eq!(app.get("/room/zzzzzzzz").await.status, 404);
}

#[tokio::test]
async fn codes_of_rooms_differ() {
    let app = TestApp::start().await;
    let mut codes = std::collections::HashSet::new();
    let mut open = Vec::new();
    for number in 0..50 {
        let room = format!("room{number}");
        open.push(Client::join(&app, &room, "ana").await);
        assert!(codes.insert(code_of(&app, &room).await));
    }
}

#[tokio::test]
async fn asking_for_codes_of_rooms_that_are_not_makes_none() {
    let app = TestApp::start().await;
    for number in 0..20 {
        let reply = app.get(&format!("/api/short-id/nothing{number}")).await;
        assert!(reply.status == 404 || reply.status == 200, "{reply:?}");
        assert!(reply.json().is_object());
    }
    let old = app.http("GET", "/metrics", &[("Accept", "application/json")]).await.json();
    assert_eq!(old["localRooms"], 0);
    assert_eq!(app.audit(&[]).await.len(), 0);
}

#[tokio::test]
async fn invite_links_redirect() {
    let app = TestApp::start_with(&[("INVITE_URL", "https://www.netflix.com/")]).await;
    let _ana = Client::join(&app, "default_room_1795295285521", "ana").await;
    let code = code_of(&app, "default_room_1795295285521").await;
    let base = "https://www.netflix.com/?tandemRoom=default_room_1795295285521";
    for (path, location) in [
        (format!("/room/{code}"), base.to_owned()),
        (format!("/room/{code}/"), base.to_owned()),
        (format!("/room/{code}?x=1"), base.to_owned()),
        (format!("/room/{code}/754495"), format!("{base}&pin=754495")),
        (format!("/room/{code}/754495/"), format!("{base}&pin=754495")),
        // Whatever a PIN may be: the page makes such links.
        (format!("/room/{code}/film-26"), format!("{base}&pin=film-26")),
        (format!("/room/{code}/gr%C3%BCn%20%2F%26x=1"), format!("{base}&pin=gr%C3%BCn%20%2F%26x%3D1")),
    ] {
        let reply = app.http("GET", &path, &[("Origin", "https://www.netflix.com")]).await;
        assert_eq!((reply.status, reply.header("location")), (302, Some(location.as_str())), "{path}");
        assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
        assert!(reply.header("access-control-expose-headers").unwrap().contains("Location"));
    }
    let long = "1".repeat(65);
    for pin in ["%0d%0aSet-Cookie:x", "12/34", "%ff", &long] {
        let reply = app.get(&format!("/room/{code}/{pin}")).await;
        assert_eq!(reply.status, 404, "{pin}");
        assert!(reply.header("location").is_none_or(|location| !location.contains("pin=")), "{reply:?}");
        assert!(reply.header("set-cookie").is_none());
    }
}

#[tokio::test]
async fn cors_headers_are_everywhere() {
    let app = TestApp::start().await;
    for (method, path) in [
        ("GET", "/health"),
        ("GET", "/ready"),
        ("GET", "/status"),
        ("GET", "/metrics"),
        ("GET", "/api/room/zzzzzzzz"),
        ("GET", "/room/zzzzzzzz"),
        ("GET", "/no/such/thing"),
        ("POST", "/health"),
        ("OPTIONS", "/api/short-id/x"),
        ("OPTIONS", "/anything"),
    ] {
        let reply = app.http(method, path, &[("Origin", "https://www.netflix.com"), ("Content-Length", "0")]).await;
        assert_eq!(reply.header("access-control-allow-origin"), Some("*"), "{method} {path} {reply:?}");
        if method == "OPTIONS" {
            assert!(matches!(reply.status, 200 | 204), "{path} {reply:?}");
            assert!(reply.header("access-control-allow-methods").unwrap().contains("GET"));
            assert!(reply.header("access-control-allow-headers").unwrap().to_lowercase().contains("content-type"));
        }
    }
}

#[tokio::test]
async fn odd_targets_and_heads_are_answered_or_refused() {
    // A head that does not end is given up after this.
    let mut app = TestApp::start_with(&[("HEADER_TIMEOUT_SECONDS", "2")]).await;
    for target in [
        "/api/short-id/%E0%A4%A",
        "/api/short-id/%",
        "/api/short-id/%FF",
        "/api/room/%E0%A4%A",
        "/%E0%A4%A",
        "/room/%E0%A4%A/1",
        "/api/short-id/",
        "/api/short-id",
        "/api/room/",
        "//",
        "/../../etc/passwd",
        "*",
        "/ws/%",
    ] {
        if let Some(reply) =
            raw(app.addr(), format!("GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes()).await
        {
            assert!(reply.status < 500, "{target} {reply:?}");
            assert!(!reply.body.contains("root:"), "{target}");
        }
    }
    let long = "x".repeat(1 << 20);
    for bytes in [
        format!("GET /api/short-id/{long} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
        format!("GET /health HTTP/1.1\r\nHost: x\r\nX-Long: {long}\r\nConnection: close\r\n\r\n"),
        format!("GET /ws HTTP/1.1\r\nHost: x\r\n{}\r\n", "X: y\r\n".repeat(100_000)),
        format!("{long}\r\n\r\n"),
        "\r\n\r\n\r\n\r\nx".to_owned(),
        "GET / HTTP/9.9\r\n\r\n".to_owned(),
        "\u{0}\u{1}\u{2}\u{16}\u{3}\u{1}\r\n\r\n".to_owned(),
    ] {
        if let Some(reply) = raw(app.addr(), bytes.as_bytes()).await {
            assert!((400..500).contains(&reply.status), "{bytes:.60} {}", reply.status);
        }
    }
    assert!(app.is_running());
    assert_eq!(app.get("/health").await.status, 200);
}

#[tokio::test]
async fn slow_heads_are_not_waited_for() {
    let app = TestApp::start_with(&[("HEADER_TIMEOUT_SECONDS", "1")]).await;
    let head =
        b"GET /health HTTP/1.1\r\nHost: example.org\r\nX-Slow: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
    let drip = trickle(app.addr(), head, Duration::from_millis(200), Duration::from_secs(8));
    let silent = trickle(app.addr(), b"", Duration::from_secs(1), Duration::from_secs(8));
    let (drip, silent) = tokio::join!(drip, silent);
    for ended in [drip, silent] {
        let ended = ended.expect("the connection is still open");
        assert!(ended < Duration::from_secs(5), "{ended:?}");
    }
    assert_eq!(app.get("/health").await.status, 200);
}

const UPGRADE: [(&str, &str); 4] = [
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

#[tokio::test]
async fn only_ws_upgrades() {
    let app = TestApp::start().await;
    for path in ["/", "/ws/", "/WS", "/wsx", "/ws/x", "/health", "/socket.io/", "/api/room/x"] {
        let refused = Client::try_connect(&app, Connect { path: Some(path), ..Connect::default() }).await.err();
        let refused = refused.unwrap_or_else(|| panic!("upgraded at {path}"));
        assert_eq!(refused.status(), 400, "{path}");
    }
    let plain = app.get("/ws").await;
    assert!((400..500).contains(&plain.status), "{plain:?}");
    for (missing, _) in &UPGRADE[1..] {
        let kept = UPGRADE.iter().filter(|(key, _)| key != missing);
        let lines: String = kept.flat_map(|(key, value)| [key, ": ", value, "\r\n"]).collect();
        let text = format!("GET /ws HTTP/1.1\r\nHost: x\r\n{lines}Connection: close\r\n\r\n");
        let reply = raw(app.addr(), text.as_bytes()).await.unwrap();
        assert!((400..500).contains(&reply.status), "without {missing}: {reply:?}");
    }
    let post = app.http("POST", "/ws", &[("Content-Length", "0")]).await;
    assert!((400..500).contains(&post.status), "{post:?}");
}

#[tokio::test]
async fn the_page_needs_nobody_else() {
    let app = TestApp::start().await;
    let page = app.get("/").await;
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").unwrap().starts_with("text/html"));
    let policy = page.header("content-security-policy").expect("a content security policy");
    assert!(policy.contains("default-src"), "{policy}");
    assert!(!policy.contains("unsafe-eval"), "{policy}");
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    let mut todo: Vec<String> = vec![page.body];
    // What it loads comes from here, too.
    let mut seen = Vec::new();
    while let Some(text) = todo.pop() {
        for part in text.split("src=\"").skip(1).chain(text.split("href=\"").skip(1)) {
            let target = part.split('"').next().unwrap();
            assert!(!target.starts_with("//"), "{target}");
            assert!(!target.starts_with("http"), "an address elsewhere: {target}");
            if target.starts_with('/') && target.len() > 1 && !seen.contains(&target.to_owned()) {
                seen.push(target.to_owned());
                let reply = app.get(target).await;
                assert_eq!(reply.status, 200, "{target}");
            }
        }
        for load in ["@import", "cdn.", "fonts.googleapis", "unpkg.com"] {
            assert!(!text.contains(load), "{load}");
        }
    }
}

#[tokio::test]
async fn json_is_never_something_else() {
    let app = TestApp::start().await;
    let _ana = Client::join(&app, "<img src=x onerror=alert(1)>", "ana").await;
    let reply = app.get("/api/short-id/%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E").await;
    assert!(reply.header("content-type").unwrap().starts_with("application/json"));
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    let value: Value = reply.json();
    assert_eq!(value["roomId"], "<img src=x onerror=alert(1)>");
}

/// Anybody can ask for codes of rooms that do not exist; that must not fill what all share.
#[tokio::test]
async fn a_flood_of_codes_is_held_back_but_not_those_of_rooms_that_exist() {
    /// Over one connection: one by one they might come no faster than new ones are given out.
    const AT_ONCE: usize = 200;
    let app = TestApp::start_with(&[("ADDRESS_SHARES", "false")]).await;
    let _host = tandem_testkit::Client::join(&app, "real", "host").await;
    let mut given = 0;
    loop {
        let ask = |number: usize| {
            let last = if number == given + AT_ONCE - 1 { "Connection: close\r\n" } else { "" };
            format!("GET /api/short-id/made-up-{number} HTTP/1.1\r\nHost: x\r\n{last}\r\n")
        };
        let asked: String = (given..given + AT_ONCE).map(ask).collect();
        let first = raw(app.addr(), asked.as_bytes()).await.unwrap();
        let of = |status: u16| {
            usize::from(first.status == status) + first.body.matches(&format!("HTTP/1.1 {status} ")).count()
        };
        assert_eq!(of(200) + of(429), AT_ONCE, "{first:?}");
        given += of(200);
        if of(429) > 0 {
            assert!(first.header("retry-after").is_some() || first.body.contains("retry-after: "), "{first:?}");
            break;
        }
        assert!(given < 20_000, "it gives more and more");
    }
    assert!(given >= 5_000, "a whole node's clients may ask at once: {given}");
    assert_eq!(app.get("/api/short-id/real").await.status, 200);
}

#[tokio::test]
async fn metrics_may_have_a_port_of_their_own() {
    let port = tandem_testkit::process::free_port();
    let app = TestApp::start_with(&[("METRICS_PORT", &port.to_string()), ("STATUS_DETAIL", "rooms")]).await;
    let _ana = Client::join(&app, "room", "ana").await;
    let apart = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    let ask = async |path: &str| tandem_testkit::http::request(apart, "GET", path, &[]).await;
    assert!(ask("/metrics").await.body.contains("tandem_connections 1"));
    assert_eq!(ask("/status").await.json()["rooms"][0]["roomId"], "room");
    assert_eq!((ask("/health").await.status, ask("/ready").await.status), (200, 200));
    for path in ["/", "/ws", "/api/short-id/room", "/assets/app.js"] {
        assert_eq!(ask(path).await.status, 404, "{path}");
    }
    // The other port says nothing of them, in a form that old clients can read.
    assert_eq!(app.get("/metrics").await.status, 404);
    let status = app.get("/status").await;
    assert_eq!((status.status, status.json()), (200, json!({"rooms": []})));
}

#[tokio::test]
async fn a_flood_for_numbers_is_answered_with_copies() {
    let app = TestApp::start().await;
    for (path, kind) in [("/metrics", "*/*"), ("/metrics", "application/json"), ("/status", "*/*")] {
        let mut bodies = Vec::new();
        for _ in 0..200 {
            bodies.push(app.http("GET", path, &[("Accept", kind)]).await.body);
        }
        bodies.dedup();
        // Each fresh answer has other numbers: the uptime, and the CPU time and memory of the process.
        assert!(bodies.len() < 100, "{path}, {kind}: {} fresh answers", bodies.len());
    }
}

#[tokio::test]
async fn what_must_not_be_kept_says_so() {
    let app = TestApp::start().await;
    for path in [
        "/health",
        "/ready",
        "/metrics",
        "/status",
        "/api/short-id/room",
        "/api/room/zzzzzzzz",
        "/room/zzzzzzzz",
        "/ws",
        "/nowhere",
    ] {
        assert_eq!(app.get(path).await.header("cache-control"), Some("no-store"), "{path}");
    }
    for path in ["/", "/assets/app.js"] {
        assert_eq!(app.get(path).await.header("cache-control"), Some("no-cache"), "{path}");
    }
}
