//! A bug in one room, or in one frame, ends one connection, and nothing else.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use clap::{Args as _, FromArgMatches as _};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tandem::{
    auth::Keys,
    backend::{Backend, BackendError, Commit, Delivery, Due, Inbox, Memory, MemoryNode, Point, Proposal, Sink},
    clock::{Clock, Millis},
    config::Config,
    http::{self, Patience, Site, SiteParts, Terms},
    id::{ConnId, NodeId, RoomId, UserId},
    protocol::Frame,
    room::{Change, Room, Update},
    socket::{Admission, Door, DoorParts, Registry},
    telemetry::{HttpMetrics, Metrics},
};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::hubs::hub_with;

const PATIENCE: Duration = Duration::from_secs(20);

/// Memory that has a bug: whoever calls itself "trigger" in "cursed" makes it panic, and so does a request for the code "bug".
struct Buggy(Arc<MemoryNode>);

#[async_trait]
impl Backend for Buggy {
    fn attach(&self, sink: Arc<dyn Sink>) {
        self.0.attach(sink);
    }
    fn is_up(&self) -> bool {
        true
    }
    async fn until_up(&self, within: Duration) -> bool {
        self.0.until_up(within).await
    }
    async fn subscribe(&self, room: &RoomId) -> Result<Room, BackendError> {
        self.0.subscribe(room).await
    }
    async fn unsubscribe(&self, room: &RoomId) -> Result<(), BackendError> {
        self.0.unsubscribe(room).await
    }
    async fn commit(&self, proposal: Proposal) -> Result<Commit, BackendError> {
        let renamed = |change: &Change| matches!(change, Change::Renamed { username, .. } if &**username == "trigger");
        assert!(!proposal.update.changes.iter().any(renamed), "on purpose");
        self.0.commit(proposal).await
    }
    async fn restore(&self, room: &Room, found: Option<Point>, due: Due) -> Result<Commit, BackendError> {
        self.0.restore(room, found, due).await
    }
    async fn history(&self, room: &RoomId, epoch: u64, after: u64) -> Result<Option<Vec<Arc<Update>>>, BackendError> {
        self.0.history(room, epoch, after).await
    }
    async fn direct(
        &self,
        room: &RoomId,
        to: &UserId,
        at: Option<&NodeId>,
        frame: Frame,
    ) -> Result<Delivery, BackendError> {
        self.0.direct(room, to, at, frame).await
    }
    async fn answers(
        &self,
        node: &NodeId,
        room: &RoomId,
        user: &UserId,
        conn: ConnId,
    ) -> Result<Option<bool>, BackendError> {
        self.0.answers(node, room, user, conn).await
    }
    async fn inbox(&self, room: &RoomId, user: &UserId) -> Result<Inbox, BackendError> {
        self.0.inbox(room, user).await
    }
    async fn taken(&self, room: &RoomId, user: &UserId, inbox: &Inbox) -> Result<(), BackendError> {
        self.0.taken(room, user, inbox).await
    }
    async fn exists(&self, room: &RoomId) -> Result<bool, BackendError> {
        self.0.exists(room).await
    }
    async fn claim_code(&self, code: &str, room: &RoomId, until: Millis, now: Millis) -> Result<bool, BackendError> {
        self.0.claim_code(code, room, until, now).await
    }
    async fn resolve_code(&self, code: &str, now: Millis) -> Result<Option<RoomId>, BackendError> {
        assert_ne!(code, "bug", "on purpose");
        self.0.resolve_code(code, now).await
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
    let backend = Arc::new(Buggy(Memory::new(None, 1_000).node(NodeId::parse("n").unwrap())));
    let hub = hub_with(backend.clone(), "n", Arc::clone(&metrics), None);
    let (clock, keys) = (Clock::system(), Keys::new(b"sixteen bytes or more"));
    let admission = Admission::new(100);
    let registry = Registry::new(Arc::clone(&metrics));
    let door = DoorParts {
        hub: Arc::clone(&hub),
        keys: keys.clone(),
        clock,
        metrics: Arc::clone(&metrics),
        admission: Arc::clone(&admission),
        registry,
        tasks: TaskTracker::new(),
    };
    let parts = SiteParts {
        door: Arc::new(Door::new(door, &config)),
        hub,
        backend,
        journal: None,
        database: None,
        keys,
        clock,
        metrics: Arc::clone(&metrics),
        admission,
    };
    let router = http::router(Arc::new(Site::new(parts, &config)));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let patience = Patience { head: PATIENCE, keep_alive: PATIENCE, write: PATIENCE };
    let terms = Terms { patience, most: 100, metrics: HttpMetrics::default() };
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
    // Those of the same room are told, and can go on in it.
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
