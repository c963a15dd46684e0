//! The limit of open files.

use std::time::Duration;

use tokio::{
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

use super::{ask, connect, status};
use tandem_testkit::{Client, DEADLINE, TestApp, client::Connect};

/// `ulimit -n` for the server.
const LIMIT: usize = 400;

fn count(log: &str, what: &str) -> usize {
    log.lines().filter(|line| line.contains(what)).count()
}

#[tokio::test]
async fn a_node_that_is_full_still_answers() {
    let app = TestApp::start_with(&[("TEST_OPEN_FILES", &LIMIT.to_string()), ("ADDRESS_SHARES", "false")]).await;
    app.until_it_says("MAX_CONNECTIONS needs more open files than are allowed").await;
    let mut inside = Vec::new();
    let refused = loop {
        match Client::try_connect(&app, Connect::default()).await {
            Ok(client) => inside.push(client),
            Err(refused) => break refused,
        }
        assert!(inside.len() < LIMIT, "more sockets than files");
    };
    assert_eq!(refused.status(), 503);
    assert!(inside.len() >= LIMIT / 2, "only {} of {LIMIT}", inside.len());
    let metrics = app.get("/metrics").await.body;
    let most = format!("tandem_connections_max {}", inside.len());
    assert!(metrics.lines().any(|line| line == most), "no {most} in\n{metrics}");
    // And many who say nothing, or were answered and keep their connection: they make room.
    let mut idle = Vec::new();
    for number in 0..2 * LIMIT {
        let mut stream = timeout(DEADLINE, TcpStream::connect(app.addr())).await.expect("accepted").unwrap();
        if number % 10 == 0 {
            let (head, _) = ask(&mut stream, "GET", "/health", &[]).await;
            assert_eq!(status(&head), 200, "with {number} idle ones");
        }
        idle.push(stream);
    }
    for path in ["/health", "/ready", "/metrics", "/status", "/"] {
        assert_eq!(app.get(path).await.status, 200, "{path}");
    }
    assert!(Client::try_connect(&app, Connect::default()).await.is_err());
    // Those inside are served as ever.
    for client in &mut inside {
        client.ping().await;
    }
    let log = app.log();
    assert_eq!(count(&log, "cannot be accepted"), 0, "{log}");
    assert!(count(&log, "the longest idle ones are closed") <= 3, "{log}");
    // A client that leaves makes room for another one.
    inside.pop().unwrap().vanish();
    let begun = Instant::now();
    while Client::try_connect(&app, Connect::default()).await.is_err() {
        assert!(begun.elapsed() < DEADLINE);
        sleep(Duration::from_millis(20)).await;
    }
}

/// After a restart, each client of an empty node is an HTTP connection at first. Those of a slow network have not asked when the next come.
#[tokio::test]
async fn a_crowd_that_comes_to_an_empty_node_is_not_closed_before_it_has_asked() {
    let app = TestApp::start_with(&[("TEST_OPEN_FILES", &LIMIT.to_string()), ("ADDRESS_SHARES", "false")]).await;
    let mut crowd = Vec::new();
    // Four times as many as the node has files for whatever sockets it has.
    for _ in 0..LIMIT / 2 - 5 {
        crowd.push(timeout(DEADLINE, TcpStream::connect(app.addr())).await.expect("accepted").unwrap());
    }
    // They have all been accepted.
    assert_eq!(app.get("/health").await.status, 200);
    for stream in &mut crowd {
        let (head, _) = ask(stream, "GET", "/health", &[]).await;
        assert_eq!(status(&head), 200);
    }
    let metrics = app.get("/metrics").await.body;
    assert!(metrics.lines().any(|line| line == "tandem_http_connections_shed_total 0"), "{metrics}");
}

/// Fewer files than the node expected: the limit was lowered, or the whole system is out of files.
#[tokio::test]
async fn what_cannot_be_accepted_is_said_once_and_waits() {
    let app = TestApp::start().await;
    let mut kept = connect(app.addr()).await;
    ask(&mut kept, "GET", "/health", &[]).await;
    app.limit_open_files(5).await;
    let mut waiting = connect(app.addr()).await;
    app.until_it_says("connections cannot be accepted").await;
    // Ten tries a second, for two seconds.
    sleep(Duration::from_secs(2)).await;
    assert_eq!(count(&app.log(), "connections cannot be accepted"), 1, "{}", app.log());
    app.limit_open_files(1_000).await;
    let (head, _) = ask(&mut waiting, "GET", "/health", &[]).await;
    assert_eq!(status(&head), 200);
    let metrics = app.get("/metrics").await.body;
    let failures = metrics.lines().find(|line| line.starts_with("tandem_accept_failures_total ")).unwrap();
    assert!(failures.rsplit(' ').next().unwrap().parse::<u64>().unwrap() >= 2, "{failures}");
}
