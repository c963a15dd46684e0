//! A real HAProxy that tells clients' addresses by the PROXY protocol, or speaks HTTP/2 to the node.

use std::{net::SocketAddr, process::Command, time::Duration};

use serde_json::json;
use tandem_testkit::{
    Client, TestApp,
    process::{Process, free_port, listens, program, wait_for},
};
use tokio::time::{Instant, sleep};

struct Balancer {
    port: u16,
    process: Process,
    dir: tempfile::TempDir,
}

impl Balancer {
    /// In front of a node, from an address of its own. It also asks for the node's health, which is no client's connection.
    fn start(node: SocketAddr, sends: &str) -> Self {
        Self::with("mode tcp", node, &format!("{sends} check inter 100ms fall 1"))
    }

    fn with(mode: &str, node: SocketAddr, server: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = free_port();
        let config = format!(
            "global\n nbthread 1\ndefaults\n {mode}\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n\
             frontend clients\n bind 127.0.0.1:{port}\n default_backend nodes\n\
             backend nodes\n option httpchk GET /health\n http-check expect status 200\n \
             server node {node} source 127.0.0.2 {server}\n"
        );
        let file = dir.path().join("haproxy.cfg");
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new(program("haproxy", &["/usr/sbin"]));
        command.arg("-db").arg("-f").arg(&file);
        let process = Process::start(&mut command, &dir.path().join("log"));
        wait_for("HAProxy does not listen", || listens(port));
        Self { port, process, dir }
    }

    fn addr(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }
}

async fn refused(app: &TestApp) -> u64 {
    let metrics = app.get("/metrics").await.body;
    let lines = metrics.lines().filter(|line| line.starts_with("tandem_proxy_headers_refused_total"));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn haproxy_tells_who_the_client_is_in_both_versions() {
    for sends in ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options unique-id,crc32c"] {
        let app = TestApp::start_with(&[("PROXY_PROTOCOL_FROM", "127.0.0.2")]).await;
        let balancer = Balancer::start(app.addr(), sends);
        // A few checks of the node's health.
        sleep(Duration::from_millis(500)).await;
        let mut client = Client::connect_to(balancer.addr()).await;
        let state = client.enter("room", "ana", json!({"features": []})).await;
        assert_eq!(state.users(), ["ana"], "{sends}");
        // A request that is no WebSocket's is logged with its client: the address of this test, not that of the balancer.
        let reply = tandem_testkit::http::request(balancer.addr(), "GET", "/ws", &[]).await;
        assert_eq!(reply.status, 426, "{sends}");
        let begun = Instant::now();
        let client = loop {
            if let Some(line) = app.log_lines().into_iter().find(|line| line["msg"] == "upgrade refused") {
                break line["client"].as_str().unwrap().to_owned();
            }
            assert!(begun.elapsed() < Duration::from_secs(10), "{}", app.log());
            sleep(Duration::from_millis(10)).await;
        };
        assert_eq!(client, "127.0.0.1", "{sends}");
        assert_eq!(refused(&app).await, 0, "{sends}: {}", app.log());
        let log = std::fs::read_to_string(balancer.dir.path().join("log")).unwrap_or_default();
        assert!(!log.contains("DOWN"), "{sends}: the node is well: {log}");
        drop(balancer.process);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_balancer_that_is_not_listed_is_refused() {
    let app = TestApp::start_with(&[("PROXY_PROTOCOL_FROM", "127.0.0.3")]).await;
    let balancer = Balancer::start(app.addr(), "send-proxy-v2");
    let begun = Instant::now();
    while refused(&app).await == 0 {
        assert!(begun.elapsed() < Duration::from_secs(10), "{}", app.log());
        sleep(Duration::from_millis(20)).await;
    }
    app.until_it_says("PROXY_PROTOCOL_FROM").await;
    drop(balancer);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn haproxy_carries_the_sockets_of_many_clients_on_one_connection_of_http2() {
    let app = TestApp::start_with(&[("TRUST_PROXY_HOPS", "1")]).await;
    // Its clients speak HTTP/1.1. Without checks of the node's health: each has a connection of its own.
    let mode = "mode http\n http-reuse always\n option forwardfor\n timeout tunnel 60s";
    let balancer = Balancer::with(mode, app.addr(), "proto h2");
    let mut ana = Client::connect_to(balancer.addr()).await;
    ana.enter("room", "ana", json!({"features": []})).await;
    let mut ben = Client::connect_to(balancer.addr()).await;
    ben.enter("room", "ben", json!({"features": []})).await;
    assert_eq!(ana.expect("USER_JOINED").await["userId"], "ben");
    ana.send(json!({"type": "BROADCAST", "event": "hello", "data": "x".repeat(40_000)})).await;
    assert_eq!(ben.expect("BROADCAST").await["data"].as_str().unwrap().len(), 40_000);
    let metrics = app.get("/metrics").await.body;
    for line in ["tandem_connections 2", "tandem_http2_websockets_opened_total 2", "tandem_http2_connections 1"] {
        assert!(metrics.contains(&format!("\n{line}\n")), "{line}: {metrics}");
    }
    ana.close().await;
    assert_eq!(ben.until("USER_LEFT").await["userId"], "ana");
    ben.ping().await;
}
