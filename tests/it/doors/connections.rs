//! How long an HTTP connection lives.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::{Instant, sleep, timeout},
};

use super::{ask, connect, status};
use tandem_testkit::{DEADLINE, TestApp};

/// Waits until the server closes, which it must do without a word.
async fn ended(stream: &mut TcpStream, what: &str) {
    let mut rest = Vec::new();
    timeout(DEADLINE, stream.read_to_end(&mut rest)).await.unwrap_or_else(|_| panic!("{what}: still open")).unwrap();
    assert!(rest.is_empty(), "{what}: {}", String::from_utf8_lossy(&rest));
}

/// Balancers keep connections for a minute: one that ends sooner ends under a request of theirs.
#[tokio::test]
async fn a_connection_is_kept_for_longer_than_a_head_may_take() {
    let app = TestApp::start_with(&[("HEADER_TIMEOUT_SECONDS", "1"), ("KEEP_ALIVE_SECONDS", "60")]).await;
    let mut kept = connect(app.addr()).await;
    for path in ["/health", "/assets/app.js", "/ws", "/nowhere", "/health"] {
        ask(&mut kept, "GET", path, &[]).await;
        // The time that a head may take, and more.
        sleep(Duration::from_millis(1_500)).await;
    }
    let (head, _) = ask(&mut kept, "GET", "/health", &[]).await;
    assert_eq!(status(&head), 200);
    // A head that has begun is not waited for that long; nor is the body of a request that was answered without it.
    kept.write_all(b"GET /health HT").await.unwrap();
    ended(&mut kept, "half a head").await;
    let mut posting = connect(app.addr()).await;
    posting.write_all(b"POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nonly this").await.unwrap();
    super::answer(&mut posting, "POST").await;
    posting.write_all(b"and this").await.unwrap();
    timeout(DEADLINE, posting.read_to_end(&mut Vec::new())).await.expect("half a body: still open").ok();
    // Nor is one that never begins.
    ended(&mut connect(app.addr()).await, "nothing").await;
}

#[tokio::test]
async fn a_connection_is_not_kept_for_ever() {
    let app = TestApp::start_with(&[("HEADER_TIMEOUT_SECONDS", "60"), ("KEEP_ALIVE_SECONDS", "0.5")]).await;
    let mut stream = connect(app.addr()).await;
    let (head, _) = ask(&mut stream, "GET", "/health", &[]).await;
    assert_eq!(status(&head), 200);
    ended(&mut stream, "idle").await;
}

/// How many HTTP connections there are, with the one that asks.
async fn connections(app: &TestApp) -> u64 {
    let metrics = app.get("/metrics").await.body;
    let line = metrics.lines().find(|line| line.starts_with("tandem_http_connections ")).expect("the metric");
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn an_answer_that_is_not_read_is_not_waited_for() {
    let app = TestApp::start_with(&[("HEADER_TIMEOUT_SECONDS", "1"), ("KEEP_ALIVE_SECONDS", "60")]).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut stream = socket.connect(app.addr()).await.unwrap();
    // Some MB of answers, of which none is read.
    let request = b"GET /assets/style.css HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1_000);
    let _ = timeout(Duration::from_secs(1), stream.write_all(&request)).await;
    let begun = Instant::now();
    while connections(&app).await > 1 {
        assert!(begun.elapsed() < DEADLINE, "it is still waited for");
        sleep(Duration::from_millis(50)).await;
    }
    drop(stream);
}
