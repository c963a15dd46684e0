//! The secret of a deployment is replaced while people watch.

use serde_json::{Value, json};

use crate::nodes::Nodes;
use tandem_testkit::{Client, http, redis::Redis};

const OLD: &str = "the secret that everybody knows by now";
const NEW: &str = "the secret that nobody knows as yet";

/// A client that resumes again and again, on one node or the other.
struct Ana {
    socket: Client,
    token: String,
    epoch: u64,
    version: u64,
}

impl Ana {
    async fn join(nodes: &Nodes, number: usize, room: &str, pin: &str) -> Self {
        let mut socket = Client::connect_to(nodes.addr(number)).await;
        let state = socket.enter(room, "ana", json!({"pin": pin, "features": ["resume", "ack"]})).await;
        Self { token: state.str("resumeToken").to_owned(), epoch: state.int("epoch"), version: state.version(), socket }
    }

    async fn resume(&mut self, nodes: &Nodes, number: usize) {
        let mut socket = Client::connect_to(nodes.addr(number)).await;
        let frame = json!({"type": "RESUME", "roomId": "film", "userId": "ana", "resumeToken": self.token,
            "epoch": self.epoch, "version": self.version, "features": ["resume", "ack"]});
        socket.send(frame).await;
        let answer = |frame: &tandem_testkit::Frame| frame.is("ERROR") || frame["resumeToken"].is_string();
        let frames = socket.collect_until(answer, "an answer to RESUME").await;
        let last = frames.last().unwrap();
        assert!(!last.is("ERROR"), "node {number}: {last:?}");
        last.str("resumeToken").clone_into(&mut self.token);
        self.socket = socket;
    }
}

/// The answer to a JOIN with this PIN: `ROOM_STATE`, or the code of the error.
async fn enter(nodes: &Nodes, number: usize, room: &str, user: &str, pin: &str) -> String {
    let mut socket = Client::connect_to(nodes.addr(number)).await;
    socket.send_join(room, user, json!({"pin": pin, "features": ["ack"]})).await;
    let frames = socket.collect_until(|frame| frame.is("ERROR") || frame.is("ROOM_STATE"), "an answer to JOIN").await;
    let last = frames.last().unwrap();
    let code = if last.is("ERROR") { last.str("code").to_owned() } else { "ROOM_STATE".to_owned() };
    if code == "ROOM_STATE" {
        socket.send(json!({"type": "LEAVE"})).await;
        socket.closed().await;
    }
    code
}

async fn get(nodes: &Nodes, number: usize, path: &str) -> Value {
    http::request(nodes.addr(number), "GET", path, &[]).await.json()
}

async fn restart(nodes: &mut Nodes, number: usize, secret: &str, previous: &str) {
    nodes.drain(number).await;
    nodes.set(number, "TANDEM_SECRET", secret);
    nodes.set(number, "TANDEM_SECRET_PREVIOUS", previous);
    nodes.launch(number);
    nodes.until_ready(number).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_secret_is_changed_and_nobody_notices() {
    let redis = Redis::start();
    let url = redis.url();
    let settings = [
        ("REDIS_URL", url.as_str()),
        ("TANDEM_SECRET", OLD),
        ("RESUME_WINDOW_SECONDS", "600"),
        ("EMPTY_ROOM_SECONDS", "600"),
        ("DRAIN_SECONDS", "0.1"),
    ];
    let mut nodes = Nodes::start(2, &settings).await;
    let mut ana = Ana::join(&nodes, 0, "film", "123456").await;
    let code = get(&nodes, 0, "/api/short-id/film").await["shortId"].as_str().unwrap().to_owned();

    // The new secret is announced; nothing is hashed with it yet.
    restart(&mut nodes, 1, OLD, NEW).await;
    ana.resume(&nodes, 1).await;
    restart(&mut nodes, 0, OLD, NEW).await;
    assert_eq!(enter(&nodes, 0, "film", "ben", "123456").await, "ROOM_STATE");

    // The nodes begin to use it one after the other; hashes of either secret are valid on all.
    ana.resume(&nodes, 0).await;
    restart(&mut nodes, 1, NEW, OLD).await;
    for number in [1, 0, 1, 0, 1] {
        ana.resume(&nodes, number).await;
    }
    for number in [0, 1] {
        assert_eq!(enter(&nodes, number, "film", "ben", "123456").await, "ROOM_STATE");
        assert_eq!(enter(&nodes, number, "film", "eve", "654321").await, "invalid_pin");
        assert_eq!(get(&nodes, number, &format!("/api/room/{code}")).await["roomId"], "film");
    }
    let _carl = Ana::join(&nodes, 1, "series", "777777").await;
    assert_eq!(
        enter(&nodes, 0, "series", "ben", "777777").await,
        "ROOM_STATE",
        "made with the new one, asked of the old"
    );
    // A node that was forgotten or rolled back shares a secret with both.
    restart(&mut nodes, 0, OLD, "").await;
    restart(&mut nodes, 0, NEW, OLD).await;
    ana.resume(&nodes, 0).await;

    // The old secret is revoked.
    restart(&mut nodes, 1, NEW, "").await;
    ana.resume(&nodes, 1).await;
    restart(&mut nodes, 0, NEW, "").await;
    ana.resume(&nodes, 0).await;
    for number in [0, 1] {
        assert_eq!(enter(&nodes, number, "series", "ben", "777777").await, "ROOM_STATE");
        assert_eq!(get(&nodes, number, &format!("/api/room/{code}")).await["roomId"], "film");
    }
    // No client is admitted by it any more.
    nodes.drain(1).await;
    nodes.set(1, "TANDEM_SECRET", OLD);
    nodes.launch(1);
    let begun = std::time::Instant::now();
    while nodes.is_running(1) {
        assert!(begun.elapsed() < tandem_testkit::process::DEADLINE, "{}", nodes.log(1));
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(nodes.log(1).contains("another TANDEM_SECRET"), "{}", nodes.log(1));
}
