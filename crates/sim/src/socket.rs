//! A socket, from the client's end to the hub: what `socket/session.rs` and `socket/speaker.rs` are in production, without a network.

use std::{net::IpAddr, sync::Arc, time::Duration};

use serde_json::Value;
use tandem::{
    hub::{Arrival, Batch, HubError, Membership, Missed, Outbox},
    id::{ConnId, RoomId},
    protocol::{
        ClientMessage, Close, Code, Frame, Generation, Hello, Inbound, JoinFrame, MemberMessage, ResumeFrame,
        ServerFrame, decode, encode,
    },
    room::{Action, Join, Json, Refusal, Resume},
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until},
};

use crate::{chance::Dice, node::Node};

const FEATURES: &[&str] = &["resume", "ack"];
/// How long it takes until a node finds out that a client is gone without a word: a ping, and the time for its answer.
const SILENCE: Duration = Duration::from_secs(40);

/// What comes to a client.
#[derive(Debug)]
pub enum Inward {
    Frame(String),
    Closed(Option<u16>),
}

/// The client's end.
pub struct Socket {
    outward: mpsc::UnboundedSender<(Instant, String)>,
    inward: Line<Inward>,
    last: Instant,
    dice: Dice,
}

/// What comes in, each at its time. Whoever stops waiting loses nothing.
struct Line<T> {
    inner: mpsc::UnboundedReceiver<(Instant, T)>,
    next: Option<(Instant, T)>,
}

impl<T> Line<T> {
    fn new(inner: mpsc::UnboundedReceiver<(Instant, T)>) -> Self {
        Self { inner, next: None }
    }

    async fn recv(&mut self) -> Option<T> {
        if self.next.is_none() {
            self.next = self.inner.recv().await;
        }
        let at = self.next.as_ref()?.0;
        sleep_until(at).await;
        self.next.take().map(|(_, what)| what)
    }
}

impl Socket {
    /// A socket at `node`, from this address.
    pub fn open(node: &Arc<Node>, address: IpAddr, mut dice: Dice) -> Self {
        let (outward, frames) = mpsc::unbounded_channel();
        let (written, inward) = mpsc::unbounded_channel();
        let outbox = Arc::new(Outbox::new(512 * 1024));
        let wire =
            Wire { written, outbox: Arc::clone(&outbox), last: Instant::now(), dice: dice.branch(dice.clone().next()) };
        let speaker = Speaker {
            node: Arc::clone(node),
            outbox,
            conn: ConnId(uuid::Uuid::from_u64_pair(dice.next(), dice.next())),
            address,
            seat: None,
            generation: Generation::First,
        };
        node.spawn(converse(wire, speaker, Line::new(frames)));
        Self { outward, inward: Line::new(inward), last: Instant::now(), dice }
    }

    pub fn send(&mut self, text: String) {
        self.last = self.last.max(Instant::now() + Duration::from_millis(self.dice.between(0, 20)));
        let _ = self.outward.send((self.last, text));
    }

    /// The next that comes. Nothing any more once the socket has ended.
    pub async fn next(&mut self) -> Inward {
        self.inward.recv().await.unwrap_or(Inward::Closed(None))
    }

    /// The client goes without a word, and its node finds out late.
    pub fn vanish(self) {
        tokio::spawn(async move {
            let mut socket = self;
            tokio::select! {
                biased;
                () = sleep(SILENCE) => {}
                () = async { while !matches!(socket.next().await, Inward::Closed(_)) {} } => {}
            }
        });
    }
}

/// The node's end.
struct Wire {
    written: mpsc::UnboundedSender<(Instant, Inward)>,
    outbox: Arc<Outbox>,
    last: Instant,
    dice: Dice,
}

impl Wire {
    fn put(&mut self, what: Inward) {
        self.last = self.last.max(Instant::now() + Duration::from_millis(self.dice.between(0, 20)));
        let _ = self.written.send((self.last, what));
    }

    /// Whether the socket goes on.
    fn write(&mut self, batch: Batch) -> bool {
        for frame in batch.frames {
            self.put(Inward::Frame(frame.as_str().to_owned()));
        }
        if let Some(prompt) = batch.prompt
            && !self.written.is_closed()
        {
            prompt.askers.into_iter().for_each(|asker| asker.send(()).unwrap_or_default());
        }
        if let Some(close) = batch.close {
            self.put(Inward::Closed(Some(close.code())));
        }
        batch.close.is_none()
    }
}

async fn converse(mut wire: Wire, mut speaker: Speaker, mut frames: Line<String>) {
    let outbox = Arc::clone(&wire.outbox);
    'talk: loop {
        let heard = tokio::select! {
            biased;
            batch = outbox.take() => {
                if wire.write(batch) { continue } else { break }
            }
            heard = frames.recv() => heard,
        };
        let Some(text) = heard else { break };
        let work = speaker.hear(&text);
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                () = &mut work => break,
                batch = outbox.take() => if !wire.write(batch) {
                    work.await;
                    break 'talk;
                }
            }
        }
    }
    // Whoever asks is not answered any more.
    outbox.close(Close::TryLater);
    drop(wire);
    speaker.depart().await;
}

/// Who is at the other end, and what becomes of what it says.
struct Speaker {
    node: Arc<Node>,
    outbox: Arc<Outbox>,
    conn: ConnId,
    address: IpAddr,
    seat: Option<Membership>,
    generation: Generation,
}

impl Speaker {
    fn send(&self, frame: Frame) {
        self.outbox.push(frame);
    }

    async fn hear(&mut self, text: &str) {
        let Inbound { id, message, .. } = match decode(text) {
            Ok(inbound) => inbound,
            Err(error) => panic!("a client of the simulation sent {text}: {}", error.message),
        };
        let id = id.as_ref();
        let done = match message {
            ClientMessage::Ping { t0 } => {
                let now = self.node.clock.now();
                return self.send(encode(&ServerFrame::Pong { timestamp: now, t0, t1: None, t2: None }));
            }
            ClientMessage::Hello(Hello::Join(join)) => self.join(join).await,
            ClientMessage::Hello(Hello::Resume(resume)) => self.resume(resume).await,
            ClientMessage::Member(message) => match self.seat.clone() {
                Some(seat) => self.speak(&seat, message).await,
                None => Err(Refusal::NotJoined.into()),
            },
        };
        match done {
            Ok(version) => {
                if let Some(id) = id {
                    self.send(encode(&ServerFrame::Ack { id, version }));
                }
            }
            Err(error) => self.refused(id, &error),
        }
    }

    fn refused(&self, id: Option<&Json>, error: &HubError) {
        let code = error.code();
        let frame = ServerFrame::Error {
            code,
            message: &error.to_string(),
            retryable: code.retryable(),
            retry_after_ms: error.retry_after(),
            id,
        };
        self.send(encode(&frame));
        if code == Code::Unavailable && !self.generation.joins_again() && self.seat.is_none() {
            self.outbox.close(Close::TryLater);
        }
    }

    async fn speak(&mut self, seat: &Membership, message: MemberMessage) -> Result<u64, HubError> {
        let hub = &self.node.hub;
        let leaves = matches!(message, MemberMessage::Act(Action::Leave));
        let done = match message {
            MemberMessage::Act(action) => hub.act(seat, self.generation.meant(action)).await,
            MemberMessage::Position { position, playing } => {
                hub.report(seat, position, playing).await.map(|()| seat.version())
            }
            MemberMessage::RequestSync { respect_auto_play } => hub.sync(seat, respect_auto_play).map(|frame| {
                self.send(frame);
                seat.version()
            }),
            MemberMessage::Signal(signal) => hub.signal(seat, &signal).await.map(|()| seat.version()),
            MemberMessage::Whisper(whisper) => hub.whisper(seat, &whisper).await.map(|()| seat.version()),
            _ => Ok(seat.version()),
        };
        if leaves && done.is_ok() {
            self.seat = None;
            self.outbox.close(Close::Left);
        }
        done
    }

    async fn join(&mut self, frame: JoinFrame) -> Result<u64, HubError> {
        self.generation = Generation::of(frame.features.as_deref());
        let keys = &self.node.keys;
        let token = self.resumes().then(|| keys.fresh_token(&frame.user_id));
        let join = Join {
            conn: self.conn,
            node: self.node.name.clone(),
            origin: keys.origin(self.address),
            username: frame.username,
            pin: frame.pin.map(|pin| keys.pin(&frame.room_id, &pin)),
            proof: frame.resume_token.map(|token| keys.token(&frame.user_id, &token)),
            token: token.as_ref().map(|token| token.digest),
            asked: None,
            again: false,
            user: frame.user_id,
        };
        let arrival = self.arrival(token.map(|token| token.text), None);
        self.enter(&frame.room_id, Entry::Join(join), arrival).await
    }

    async fn resume(&mut self, frame: ResumeFrame) -> Result<u64, HubError> {
        self.generation = Generation::Current;
        let keys = &self.node.keys;
        let token = keys.fresh_token(&frame.user_id);
        let resume = Resume {
            conn: self.conn,
            node: self.node.name.clone(),
            origin: keys.origin(self.address),
            proof: keys.token(&frame.user_id, &frame.resume_token),
            token: token.digest,
            user: frame.user_id,
        };
        let missed = Missed { epoch: frame.epoch, version: frame.version };
        let arrival = self.arrival(Some(token.text), Some(missed));
        self.enter(&frame.room_id, Entry::Resume(resume), arrival).await
    }

    async fn enter(&mut self, room: &RoomId, entry: Entry, arrival: Arrival) -> Result<u64, HubError> {
        let entered = match entry {
            Entry::Join(join) => self.node.hub.join(room, join, arrival).await,
            Entry::Resume(resume) => self.node.hub.resume(room, resume, arrival).await,
        };
        let (seat, version) = entered?;
        self.seat = Some(seat);
        Ok(version)
    }

    fn arrival(&self, token: Option<Box<str>>, missed: Option<Missed>) -> Arrival {
        let (conn, outbox, generation) = (self.conn, Arc::clone(&self.outbox), self.generation);
        Arrival { conn, outbox, generation, features: if self.resumes() { FEATURES } else { &[] }, token, missed }
    }

    /// All clients of the simulation that send `features` can resume.
    fn resumes(&self) -> bool {
        self.generation == Generation::Current
    }

    async fn depart(self) {
        let resumes = self.resumes();
        if let Some(seat) = self.seat {
            // What could not be committed is found later.
            let _ = self.node.hub.disconnect(&seat, resumes).await;
        }
    }
}

enum Entry {
    Join(Join),
    Resume(Resume),
}

/// A frame as a client reads it.
pub fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}
