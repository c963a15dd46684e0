//! Pages of other sites.

use super::{ask, connect, field, status};
use tandem_testkit::{Client, TestApp};

/// Headers that libraries add to every request of a page.
const TRACING: &str =
    "traceparent,tracestate,baggage,sentry-trace,x-request-id,x-b3-traceid,uber-trace-id,content-type";

#[tokio::test]
async fn a_preflight_lets_any_header_through_and_is_remembered() {
    let app = TestApp::start().await;
    for path in [
        "/status",
        "/health",
        "/ready",
        "/metrics",
        "/api/short-id/x",
        "/api/room/x",
        "/room/x",
        "/",
        "/ws",
        "/nowhere",
    ] {
        let mut stream = connect(app.addr()).await;
        let lines = [
            "Origin: https://www.netflix.com",
            "Access-Control-Request-Method: GET",
            &format!("Access-Control-Request-Headers: {TRACING}"),
            "Access-Control-Request-Headers: X-One, X-Two",
        ];
        let (head, _) = ask(&mut stream, "OPTIONS", path, &lines).await;
        assert!(matches!(status(&head), 200 | 204), "{path}\n{head}");
        let allowed: Vec<_> = field(&head, "access-control-allow-headers").unwrap().split(',').map(str::trim).collect();
        for name in TRACING.split(',').chain(["x-one", "x-two"]) {
            assert!(allowed.contains(&name), "{path}: {name} of {allowed:?}");
        }
        assert_eq!(field(&head, "access-control-allow-origin"), Some("*"));
        assert!(field(&head, "access-control-allow-credentials").is_none(), "{head}");
        assert!(field(&head, "access-control-max-age").unwrap().parse::<u32>().unwrap() >= 600, "{head}");
        assert!(field(&head, "vary").unwrap().contains("access-control-request-headers"), "{head}");
        assert!(field(&head, "access-control-allow-private-network").is_none(), "{head}");
        let (head, _) = ask(&mut stream, "OPTIONS", path, &["Access-Control-Request-Private-Network: true"]).await;
        assert_eq!(field(&head, "access-control-allow-private-network"), Some("true"), "{head}");
    }
}

#[tokio::test]
async fn every_answer_can_be_read_with_its_headers() {
    let app = TestApp::start_with(&[("MAX_CONNECTIONS", "1")]).await;
    let _inside = Client::connect(&app).await;
    let upgrade = [
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        &format!("Sec-WebSocket-Key: {}", super::KEY),
    ];
    for (method, path, lines, wanted) in [
        ("GET", "/health", &[][..], 200),
        ("HEAD", "/health", &[], 200),
        ("GET", "/nowhere", &[], 404),
        ("GET", "/room/zzzzzzzz", &[], 404),
        ("GET", "/api/room/zzzzzzzz", &[], 404),
        ("GET", "/api/short-id/%FF", &[], 400),
        ("POST", "/ws", &[], 405),
        ("GET", "/ws", &[], 426),
        ("GET", "/ws", &upgrade, 503),
        ("GET", "/health", &upgrade, 400),
    ] {
        let lines = [&["Origin: https://www.netflix.com"], lines].concat();
        let (head, _) = ask(&mut connect(app.addr()).await, method, path, &lines).await;
        assert_eq!(status(&head), wanted, "{method} {path}\n{head}");
        assert_eq!(field(&head, "access-control-allow-origin"), Some("*"), "{method} {path}\n{head}");
        let exposed = field(&head, "access-control-expose-headers").unwrap();
        for name in ["location", "retry-after", "etag", "x-request-id"] {
            assert!(exposed.split(", ").any(|it| it == name), "{name} of {exposed}");
        }
        if wanted == 503 {
            assert!(field(&head, "retry-after").is_some(), "{head}");
        }
    }
}
