//! Clients with names that play a story, and what each of them sent and got, line by line.

use std::{fs, path::PathBuf, time::Duration};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{net::TcpSocket, time::timeout};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{
        Message,
        protocol::frame::{
            Frame as RawFrame,
            coding::{Data, OpCode},
        },
    },
};

use super::names::Names;
use tandem_testkit::{DEADLINE, Frame, TestApp};

pub(super) struct Stage {
    pub(super) app: TestApp,
    cast: Vec<Actor>,
    lines: Vec<Value>,
    names: Names,
    fences: u64,
}

struct Actor {
    name: &'static str,
    ws: WebSocketStream<tokio::net::TcpStream>,
    /// The frames as they came, ids and all.
    got: Vec<Value>,
}

enum Came {
    Frame(Value),
    Closed(Option<(u16, String)>),
}

impl Actor {
    async fn next(&mut self) -> Came {
        loop {
            let message = timeout(2 * DEADLINE, self.ws.next()).await;
            let message = message.unwrap_or_else(|_| panic!("{} gets nothing more; it got {:#?}", self.name, self.got));
            match message {
                Some(Ok(Message::Text(text))) => {
                    assert!(text.starts_with(r#"{"type":""#), "a frame begins with its type: {text}");
                    let frame = (*Frame::parse(&text)).clone();
                    self.got.push(frame.clone());
                    return Came::Frame(frame);
                }
                Some(Ok(Message::Close(close))) => {
                    return Came::Closed(close.map(|close| (close.code.into(), close.reason.to_string())));
                }
                Some(Ok(Message::Binary(_))) => panic!("a binary frame"),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Came::Closed(None),
            }
        }
    }
}

impl Stage {
    pub(super) async fn with(settings: &[(&str, &str)]) -> Self {
        let app = TestApp::start_with(settings).await;
        Self { app, cast: Vec::new(), lines: Vec::new(), names: Names::default(), fences: 0 }
    }

    /// Opens a socket. The name may be that of a client whose socket has ended.
    pub(super) async fn connect(&mut self, name: &'static str) {
        assert!(self.cast.iter().all(|actor| actor.name != name), "{name} is connected");
        let address = self.app.addr();
        let stream = TcpSocket::new_v4().unwrap().connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (ws, _) = client_async(format!("ws://{address}/ws"), stream).await.unwrap();
        self.cast.push(Actor { name, ws, got: Vec::new() });
        self.lines.push(json!({"who": name, "opens": true}));
    }

    /// Sends a frame, and records the frames of all clients until it was handled.
    pub(super) async fn says(&mut self, name: &'static str, frame: Value) {
        self.says_and_ends(name, frame, &[]).await;
    }

    /// The same, for a frame that ends the sockets of some: theirs are read to the end.
    pub(super) async fn says_and_ends(&mut self, name: &'static str, frame: Value, gone: &[&'static str]) {
        self.send(name, frame).await;
        self.settle(name, gone).await;
    }

    /// Sends a frame and waits for nothing.
    pub(super) async fn send(&mut self, name: &'static str, frame: Value) {
        let text = frame.to_string();
        let line = json!({"who": name, "sent": self.names.applied_to(&frame)});
        self.send_as(name, line, Message::text(text)).await;
    }

    /// Sends a text that is no frame.
    pub(super) async fn says_text(&mut self, name: &'static str, text: &str) {
        self.send_as(name, json!({"who": name, "text": text}), Message::text(text)).await;
        self.settle(name, &[]).await;
    }

    /// Sends what cannot be shown.
    pub(super) async fn sends(&mut self, name: &'static str, what: &str, message: Message) {
        self.send_as(name, json!({"who": name, "sends": what}), message).await;
    }

    async fn send_as(&mut self, name: &'static str, line: Value, message: Message) {
        self.lines.push(line);
        let sent = self.actor(name).ws.send(message).await;
        sent.unwrap_or_else(|error| panic!("{name} cannot send: {error}; so far:\n{}", self.text()));
    }

    /// Breaks a connection without a word.
    pub(super) fn drop(&mut self, name: &'static str) {
        let actor = self.take(name);
        actor.ws.get_ref().set_zero_linger().unwrap();
        self.lines.push(json!({"who": name, "drops": true}));
    }

    /// Waits for a frame that is not an answer, and records the frames of the other clients until then.
    pub(super) async fn until(&mut self, name: &'static str, kind: &str) {
        self.only_until(name, kind).await;
        self.settle(name, &[]).await;
    }

    /// Reads one client up to a frame, without a fence.
    pub(super) async fn only_until(&mut self, name: &'static str, kind: &str) {
        loop {
            match self.actor(name).next().await {
                Came::Frame(frame) => {
                    let found = frame["type"] == kind;
                    self.note(name, &frame);
                    if found {
                        return;
                    }
                }
                Came::Closed(close) => panic!("{name} waits for {kind}: {close:?}; so far:\n{}", self.text()),
            }
        }
    }

    /// Reads to the end of the socket, and takes down the end alone.
    pub(super) async fn only_closes(&mut self, name: &'static str) {
        loop {
            if let Came::Closed(close) = self.actor(name).next().await {
                return self.note_close(name, close);
            }
        }
    }

    /// Reads to the end of the socket.
    pub(super) async fn closes(&mut self, name: &'static str) {
        loop {
            match self.actor(name).next().await {
                Came::Frame(frame) if is_fence(&frame) => {}
                Came::Frame(frame) => self.note(name, &frame),
                Came::Closed(close) => return self.note_close(name, close),
            }
        }
    }

    /// The last frame of this type of a client, with ids.
    pub(super) fn last(&self, name: &str, kind: &str) -> &Value {
        let actor = self.cast.iter().find(|actor| actor.name == name).unwrap();
        actor.got.iter().rev().find(|frame| frame["type"] == kind).unwrap()
    }

    /// Forgets the record of a client that retries, from here on.
    pub(super) fn mark(&self) -> usize {
        self.lines.len()
    }

    pub(super) fn forget_since(&mut self, mark: usize) {
        self.lines.truncate(mark);
    }

    /// Reads everybody up to the answer to a question asked now. The first one's answer says that its frame was dealt with, and
    /// everything that follows from a frame is in the outboxes of all by then.
    async fn settle(&mut self, first: &'static str, gone: &[&'static str]) {
        let others = self.cast.iter().map(|actor| actor.name).filter(|name| *name != first);
        let names: Vec<_> = [first].into_iter().chain(others).collect();
        for name in names {
            if gone.contains(&name) {
                self.closes(name).await;
            } else {
                self.fence(name).await;
            }
        }
    }

    async fn fence(&mut self, name: &'static str) {
        self.fences += 1;
        let id = format!("fence {}", self.fences);
        let question = json!({"type": "FENCE", "id": id}).to_string();
        // A socket that has ended is found out by reading.
        let _ = self.actor(name).ws.send(Message::text(question)).await;
        loop {
            match self.actor(name).next().await {
                Came::Frame(frame) if frame["id"] == *id => {
                    self.actor(name).got.pop();
                    return;
                }
                Came::Frame(frame) => self.note(name, &frame),
                Came::Closed(close) => return self.note_close(name, close),
            }
        }
    }

    fn note(&mut self, name: &str, frame: &Value) {
        let frame = self.names.applied_to(frame);
        self.lines.push(json!({"who": name, "got": frame}));
    }

    fn note_close(&mut self, name: &'static str, close: Option<(u16, String)>) {
        self.take(name);
        let (code, reason) = close.unzip();
        self.lines.push(json!({"who": name, "closed": code, "reason": reason}));
    }

    fn actor(&mut self, name: &str) -> &mut Actor {
        let actor = self.cast.iter_mut().find(|actor| actor.name == name);
        actor.unwrap_or_else(|| panic!("{name} is not connected; so far:\n{}", text(&self.lines)))
    }

    fn take(&mut self, name: &str) -> Actor {
        let place = self.cast.iter().position(|actor| actor.name == name).unwrap();
        self.cast.remove(place)
    }

    fn text(&self) -> String {
        text(&self.lines)
    }

    /// Compares the story with the one that is kept under this name, or keeps it with `WRITE_TRANSCRIPT=1`.
    pub(super) fn compare(self, story: &str) {
        let path = kept(story);
        let now = self.text();
        if std::env::var_os("WRITE_TRANSCRIPT").is_some() {
            fs::write(&path, &now).unwrap();
        }
        let before = fs::read_to_string(&path).unwrap_or_default();
        let (mut before, mut now) = (before.lines(), now.lines());
        for line in 1.. {
            let (old, new) = (before.next(), now.next());
            assert_eq!(
                old,
                new,
                "line {line} of {}: the wire has changed (left: as recorded, right: now)",
                path.display()
            );
            if old.is_none() {
                break;
            }
        }
    }
}

/// The lines of a story as they are kept.
pub(super) fn read(story: &str) -> Vec<Value> {
    let text = fs::read_to_string(kept(story)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn kept(story: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/it/transcript/{story}.jsonl"))
}

fn text(lines: &[Value]) -> String {
    lines.iter().flat_map(|line| [line.to_string(), "\n".to_owned()]).collect()
}

fn is_fence(frame: &Value) -> bool {
    frame["id"].as_str().is_some_and(|id| id.starts_with("fence "))
}

/// A text frame of any bytes, UTF-8 or not.
pub(super) fn raw_text(bytes: &[u8]) -> Message {
    Message::Frame(RawFrame::message(bytes.to_vec(), OpCode::Data(Data::Text), true))
}

/// A continuation of nothing.
pub(super) fn stray_continuation() -> Message {
    Message::Frame(RawFrame::message(b"{}".to_vec(), OpCode::Data(Data::Continue), true))
}

/// For what is about time.
pub(super) async fn wait(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}
