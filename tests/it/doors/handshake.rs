//! The WebSocket handshake and what is not one.

use super::{KEY, ask, connect, field, status};
use tandem_testkit::TestApp;

/// The headers that the HTTP client of Java sends with its first request.
const H2C: [&str; 3] =
    ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA"];

#[tokio::test]
async fn an_upgrade_to_something_else_is_passed_over() {
    let app = TestApp::start().await;
    for lines in [
        &H2C[..],
        &["Connection: Upgrade", "Upgrade: h2c, TLS/1.0"],
        &["Connection: upgrade", "Upgrade: foo/2"],
        // Without `upgrade` in Connection the header has no meaning.
        &["Upgrade: websocket"],
        &["Connection: keep-alive", "Upgrade: websocket"],
    ] {
        let mut stream = connect(app.addr()).await;
        for (path, wanted) in [
            ("/health", 200),
            ("/ready", 200),
            ("/status", 200),
            ("/metrics", 200),
            ("/", 200),
            ("/api/short-id/room", 200),
            ("/api/room/zzzzzzzz", 404),
            ("/room/zzzzzzzz", 404),
            ("/nowhere", 404),
            ("/ws", 426),
            ("/health", 200),
        ] {
            // All over one connection: it goes on as HTTP/1.1.
            let (head, _) = ask(&mut stream, "GET", path, lines).await;
            assert_eq!(status(&head), wanted, "{path} {lines:?}\n{head}");
            assert!(head.starts_with("http/1.1"), "{head}");
        }
    }
}

/// The same list, in all the ways in which a list may be written.
#[tokio::test]
async fn a_handshake_may_be_written_in_many_ways() {
    let app = TestApp::start().await;
    let key = format!("Sec-WebSocket-Key: {KEY}");
    let trailing = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZX==".to_owned();
    for (connection, upgrade, version) in [
        (&["Connection: Upgrade"][..], &["Upgrade: websocket"][..], &["Sec-WebSocket-Version: 13"][..]),
        (&["Connection: upgrade"], &["Upgrade: WebSocket"], &["Sec-WebSocket-Version:13"]),
        (&["connection: keep-alive, Upgrade"], &["UPGRADE: WEBSOCKET"], &["sec-websocket-version: 13 "]),
        (
            &["Connection: keep-alive", "Connection: Upgrade"],
            &["Upgrade: websocket"],
            &["Sec-WebSocket-Version: 13, 8"],
        ),
        (
            &["Connection: Upgrade", "Connection: keep-alive"],
            &["Upgrade: h2c, websocket"],
            &["Sec-WebSocket-Version: 8, 13"],
        ),
        (
            &["Connection: Upgrade,HTTP2-Settings"],
            &["Upgrade: h2c", "Upgrade: websocket"],
            &["Sec-WebSocket-Version: 8", "Sec-WebSocket-Version: 13"],
        ),
        (&["Connection: ,, Upgrade ,"], &["Upgrade: websocket,"], &["Sec-WebSocket-Version: 13"]),
    ] {
        for key in [&key, &trailing] {
            let lines = [connection, upgrade, version, &[key.as_str()]].concat();
            let mut stream = connect(app.addr()).await;
            let (head, _) = ask(&mut stream, "GET", "/ws", &lines).await;
            assert_eq!(status(&head), 101, "{lines:?}\n{head}");
            assert_eq!(field(&head, "upgrade"), Some("websocket"), "{head}");
            assert_eq!(field(&head, "connection"), Some("upgrade"), "{head}");
            assert!(field(&head, "sec-websocket-accept").is_some(), "{head}");
            assert!(field(&head, "sec-websocket-protocol").is_none(), "{head}");
        }
        // At another path it is refused in every spelling, too.
        let lines = [connection, upgrade, version, &[key.as_str()]].concat();
        let (head, _) = ask(&mut connect(app.addr()).await, "GET", "/health", &lines).await;
        assert_eq!(status(&head), 400, "{lines:?}\n{head}");
    }
}

#[tokio::test]
async fn the_accept_key_is_that_of_the_rfc_and_no_protocol_is_chosen() {
    let app = TestApp::start().await;
    let key = format!("Sec-WebSocket-Key: {KEY}");
    for offered in
        [&["Sec-WebSocket-Protocol: soap, wamp"][..], &["Sec-WebSocket-Protocol: soap", "Sec-WebSocket-Protocol: wamp"]]
    {
        let lines =
            [&["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", &key], offered].concat();
        let (head, _) = ask(&mut connect(app.addr()).await, "GET", "/ws?x=1", &lines).await;
        assert_eq!(status(&head), 101, "{head}");
        assert_eq!(field(&head, "sec-websocket-accept"), Some("s3pplmbitxaq9kygzzhzrbk+xoo="), "{head}");
        assert!(field(&head, "sec-websocket-protocol").is_none(), "{head}");
    }
}

#[tokio::test]
async fn what_is_no_handshake_is_told_what_would_be_one() {
    let app = TestApp::start().await;
    let upgrade = ["Connection: Upgrade", "Upgrade: websocket"];
    let key = format!("Sec-WebSocket-Key: {KEY}");
    let version = "Sec-WebSocket-Version: 13";
    let with = |more: &[&'static str]| [&upgrade[..], more].concat();
    for (lines, wanted) in [
        (vec![], 426),
        (vec!["Connection: Upgrade"], 426),
        (vec!["Upgrade: websocket"], 426),
        (vec!["Connection: close-upgrade", "Upgrade: websocket"], 426),
        (vec!["Connection: Upgrade", "Upgrade: websockets"], 426),
        (H2C.to_vec(), 426),
        (with(&[]), 426),
        (with(&["Sec-WebSocket-Version: 8"]), 426),
        (with(&["Sec-WebSocket-Version: 130"]), 426),
        (with(&["Sec-WebSocket-Version: "]), 426),
        (with(&[version]), 400),
        (with(&[version, "Sec-WebSocket-Key: "]), 400),
        (with(&[version, "Sec-WebSocket-Key: aGVsbG8="]), 400),
        (with(&[version, "Sec-WebSocket-Key: not base64 at all!!"]), 400),
        (with(&[version, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ"]), 400),
        (with(&[version, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZSE="]), 400),
        (with(&[version, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ=="]), 400),
        (
            with(&[
                version,
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
                "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
            ]),
            400,
        ),
    ] {
        // Other lines of the handshake are right.
        let mut lines = lines;
        if lines.iter().any(|line| line.starts_with("Sec-WebSocket-Version")) && wanted == 426 {
            lines.push(&key);
        }
        let mut stream = connect(app.addr()).await;
        let (head, body) = ask(&mut stream, "GET", "/ws", &lines).await;
        assert_eq!(status(&head), wanted, "{lines:?}\n{head}");
        assert_eq!(field(&head, "access-control-allow-origin"), Some("*"), "{head}");
        assert!(body.contains("WebSocket"), "{body}");
        if wanted == 426 {
            assert_eq!(field(&head, "sec-websocket-version"), Some("13"), "{lines:?}\n{head}");
            assert_eq!(field(&head, "upgrade"), Some("websocket"), "{head}");
            assert_eq!(field(&head, "connection"), Some("upgrade"), "{head}");
        }
        if lines.is_empty() {
            assert!(body.contains("proxy"), "{body}");
        }
        // The connection is as good as before.
        assert_eq!(status(&ask(&mut stream, "GET", "/health", &[]).await.0), 200, "{lines:?}");
    }
    let all = [&upgrade[..], &[version, &key]].concat();
    for (method, lines, wanted) in [
        ("POST", &[][..], 405),
        ("POST", &all, 405),
        ("PUT", &all, 405),
        ("DELETE", &[], 405),
        ("HEAD", &all, 405),
        ("HEAD", &[], 426),
        ("OPTIONS", &[], 204),
        ("OPTIONS", &all, 204),
    ] {
        let (head, _) = ask(&mut connect(app.addr()).await, method, "/ws", lines).await;
        assert_eq!(status(&head), wanted, "{method} {lines:?}\n{head}");
        if wanted != 426 {
            assert!(field(&head, "allow").is_some_and(|allow| allow.contains("get")), "{head}");
        }
    }
    let metrics = app.get("/metrics").await.body;
    assert!(
        metrics
            .lines()
            .any(|line| line.starts_with("tandem_upgrades_refused_total{reason=\"handshake\"} ")
                && !line.ends_with(" 0")),
        "{metrics}"
    );
}

#[tokio::test]
async fn http_1_0_has_no_upgrade() {
    let app = TestApp::start().await;
    let text = format!(
        "GET /ws HTTP/1.0\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: {KEY}\r\n\r\n"
    );
    let reply = tandem_testkit::http::raw(app.addr(), text.as_bytes()).await.unwrap();
    assert_eq!(reply.status, 426, "{reply:?}");
}
