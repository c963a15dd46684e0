//! A bug in one room, or in one frame, ends one connection, and nothing else.

use std::{sync::Arc, time::Duration};

use clap::{Args as _, FromArgMatches as _};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tandem::{
    account::Accounts,
    auth::Keys,
    backend::Proposal,
    clock::Clock,
    config::Config,
    http::{self, AppState, AppStateParts, Patience, Terms},
    room::Change,
    socket::{Admission, Gateway, GatewayParts, Invitations, Registry},
    telemetry::{HttpMetrics, Metrics},
};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    client::{memory, tapped_hub},
    double::Taps,
};

const PATIENCE: Duration = Duration::from_secs(20);

/// A back end with a bug: it panics for the user "trigger" in the room "cursed", and for the code "bug".
struct Bug;

impl Taps for Bug {
    fn commit(&self, proposal: &Proposal) {
        let renamed = |change: &Change| matches!(change, Change::Renamed { username, .. } if &**username == "trigger");
        assert!(!proposal.update.changes.iter().any(renamed), "on purpose");
    }

    fn resolve(&self, code: &str) {
        assert_ne!(code, "bug", "on purpose");
    }
}

struct Client(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Client {
    async fn join(address: &str, room: &str, user: &str) -> Self {
        let (socket, _) = connect_async(format!("ws://{address}/ws")).await.unwrap();
        let mut client = Self(socket);
        client.send(json!({"type": "JOIN", "roomId": room, "userId": user, "features": ["ack"]})).await;
        client.until("ROOM_STATE").await;
        client
    }

    async fn send(&mut self, frame: Value) {
        self.0.send(Message::text(frame.to_string())).await.unwrap();
    }

    async fn next(&mut self) -> Message {
        timeout(PATIENCE, self.0.next()).await.expect("something comes").unwrap().unwrap()
    }

    async fn until(&mut self, kind: &str) -> Value {
        loop {
            if let Message::Text(text) = self.next().await {
                let frame: Value = serde_json::from_str(&text).unwrap();
                if frame["type"] == kind {
                    return frame;
                }
            }
        }
    }

    async fn close_code(&mut self) -> u16 {
        loop {
            if let Message::Close(frame) = self.next().await {
                return frame.unwrap().code.into();
            }
        }
    }
}

/// A node in this process; its address.
async fn serve() -> (String, Arc<Metrics>) {
    let config = Config::augment_args(clap::Command::new("x")).get_matches_from(["x"]);
    let config = Config::from_arg_matches(&config).unwrap();
    let metrics = Arc::new(Metrics::new("n"));
    let hub = tapped_hub(&memory(), "n", Arc::clone(&metrics), &Arc::new(Bug));
    let backend = Arc::clone(hub.shared());
    let (clock, keys) = (Clock::system(), Keys::new(b"sixteen bytes or more"));
    let admission = Admission::new(100);
    let registry = Registry::new(Arc::clone(&metrics));
    let gateway = GatewayParts {
        hub: Arc::clone(&hub),
        keys: keys.clone(),
        clock,
        metrics: Arc::clone(&metrics),
        admission: Arc::clone(&admission),
        registry,
        tokens: None,
        invitations: Invitations::new(&keys, &config.token, Arc::default()).unwrap(),
        accounts: Accounts::unlimited(Arc::clone(&metrics)),
        tasks: TaskTracker::new(),
    };
    let parts = AppStateParts {
        gateway: Arc::new(Gateway::new(gateway, &config)),
        hub,
        backend,
        journal: None,
        database: None,
        keys,
        clock,
        metrics: Arc::clone(&metrics),
        admission,
        accounts: Accounts::unlimited(Arc::clone(&metrics)),
    };
    let router = http::router(Arc::new(AppState::new(parts, &config)));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let patience = Patience { head: PATIENCE, keep_alive: PATIENCE, write: PATIENCE };
    let terms = Terms {
        http2: false,
        drain: CancellationToken::new(),
        patience,
        most: 100,
        sockets: None,
        proxy_protocol_from: Vec::new(),
        tls: None,
        tls_only: false,
        metrics: HttpMetrics::default(),
        accounts: None,
    };
    tokio::spawn(http::serve(listener, router, terms, TaskTracker::new(), CancellationToken::new()));
    (address, metrics)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_bug_in_a_frame_closes_its_connection_and_everybody_else_goes_on() {
    let (address, metrics) = serve().await;
    let mut victim = Client::join(&address, "cursed", "victim").await;
    let mut friend = Client::join(&address, "cursed", "friend").await;
    let mut other = Client::join(&address, "elsewhere", "other").await;
    victim.send(json!({"type": "UPDATE_USERNAME", "username": "trigger"})).await;
    assert_eq!(victim.close_code().await, 1011);
    // Other members of the room are notified, and can continue.
    let left = friend.until("USER_LEFT").await;
    assert_eq!(left["userId"], "victim");
    for client in [&mut friend, &mut other] {
        client.send(json!({"type": "UPDATE_USERNAME", "username": "well", "id": 1})).await;
        client.until("ACK").await;
    }
    let mut again = Client::join(&address, "cursed", "victim").await;
    again.send(json!({"type": "UPDATE_USERNAME", "username": "better", "id": 2})).await;
    again.until("ACK").await;
    let text = metrics.render(tandem::telemetry::Snapshot::default());
    assert!(text.contains(r#"tandem_closes_total{reason="internal error"} 1"#), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_bug_in_a_request_is_a_500_and_the_node_goes_on() {
    let (address, _) = serve().await;
    let get = async |path: &str| {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut stream = TcpStream::connect(&address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    assert_eq!(get("/api/room/bug").await, "500");
    assert_eq!(get("/api/room/none").await, "404");
    assert_eq!(get("/health").await, "200");
}
