//! HTTP/2, with TLS and without, and WebSockets over it (RFC 8441).

use std::{future::poll_fn, time::Duration};

use axum::http::{Method, StatusCode};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpSocket,
    time::{sleep, timeout},
};

use super::{
    connect,
    tls::{certificates, connector_for, number, over, with_tls},
};
use tandem_testkit::{Client, DEADLINE, TestApp, client::Connect, http2::Http2};

const WS: &str = "http://node/ws";

/// Waits until a metric has this value.
pub(super) async fn until(app: &TestApp, name: &str, value: u64) {
    let reached = async {
        while number(app, name).await != value {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(DEADLINE, reached).await.unwrap_or_else(|_| panic!("{name} does not become {value}"));
}

#[tokio::test]
async fn sockets_meet_on_one_connection() {
    let app = TestApp::start().await;
    let outside = number(&app, "tandem_http_connections").await;
    let http2 = Http2::connect(app.addr()).await;
    for path in ["/health", "/ready"] {
        assert_eq!(http2.ask(Method::GET, &format!("http://node{path}")).await.unwrap().0.status(), 200, "{path}");
    }
    let (_, link) = http2.ask(Method::GET, "http://node.example:81/api/short-id/room").await.unwrap();
    assert!(link.contains("\"shortUrl\":\"http://node.example:81/"), "a link leads where the client came from: {link}");
    assert_eq!(number(&app, "tandem_http_connections").await, outside + 1);

    let mut ana = http2.socket(WS, &[]).await.unwrap();
    ana.enter("room", "ana", json!({"features": []})).await;
    let mut ben = http2.socket(WS, &[]).await.unwrap();
    ben.enter("room", "ben", json!({"features": []})).await;
    let mut cho = Client::join(&app, "room", "cho").await;
    for who in ["ben", "cho"] {
        assert_eq!(ana.expect("USER_JOINED").await["userId"], who);
    }
    ben.expect("USER_JOINED").await;
    ana.send(json!({"type": "BROADCAST", "event": "hello", "data": "x".repeat(40_000)})).await;
    for one in [&mut ben, &mut cho] {
        assert_eq!(one.expect("BROADCAST").await["data"].as_str().unwrap().len(), 40_000);
    }
    cho.send(json!({"type": "BROADCAST", "event": "back", "data": "y".repeat(40_000)})).await;
    for one in [&mut ana, &mut ben] {
        one.collect_until(|frame| frame["event"] == "back", "the answer").await;
    }
    assert_eq!(number(&app, "tandem_connections").await, 3);
    assert_eq!(number(&app, "tandem_http2_websockets_opened_total").await, 2);
    assert_eq!(number(&app, "tandem_http2_connections").await, 1);
    // A connection with sockets counts as those, and as nothing else.
    until(&app, "tandem_http_connections", outside).await;
    assert_eq!(http2.ask(Method::GET, "http://node/health").await.unwrap().0.status(), 200);
    assert_eq!(ben.say_goodbye().await, Some(1000));
    assert_eq!(ana.until("USER_LEFT").await["userId"], "ben");
    assert_eq!(number(&app, "tandem_http_connections").await, outside);
    ana.close().await;
    until(&app, "tandem_http_connections", outside + 1).await;
    until(&app, "tandem_connections", 1).await;
    assert_eq!(http2.ask(Method::GET, "http://node/health").await.unwrap().0.status(), 200);
}

#[tokio::test]
async fn thousands_of_small_messages_are_no_flood() {
    let plenty = [("MESSAGES_PER_SECOND", "100000"), ("MESSAGE_BURST", "100000")];
    let app = TestApp::start_with(&plenty).await;
    let http2 = Http2::connect(app.addr()).await;
    let mut ana = http2.socket(WS, &[]).await.unwrap();
    ana.enter("room", "ana", json!({"features": []})).await;
    for _ in 0..20 {
        ana.send_at_once((0..1_000).map(|t0| json!({"type": "PING", "t0": t0}))).await;
        for t0 in 0..1_000 {
            assert_eq!(ana.expect("PONG").await["t0"], t0);
        }
    }
}

#[tokio::test]
async fn with_tls_the_protocol_is_agreed_on() {
    let (_dir, made) = certificates();
    let app = with_tls(&made, &[]).await;
    let secure = over(connect(app.addr()).await, &connector_for(&made.ca, &[b"h2", b"http/1.1"])).await.unwrap();
    assert_eq!(secure.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let http2 = Http2::over(secure, &Http2::patient()).await;
    let (_, link) = http2.ask(Method::GET, "https://localhost/api/short-id/room").await.unwrap();
    assert!(link.contains("\"shortUrl\":\"https://localhost/"), "{link}");
    let mut ana = http2.socket("https://localhost/ws", &[]).await.unwrap();
    ana.enter("room", "ana", json!({"features": []})).await;
    let plain = Http2::connect(app.addr()).await;
    let mut ben = plain.socket(WS, &[]).await.unwrap();
    ben.enter("room", "ben", json!({"features": []})).await;
    assert_eq!(ana.expect("USER_JOINED").await["userId"], "ben");

    // A node that is not to speak it.
    let app = with_tls(&made, &[("HTTP2", "false")]).await;
    let secure = over(connect(app.addr()).await, &connector_for(&made.ca, &[b"h2", b"http/1.1"])).await.unwrap();
    assert_eq!(secure.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    let mut plain = connect(app.addr()).await;
    plain.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    timeout(DEADLINE, plain.read_to_end(&mut answer)).await.expect("the end").unwrap();
    assert!(answer.is_empty(), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn what_opens_no_socket_says_why() {
    let settings = [
        ("ALLOWED_ORIGINS", "https://a.example"),
        ("AUTH_MODE", "token"),
        ("AUTH_KEYS", "app=HS256:0123456789abcdef0123456789abcdef"),
    ];
    let app = TestApp::start_with(&settings).await;
    let http2 = Http2::connect(app.addr()).await;
    let version = ("sec-websocket-version", "13");
    let origin = ("origin", "https://a.example");
    for (protocol, path, headers, status, says) in [
        ("websocket", "/ws", &[version][..], 403, "origin"),
        ("websocket", "/ws", &[version, ("origin", "https://b.example")], 403, "origin"),
        ("websocket", "/ws", &[version, origin, ("authorization", "Bearer nonsense")], 401, ""),
        ("websocket", "/ws", &[origin], 426, "Sec-WebSocket-Version"),
        ("websocket", "/ws", &[origin, ("sec-websocket-version", "12")], 426, "Sec-WebSocket-Version"),
        ("websocket", "/", &[version, origin], 400, "WebSockets are at /ws"),
        ("connect-udp", "/ws", &[version, origin], 501, "websocket"),
    ] {
        let url = format!("http://node{path}");
        let refused = http2.connect_stream(protocol, &url, headers).await.err().expect("a refusal");
        assert_eq!(refused.status(), status, "{protocol} {path} {headers:?}");
        assert!(refused.body.contains(says), "{says}: {refused:?}");
        assert!(refused.head.headers().contains_key("x-request-id"), "{refused:?}");
    }
    let (head, body) = http2.ask(Method::CONNECT, "node:443").await.unwrap();
    assert!(head.status() == StatusCode::METHOD_NOT_ALLOWED && head.headers().contains_key("allow"), "{head:?} {body}");
    let (head, body) = http2.ask(Method::GET, "http://node/ws").await.unwrap();
    assert!(head.status() == 400 && body.contains("RFC 8441"), "{head:?} {body}");
    assert_eq!(number(&app, "tandem_connections").await, 0);
    assert_eq!(http2.ask(Method::GET, "http://node/health").await.unwrap().0.status(), 200, "the connection lives on");
}

#[tokio::test]
async fn each_socket_counts_as_one() {
    let app = TestApp::start_with(&[("MAX_CONNECTIONS", "3"), ("ADDRESS_SHARES", "false")]).await;
    let http2 = Http2::connect(app.addr()).await;
    let mut inside = Vec::new();
    for _ in 0..3 {
        inside.push(http2.socket(WS, &[]).await.unwrap());
    }
    let refused = http2.socket(WS, &[]).await.err().expect("a fourth");
    assert!(refused.status() == 503 && refused.head.headers().contains_key("retry-after"), "{refused:?}");
    let own = Client::try_connect(&app, Connect::default()).await.err().expect("a fourth of its own");
    assert_eq!(own.status(), 503);
    inside.pop().unwrap().close().await;
    until(&app, "tandem_connections", 2).await;
    http2.socket(WS, &[]).await.unwrap();

    // The same for the account of an address, which a proxy tells.
    let caps = [("ADDRESS_CAPS", "sockets=2"), ("TRUST_PROXY_HOPS", "1")];
    let app = TestApp::start_with(&caps).await;
    let http2 = Http2::connect(app.addr()).await;
    let of = |address| [("x-forwarded-for", address)];
    let mut inside = Vec::new();
    for _ in 0..2 {
        inside.push(http2.socket(WS, &of("192.0.2.1")).await.unwrap());
    }
    assert_eq!(http2.socket(WS, &of("192.0.2.1")).await.err().expect("a third").status(), 429);
    inside.push(http2.socket(WS, &of("192.0.2.2")).await.unwrap());
}

#[tokio::test]
async fn a_stream_that_nobody_reads_harms_nobody() {
    let settings = [
        ("MESSAGES_PER_SECOND", "10000"),
        ("MESSAGE_BURST", "10000"),
        ("OUTBOX_BYTES", "65536"),
        ("PING_TIMEOUT_SECONDS", "30"),
    ];
    let app = TestApp::start_with(&settings).await;
    let mut how = Http2::patient();
    // A window of its own is what a stream that is not read fills; the connection's is larger.
    how.initial_connection_window_size(4 * 1024 * 1024);
    let http2 = Http2::over(connect(app.addr()).await, &how).await;
    let version = [("sec-websocket-version", "13")];
    let url = format!("{WS}?room=room&user=slow&features=");
    let mut slow = http2.connect_stream("websocket", &url, &version).await.unwrap();
    app.log_line(json!({"msg": "joined", "user": "slow"})).await;
    let mut ana = http2.socket(WS, &[]).await.unwrap();
    ana.enter("room", "ana", json!({"features": []})).await;
    let mut ben = Client::join(&app, "room", "ben").await;
    ana.expect("USER_JOINED").await;
    let mut left = false;
    for number in 0..60 {
        for to in ["slow", "ana"] {
            ben.send(json!({"type": "OFFER", "to": to, "offer": {"sdp": "x".repeat(16_000), "number": number}})).await;
        }
        let came = ana.collect_until(|frame| frame.is("OFFER"), "an OFFER").await;
        assert_eq!(came.last().unwrap()["offer"]["number"], number);
        left |= came.iter().any(|frame| frame.is("USER_LEFT") && frame["userId"] == "slow");
    }
    assert!(left, "its seat is given up at once");
    app.log_line(json!({"msg": "closed", "code": 4008})).await;
    // What it was told last is not kept for ever.
    let reset = timeout(DEADLINE, poll_fn(|context| slow.send.poll_reset(context))).await.expect("a reset");
    assert_eq!(reset.unwrap(), h2::Reason::CANCEL);
    ana.ping().await;
}

#[tokio::test]
async fn a_drain_is_told_to_connections_and_sockets() {
    let mut app = TestApp::start_with(&[("DRAIN_SECONDS", "6")]).await;
    let (carrying, idle) = (Http2::connect(app.addr()).await, Http2::connect(app.addr()).await);
    idle.ask(Method::GET, "http://node/health").await.unwrap();
    let mut sockets = Vec::new();
    for number in 0..20 {
        let mut one = carrying.socket(WS, &[]).await.unwrap();
        one.enter("room", &format!("m{number}"), json!({"features": ["resume"]})).await;
        sockets.push(one);
    }
    app.sigterm().await;
    // GOAWAY without an error: the client knows which of its requests were not looked at.
    timeout(Duration::from_secs(4), idle.driver).await.expect("an idle connection ends at once").unwrap().unwrap();
    // Whoever comes now hears how the node is.
    let late = Http2::connect(app.addr()).await;
    assert_eq!(late.ask(Method::GET, "http://node/ready").await.unwrap().0.status(), 503);
    assert_eq!(late.socket(WS, &[]).await.err().expect("no new socket").status(), 503);
    for one in &mut sockets {
        one.until("SERVER_DRAINING").await;
        assert_eq!(one.closed().await.1, Some(1012));
    }
    drop(sockets);
    timeout(DEADLINE, carrying.driver).await.expect("it ends with its sockets").unwrap().unwrap();
    assert_eq!(app.exit(DEADLINE).await.code(), Some(0), "{}", app.log());
}

#[tokio::test]
async fn a_proxy_header_comes_before_the_preface() {
    let app = TestApp::start_with(&[("PROXY_PROTOCOL_FROM", "127.0.0.2")]).await;
    for (client, pause) in [("192.0.2.7", 0), ("192.0.2.8", 100)] {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        let mut stream = socket.connect(app.addr()).await.unwrap();
        stream.write_all(format!("PROXY TCP4 {client} 10.0.0.1 80 443\r\n").as_bytes()).await.unwrap();
        sleep(Duration::from_millis(pause)).await;
        let http2 = Http2::over(stream, &Http2::patient()).await;
        assert_eq!(http2.ask(Method::GET, "http://node/ws").await.unwrap().0.status(), 400);
        app.log_line(json!({"msg": "upgrade refused", "client": client})).await;
    }
}

/// For docs/performance.md: `cargo test --test it what_a_socket_takes -- --ignored --nocapture`.
#[tokio::test]
#[ignore = "it measures"]
async fn what_a_socket_takes() {
    const SOCKETS: usize = 1_000;
    let version = [("sec-websocket-version", "13")];
    for on_each in [0, 1, 10, 100] {
        let app = TestApp::start_with(&[("ADDRESS_SHARES", "false")]).await;
        let memory = async || number(&app, "process_resident_memory_bytes").await;
        let (mut connections, mut streams, mut own) = (Vec::new(), Vec::new(), Vec::new());
        // The first hundred warm the node up.
        let mut before = 0;
        for number in 0..SOCKETS + 100 {
            if number == 100 {
                before = memory().await;
            }
            let path = format!("/ws?room=room{}&user=u{number}&features=", number / 4);
            if on_each == 0 {
                own.push(Client::connect_with(&app, Connect { path: Some(&path), ..Connect::default() }).await);
                continue;
            }
            if number % on_each == 0 {
                connections.push(Http2::connect(app.addr()).await);
            }
            let url = format!("http://node{path}");
            streams.push(connections.last().unwrap().connect_stream("websocket", &url, &version).await.unwrap());
        }
        let each = (memory().await - before) / SOCKETS as u64;
        println!("{on_each} sockets on each connection of HTTP/2 (0: HTTP/1.1): {each} bytes for each socket");
    }
}
