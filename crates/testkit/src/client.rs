//! A WebSocket client that forgives nothing: every frame must be in the schema, in version order, and of the kind that
//! a client of its generation gets.

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

pub use crate::connect::Connect;
use crate::{DEADLINE, Frame, TestApp};

pub struct Client {
    ws: WebSocketStream<TcpStream>,
    /// The headers of the server's half of the handshake.
    pub handshake: Vec<(String, String)>,
    /// Both directions, for the failure message.
    history: Vec<String>,
    /// Whether the last JOIN or RESUME had `features`; none before the first.
    modern: Option<bool>,
    /// Epoch and version of the last frame of the room.
    seen: Option<(u64, u64)>,
    /// What came while a ping was waited for.
    early: VecDeque<Incoming>,
    fences: u64,
}

#[derive(Debug)]
pub enum Incoming {
    Frame(Frame),
    /// The close frame's code, or `None` for a connection that just ended.
    Closed(Option<u16>),
}

impl Client {
    pub(super) fn new(ws: WebSocketStream<TcpStream>, handshake: Vec<(String, String)>) -> Self {
        Self { ws, handshake, history: Vec::new(), modern: None, seen: None, early: VecDeque::new(), fences: 0 }
    }

    /// A new member of a room, of the present generation, with no feature asked for.
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

    /// Answers the ping that follows a `ROOM_STATE` with a token. A seat is kept only for a client that did.
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

    /// All of them with one write.
    pub async fn send_at_once(&mut self, frames: impl IntoIterator<Item = Value>) {
        for frame in frames {
            let text = frame.to_string();
            self.note(">", &text);
            self.ws.feed(Message::text(text)).await.unwrap();
        }
        self.ws.flush().await.unwrap();
    }

    /// Anything as a text frame.
    pub async fn send_text(&mut self, text: &str) {
        assert!(self.try_send_text(text).await, "cannot send; so far:\n{}", self.history());
    }

    /// `false` when the connection is no more.
    pub async fn try_send_text(&mut self, text: &str) -> bool {
        self.note(">", text);
        self.ws.send(Message::text(text)).await.is_ok()
    }

    pub async fn send_binary(&mut self, bytes: Vec<u8>) {
        self.note(">", "(binary)");
        self.ws.send(Message::binary(bytes)).await.unwrap();
    }

    /// A text frame of any bytes, UTF-8 or not.
    pub async fn send_bytes_as_text(&mut self, bytes: &[u8]) {
        self.note(">", "(bytes)");
        let frame = RawFrame::message(bytes.to_vec(), OpCode::Data(Data::Text), true);
        self.ws.send(Message::Frame(frame)).await.unwrap();
    }

    /// The next thing that comes, if it comes within `within`.
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

    /// The next thing that comes before `until`; inner `None` is a ping.
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

    /// The next frame.
    pub async fn next(&mut self) -> Frame {
        match self.poll(DEADLINE).await {
            Some(Incoming::Frame(frame)) => frame,
            other => panic!("no next frame but {other:?}; so far:\n{}", self.history()),
        }
    }

    /// The next frame, which must be of this type.
    pub async fn expect(&mut self, kind: &str) -> Frame {
        let frame = self.next().await;
        assert!(frame.is(kind), "expected {kind}, got {frame:?}; so far:\n{}", self.history());
        frame
    }

    /// ROOM_STATE or ERROR: what a JOIN is answered with.
    pub async fn until_answered(&mut self) -> Frame {
        self.collect_until(|frame| frame.is("ROOM_STATE") || frame.is("ERROR"), "the answer").await.pop().unwrap()
    }

    /// The next frame, which must be an ERROR with this code.
    pub async fn expect_error(&mut self, code: &str) -> Frame {
        let frame = self.expect("ERROR").await;
        assert_eq!(frame["code"], code, "so far:\n{}", self.history());
        frame
    }

    /// The first frame of this type, whatever comes before.
    pub async fn until(&mut self, kind: &str) -> Frame {
        self.collect_until(|frame| frame.is(kind), kind).await.pop().unwrap()
    }

    /// The first frame of this type, whatever comes before, for what takes its time.
    pub async fn until_within(&mut self, kind: &str, within: Duration) -> Frame {
        let until = Instant::now() + within;
        loop {
            match self.poll(until.saturating_duration_since(Instant::now())).await {
                Some(Incoming::Frame(frame)) if frame.is(kind) => return frame,
                Some(Incoming::Frame(_)) => {}
                other => panic!("waiting for {kind}, but {other:?}; so far:\n{}", self.history()),
            }
        }
    }

    /// All frames up to and with the first that is `wanted`.
    pub async fn collect_until(&mut self, wanted: impl Fn(&Frame) -> bool, what: &str) -> Vec<Frame> {
        let until = Instant::now() + DEADLINE;
        let mut frames = Vec::new();
        loop {
            match self.poll(until.saturating_duration_since(Instant::now())).await {
                Some(Incoming::Frame(frame)) => {
                    let done = wanted(&frame);
                    frames.push(frame);
                    if done {
                        return frames;
                    }
                }
                other => panic!("waiting for {what}, but {other:?}; so far:\n{}", self.history()),
            }
        }
    }

    /// Everything that comes in this time. For rules that are about time.
    pub async fn during(&mut self, time: Duration) -> Vec<Frame> {
        let until = Instant::now() + time;
        let mut frames = Vec::new();
        loop {
            match self.poll(until.saturating_duration_since(Instant::now())).await {
                Some(Incoming::Frame(frame)) => frames.push(frame),
                None => return frames,
                Some(Incoming::Closed(code)) => panic!("closed ({code:?}); so far:\n{}", self.history()),
            }
        }
    }

    /// All frames up to the end of the connection, and its close code.
    pub async fn closed(&mut self) -> (Vec<Frame>, Option<u16>) {
        self.closed_within(DEADLINE).await
    }

    pub async fn closed_within(&mut self, within: Duration) -> (Vec<Frame>, Option<u16>) {
        let until = Instant::now() + within;
        let mut frames = Vec::new();
        loop {
            match self.poll(until.saturating_duration_since(Instant::now())).await {
                Some(Incoming::Frame(frame)) => frames.push(frame),
                Some(Incoming::Closed(code)) => return (frames, code),
                None => panic!("not closed; so far:\n{}", self.history()),
            }
        }
    }

    /// Sends a frame and returns its ACK; frames in between are not looked at.
    pub async fn acked(&mut self, mut frame: Value) -> Frame {
        self.fences += 1;
        let id = format!("ack-{}", self.fences);
        frame["id"] = json!(id);
        self.send(frame).await;
        let answers = self.collect_until(|answer| answer["id"] == *id, "the answer").await;
        let answer = answers.last().unwrap().clone();
        assert!(answer.is("ACK"), "{answer:?}; so far:\n{}", self.history());
        answer
    }

    /// Sends a frame until it is answered with this ERROR: its node may not have heard yet why it should be.
    pub async fn until_refused(&mut self, frame: Value, code: &str) {
        let until = Instant::now() + DEADLINE;
        loop {
            self.fences += 1;
            let mut frame = frame.clone();
            frame["id"] = json!(format!("asked-{}", self.fences));
            let id = frame["id"].clone();
            self.send(frame).await;
            let answer = self.collect_until(|answer| answer["id"] == id, "the answer").await.pop().unwrap();
            if answer.is("ERROR") {
                assert_eq!(answer["code"], code, "so far:\n{}", self.history());
                return;
            }
            assert!(Instant::now() < until, "never refused; so far:\n{}", self.history());
        }
    }

    /// Sends a frame and returns the ERROR to it; frames in between are not looked at.
    pub async fn refused(&mut self, mut frame: Value, code: &str) -> Frame {
        self.fences += 1;
        let id = format!("refused-{}", self.fences);
        frame["id"] = json!(id);
        self.send(frame).await;
        let answers = self.collect_until(|answer| answer["id"] == *id, "the answer").await;
        let answer = answers.last().unwrap().clone();
        assert!(answer.is("ERROR"), "{answer:?}; so far:\n{}", self.history());
        assert_eq!(answer["code"], code, "so far:\n{}", self.history());
        answer
    }

    /// What came before the answer to a question asked now: everything sent before has been handled by then.
    pub async fn fence(&mut self) -> Vec<Frame> {
        self.send(json!({"type": "REQUEST_SYNC"})).await;
        let mut frames = self.collect_until(|frame| frame.is("SYNC_RESPONSE"), "SYNC_RESPONSE").await;
        frames.pop();
        frames
    }

    /// PING is answered, and before that comes nothing.
    pub async fn ping(&mut self) -> Frame {
        let t0 = crate::now_ms();
        self.send(json!({"type": "PING", "t0": t0})).await;
        let pong = self.expect("PONG").await;
        assert_eq!(pong.int("t0"), t0);
        pong
    }

    /// Ends the connection in the orderly way, with this code.
    pub async fn close(mut self) {
        let _ = self.ws.close(None).await;
    }

    /// The bare connection, for whoever writes frames by hand and reads none.
    pub fn into_stream(self) -> TcpStream {
        self.ws.into_inner()
    }

    /// Ends the connection in the orderly way; the code that the server answers with, if it answers.
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

    /// What holds for every frame there is.
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

/// What each of these members of one room got until now, when the first one has said something to them all.
pub async fn settle(members: &mut [&mut Client]) -> Vec<Vec<Frame>> {
    let mark = format!("fence-{:016x}", rand::random::<u64>());
    let is_fence = |frame: &Frame| frame.is("BROADCAST") && frame["data"] == *mark;
    members[0].send(json!({"type": "BROADCAST", "event": "fence", "data": mark})).await;
    let mut all = Vec::new();
    for member in members {
        let mut frames = member.collect_until(is_fence, "the fence").await;
        frames.pop();
        all.push(frames);
    }
    all
}

/// None of these members of one room got anything.
pub async fn quiet(members: &mut [&mut Client]) {
    for frames in settle(members).await {
        assert!(frames.is_empty(), "expected nothing, got {frames:#?}");
    }
}
