//! Proxies that are trusted by their address, the PROXY protocol, and pages whose origin matches a pattern.

use std::{net::SocketAddr, time::Duration};

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::{sleep, timeout},
};

use super::{answer, ask, connect, status};
use tandem_testkit::{Client, DEADLINE, TestApp, connect::Connect};

/// Where the proxy of these tests is: this machine, on another address than all others.
const PROXY: &str = "127.0.0.2";

async fn connect_as(address: &str, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{address}:0").parse().unwrap()).unwrap();
    socket.connect(to).await.unwrap()
}

/// The client that the node logs for a request that is not a WebSocket's, after these first bytes.
async fn logged_client(app: &TestApp, first: &[u8], known: usize) -> String {
    let mut stream = connect_as(PROXY, app.addr()).await;
    stream.write_all(first).await.unwrap();
    let (head, _) = ask(&mut stream, "GET", "/ws", &[]).await;
    assert_eq!(status(&head), 426, "{head}");
    let refused = || app.log_lines().into_iter().filter(|line| line["msg"] == "upgrade refused");
    timeout(DEADLINE, async {
        while refused().count() <= known {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("a log line");
    refused().nth(known).unwrap()["client"].as_str().unwrap().to_owned()
}

fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n", &[command, family][..], &length, rest].concat()
}

async fn refused(app: &TestApp, reason: &str) -> u64 {
    let metrics = app.get("/metrics").await.body;
    let name = format!("tandem_proxy_headers_refused_total{{reason=\"{reason}\"}} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&name)).expect("the metric");
    line.parse().unwrap()
}

#[tokio::test]
async fn a_proxy_header_tells_who_the_client_is() {
    let app = TestApp::start_with(&[("PROXY_PROTOCOL_FROM", PROXY)]).await;
    let v4 = [192, 0, 2, 8, 10, 0, 0, 1, 0, 80, 1, 187];
    for (number, (first, client)) in [
        (b"PROXY TCP4 192.0.2.7 10.0.0.1 80 443\r\n".to_vec(), "192.0.2.7"),
        (b"PROXY TCP6 2001:db8::1 ::1 80 443\r\n".to_vec(), "2001:db8::1"),
        (v2(0x21, 0x11, &v4), "192.0.2.8"),
        // The proxy itself, and a client that it does not know.
        (v2(0x20, 0x11, &v4), PROXY),
        (b"PROXY UNKNOWN\r\n".to_vec(), "unknown"),
        (v2(0x21, 0x00, &[]), "unknown"),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(logged_client(&app, &first, number).await, client, "{first:?}");
    }
    // In pieces, and on a connection that is kept.
    let mut stream = connect_as(PROXY, app.addr()).await;
    for piece in v2(0x21, 0x11, &v4).chunks(5) {
        stream.write_all(piece).await.unwrap();
        sleep(Duration::from_millis(5)).await;
    }
    for _ in 0..3 {
        let (head, _) = ask(&mut stream, "GET", "/health", &[]).await;
        assert_eq!(status(&head), 200);
    }
}

#[tokio::test]
async fn a_proxy_header_that_is_not_right_ends_the_connection() {
    let app = TestApp::start_with(&[("PROXY_PROTOCOL_FROM", PROXY), ("HEADER_TIMEOUT_SECONDS", "0.5")]).await;
    let header = b"PROXY TCP4 192.0.2.7 10.0.0.1 80 443\r\n";
    let request = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n";
    let ended = async |from: &str, first: &[u8], shut: bool, why: &str| {
        let mut stream = connect_as(from, app.addr()).await;
        stream.write_all(first).await.unwrap();
        if shut {
            stream.shutdown().await.unwrap();
        }
        let mut rest = Vec::new();
        // What was not read makes it a reset.
        let _ = timeout(DEADLINE, stream.read_to_end(&mut rest)).await.unwrap_or_else(|_| panic!("{why}: still open"));
        assert!(rest.is_empty(), "{why}: {}", String::from_utf8_lossy(&rest));
        assert_eq!(refused(&app, why).await, 1, "{why}");
    };
    ended("127.0.0.1", &[&header[..], request].concat(), false, "untrusted").await;
    ended(PROXY, request, false, "missing").await;
    ended(PROXY, b"PROXY TCP4 192.0.2.7 nonsense\r\n", false, "malformed").await;
    ended(PROXY, &header[..20], true, "cut").await;
    ended(PROXY, &header[..20], false, "slow").await;
    // It is said once, whatever comes.
    for _ in 0..50 {
        let mut stream = connect(app.addr()).await;
        let _ = stream.write_all(&v2(0x20, 0, &[])).await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }
    assert_eq!(refused(&app, "untrusted").await, 51);
    app.log_is_whole().await;
    let told = app.log_lines().into_iter().filter(|line| line["msg"].to_string().contains("PROXY header")).count();
    assert_eq!(told, 1);
    // A balancer that only looks whether the port is open, and everybody who sends no header, is welcome.
    drop(connect_as(PROXY, app.addr()).await);
    let mut stream = connect(app.addr()).await;
    stream.write_all(b"\r\n").await.unwrap();
    sleep(Duration::from_millis(20)).await;
    stream.write_all(request).await.unwrap();
    assert_eq!(status(&answer(&mut stream, "GET").await.0), 200);
    assert_eq!(refused(&app, "cut").await, 1);
}

/// Whether a client with another X-Forwarded-For can take the seat of the first at once: then they are one to the node.
async fn are_one(app: &TestApp, room: &str, first: &str, second: &str) -> bool {
    let mut old = Client::connect_from(app, first).await;
    old.enter(room, "ana", json!({"features": []})).await;
    let mut new = Client::connect_from(app, second).await;
    new.send_join(room, "ana", json!({"features": []})).await;
    tokio::select! {
        _ = old.during(Duration::from_mins(1)) => panic!("no answer"),
        answer = new.next() => answer.is("ROOM_STATE"),
    }
}

#[tokio::test]
async fn x_forwarded_for_is_believed_from_listed_proxies_alone() {
    let app = TestApp::start_with(&[("TRUSTED_PROXIES", "127.0.0.0/8,10.0.0.0/8")]).await;
    assert!(are_one(&app, "a", "6.6.6.6, 1.2.3.4, 10.0.0.9", "1.2.3.4").await);
    assert!(!are_one(&app, "b", "6.6.6.6, 1.2.3.4", "6.6.6.6, 1.2.3.5").await);
    // One that is not listed is a client, whatever it claims and however many hops are trusted.
    let app = TestApp::start_with(&[("TRUSTED_PROXIES", "10.0.0.0/8"), ("TRUST_PROXY_HOPS", "1")]).await;
    assert!(are_one(&app, "a", "1.2.3.4", "1.2.3.5").await);
    app.until_it_says("not in TRUSTED_PROXIES").await;
}

#[tokio::test]
async fn an_x_forwarded_for_that_is_ignored_is_told_once() {
    let app = TestApp::start().await;
    assert!(are_one(&app, "a", "1.2.3.4", "1.2.3.5").await);
    app.until_it_says("TRUST_PROXY_HOPS is 0").await;
    for _ in 0..5 {
        Client::connect_from(&app, "1.2.3.4").await;
    }
    app.log_is_whole().await;
    let told = app.log_lines().into_iter().filter(|line| line["msg"].to_string().contains("X-Forwarded-For")).count();
    assert_eq!(told, 1);
}

#[tokio::test]
async fn pages_connect_whose_origin_matches_a_pattern() {
    let patterns = "chrome-extension://*,https://*.example.org,http://localhost:3000";
    let app = TestApp::start_with(&[("ALLOWED_ORIGINS", patterns)]).await;
    for (origin, welcome) in [
        ("chrome-extension://abcdefghijklmnopabcdefghijklmnop", true),
        ("https://watch.example.org", true),
        ("HTTPS://Watch.Example.org", true),
        ("http://localhost:3000", true),
        ("https://example.org", false),
        ("https://evilexample.org", false),
        ("https://watch.example.org.evil.net", false),
        ("https://evil.net/.example.org", false),
        ("http://watch.example.org", false),
        ("moz-extension://abcdef", false),
        ("null", false),
        ("https://watch.example.org https://evil.net", false),
    ] {
        let headers = [("Origin", origin)];
        let opened = Client::try_connect(&app, Connect { headers: &headers, ..Connect::default() }).await;
        assert_eq!(
            opened.map(|_| ()).map_err(|refused| refused.status().as_u16()),
            if welcome { Ok(()) } else { Err(403) },
            "{origin}"
        );
    }
    assert!(Client::try_connect(&app, Connect::default()).await.is_err(), "without an origin");
}

/// A balancer was told to send the header, and the node was not told to expect it.
#[tokio::test]
async fn without_the_setting_a_proxy_header_is_refused_and_the_setting_is_named() {
    let app = TestApp::start().await;
    for header in [b"PROXY TCP4 192.0.2.7 10.0.0.1 80 443\r\n".to_vec(), v2(0x20, 0, &[])] {
        let mut stream = connect(app.addr()).await;
        stream.write_all(&header).await.unwrap();
        let mut rest = Vec::new();
        let _ = timeout(DEADLINE, stream.read_to_end(&mut rest)).await.expect("it is closed");
        assert!(rest.is_empty(), "{}", String::from_utf8_lossy(&rest));
    }
    assert_eq!(refused(&app, "untrusted").await, 2);
    app.log_is_whole().await;
    let told = app.log_lines().into_iter().filter(|line| line["msg"].to_string().contains("PROXY_PROTOCOL_FROM"));
    assert_eq!(told.count(), 1);
}
