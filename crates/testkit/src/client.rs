//! A strict WebSocket client: every frame must match the schema, come in the order of versions, and be one that a client of its generation
//! gets.

use std::{collections::VecDeque, time::Duration};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{
    net::TcpStream,
    time::{Instant, timeout_at},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        protocol::frame::{
            CloseFrame, Frame as RawFrame,
            coding::{CloseCode, Data, OpCode},
        },
    },
};

use crate::{DEADLINE, Frame, TestApp};
pub use crate::{
    connect::Connect,
    fence::{fence_all, quiet},
};

pub struct Client {
    ws: WebSocketStream<TcpStream>,
    /// The headers of the server's answer to the handshake.
    pub handshake: Vec<(String, String)>,
    /// Frames in both directions, for failure messages.
    history: Vec<String>,
    /// Whether the last JOIN or RESUME had `features`; `None` before the first.
    modern: Option<bool>,
    /// Epoch and version of the last frame of the room.
    seen: Option<(u64, u64)>,
    /// Messages that came before the ping that was waited for.
    early: VecDeque<Incoming>,
    pub(super) fences: u64,
}

#[derive(Debug)]
pub enum Incoming {
    Frame(Frame),
    /// The code of the close frame, or `None` if there was none.
    Closed(Option<u16>),
}

impl Client {
    pub fn new(ws: WebSocketStream<TcpStream>, handshake: Vec<(String, String)>) -> Self {
        Self { ws, handshake, history: Vec::new(), modern: None, seen: None, early: VecDeque::new(), fences: 0 }
    }

    /// A URL may stand for a JOIN.
    pub(super) fn joined_by_url(&mut self, path: &str) {
        if path.contains("room=") || path.contains("invite=") {
            self.modern = Some(path.contains("features="));
        }
    }

    /// A new member of a room, of the second generation, without optional features.
    pub async fn join(app: &TestApp, room: &str, user: &str) -> Self {
        Self::join_with(app, room, user, json!({"features": []})).await.0
    }

    /// A new member with these fields in its JOIN, and its `ROOM_STATE`.
    pub async fn join_with(app: &TestApp, room: &str, user: &str, fields: Value) -> (Self, Frame) {
        let mut client = Self::connect(app).await;
        let state = client.enter(room, user, fields).await;
        (client, state)
    }

    /// JOINs on this socket and returns the `ROOM_STATE`.
    pub async fn enter(&mut self, room: &str, user: &str, fields: Value) -> Frame {
        self.send_join(room, user, fields).await;
        let state = self.expect("ROOM_STATE").await;
        if state["resumeToken"].is_string() {
            self.answer_ping().await;
        }
        state
    }

    /// Answers the ping that follows a `ROOM_STATE` with a token. Only after that is the seat kept.
    async fn answer_ping(&mut self) {
        let until = Instant::now() + DEADLINE;
        while let Some(came) = self.receive(until).await.expect("a ping follows ROOM_STATE") {
            let ended = matches!(came, Incoming::Closed(_));
            self.early.push_back(came);
            if ended {
                return;
            }
        }
        self.ws.flush().await.unwrap();
    }

    pub async fn send_join(&mut self, room: &str, user: &str, fields: Value) {
        let mut join = json!({"type": "JOIN", "roomId": room, "userId": user, "username": user});
        for (key, value) in fields.as_object().unwrap() {
            join[key] = value.clone();
        }
        self.send(join).await;
    }

    pub async fn send(&mut self, frame: Value) {
        if frame["type"] == "JOIN" || frame["type"] == "RESUME" {
            self.modern = Some(frame["features"].is_array() || frame["type"] == "RESUME");
        }
        self.send_text(&frame.to_string()).await;
    }

    /// Sends all frames with one write.
    pub async fn send_at_once(&mut self, frames: impl IntoIterator<Item = Value>) {
        for frame in frames {
            let text = frame.to_string();
            self.note(">", &text);
            self.ws.feed(Message::text(text)).await.unwrap();
        }
        self.ws.flush().await.unwrap();
    }

    /// Sends any text as a text frame.
    pub async fn send_text(&mut self, text: &str) {
        assert!(self.try_send_text(text).await, "cannot send; so far:\n{}", self.history());
    }

    /// The same; `false` if the connection has ended.
    pub async fn try_send_text(&mut self, text: &str) -> bool {
        self.note(">", text);
        self.ws.send(Message::text(text)).await.is_ok()
    }

    pub async fn send_binary(&mut self, bytes: Vec<u8>) {
        self.note(">", "(binary)");
        self.ws.send(Message::binary(bytes)).await.unwrap();
    }

    /// Sends any bytes as a text frame, UTF-8 or not.
    pub async fn send_bytes_as_text(&mut self, bytes: &[u8]) {
        self.note(">", "(bytes)");
        let frame = RawFrame::message(bytes.to_vec(), OpCode::Data(Data::Text), true);
        self.ws.send(Message::Frame(frame)).await.unwrap();
    }

    /// The next message, if one arrives within `within`.
    pub async fn poll(&mut self, within: Duration) -> Option<Incoming> {
        if let Some(early) = self.early.pop_front() {
            return Some(early);
        }
        let until = Instant::now() + within;
        loop {
            if let Some(came) = self.receive(until).await? {
                return Some(came);
            }
        }
    }

    /// The next message that arrives before `until`; the inner `None` is a ping.
    async fn receive(&mut self, until: Instant) -> Option<Option<Incoming>> {
        loop {
            let message = match timeout_at(until, self.ws.next()).await {
                Err(_) => return None,
                Ok(None | Some(Err(_))) => {
                    self.note("<", "(connection ended)");
                    return Some(Some(Incoming::Closed(None)));
                }
                Ok(Some(Ok(message))) => message,
            };
            match message {
                Message::Text(text) => {
                    self.note("<", &text);
                    let frame = Frame::parse(&text);
                    self.check(&frame);
                    return Some(Some(Incoming::Frame(frame)));
                }
                Message::Close(close) => {
                    let code = close.map(|close| u16::from(close.code));
                    self.note("<", &format!("(close {code:?})"));
                    return Some(Some(Incoming::Closed(code)));
                }
                Message::Binary(_) => panic!("a binary frame; so far:\n{}", self.history()),
                Message::Ping(_) => return Some(None),
                Message::Pong(_) | Message::Frame(_) => {}
            }
        }
    }

    /// Closes the connection with a close frame.
    pub async fn close(mut self) {
        let _ = self.ws.close(None).await;
    }

    /// The TCP connection, for tests that write frames by hand.
    pub fn into_stream(self) -> TcpStream {
        self.ws.into_inner()
    }

    /// Closes the connection, and returns the code of the server's close frame, if there is one.
    pub async fn say_goodbye(mut self) -> Option<u16> {
        let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
        self.ws.close(Some(frame)).await.unwrap();
        loop {
            match self.poll(DEADLINE).await {
                Some(Incoming::Frame(_)) => {}
                Some(Incoming::Closed(code)) => return code,
                None => panic!("neither answered nor closed"),
            }
        }
    }

    /// Ends the connection by a reset: no close frame, no FIN.
    pub fn reset(self) {
        self.ws.get_ref().set_zero_linger().unwrap();
    }

    /// Ends the connection by a FIN without a close frame.
    pub fn vanish(self) {
        drop(self);
    }

    pub fn history(&self) -> String {
        let skip = self.history.len().saturating_sub(60);
        self.history[skip..].join("\n")
    }

    fn note(&mut self, direction: &str, text: &str) {
        let cut: String = text.chars().take(400).collect();
        self.history.push(format!("{direction} {cut}"));
    }

    /// Checks that hold for every frame.
    fn check(&mut self, frame: &Frame) {
        let kind = frame.kind();
        match self.modern {
            Some(true) => assert!(kind != "LEAVE", "LEAVE is for the first generation; so far:\n{}", self.history()),
            Some(false) => assert!(kind != "ICE_SERVERS", "not asked for; so far:\n{}", self.history()),
            None => assert!(
                matches!(kind, "PONG" | "ERROR" | "SERVER_DRAINING"),
                "{kind} to a socket that never joined; so far:\n{}",
                self.history()
            ),
        }
        if matches!(kind, "ACK" | "RESUMED") || !frame.has("version") {
            return;
        }
        let now = (frame.int("epoch"), frame.version());
        if kind == "ROOM_STATE" {
            self.seen = Some(now);
            return;
        }
        if let Some(seen) = self.seen.filter(|seen| seen.0 == now.0) {
            assert!(now.1 >= seen.1, "version {} after {}; so far:\n{}", now.1, seen.1, self.history());
        }
        self.seen = Some(now);
    }
}
