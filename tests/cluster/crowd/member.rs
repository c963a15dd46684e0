use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{Arc, Mutex, atomic::Ordering},
    time::{Duration, Instant},
};

use futures_util::{SinkExt as _, StreamExt as _};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
use tokio::{
    net::TcpStream,
    time::{sleep, timeout},
};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};

use super::{PIN, Plan, URL, room};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// The frames of a member between two discontinuities.
#[derive(Debug, Default)]
pub(crate) struct Segment {
    pub(crate) epoch: u64,
    /// The version before the first frame.
    pub(crate) from: u64,
    /// The version of the last frame.
    pub(crate) to: u64,
    /// The frames for all members, by version.
    pub(crate) told: BTreeMap<u64, Told>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) kind: String,
    /// The hash of the whole frame, which is the same for all members.
    pub(crate) digest: u64,
}

/// Everything that happened to a member.
#[derive(Debug, Default)]
pub(crate) struct Diary {
    pub(crate) room: usize,
    pub(crate) user: String,
    pub(crate) segments: Vec<Segment>,
    /// The versions of its own acknowledged messages, with their epochs.
    pub(crate) confirmed: Vec<(u64, u64)>,
    /// Errors that must not happen.
    pub(crate) wrongs: Vec<String>,
    pub(crate) resumed: usize,
    pub(crate) rejoined: usize,
    pub(crate) discontinuities: usize,
    /// Received USER_LEFT of other members.
    pub(crate) departures: Vec<(Instant, String)>,
    /// Received MEMBER_AWAY of other members.
    pub(crate) away: Vec<(Instant, String)>,
    pub(crate) hosts: Vec<(Instant, String)>,
    /// How long it was without a connection, each time.
    pub(crate) absences: Vec<Duration>,
    pub(crate) errors: BTreeMap<String, usize>,
    pub(crate) signals: usize,
    /// The last messages that it received.
    pub(crate) last_words: BTreeSet<String>,
}

/// Frames that are the same for every member.
const FOR_ALL: [&str; 6] = ["BROADCAST", "PLAY_PAUSE", "SEEK_PAUSE", "URL_CHANGE", "HOST_CHANGED", "GUEST_CONTROL"];

struct Life {
    plan: Arc<Plan>,
    diary: Diary,
    place: usize,
    size_hint: BTreeSet<String>,
    dice: StdRng,
    token: Option<String>,
    host: bool,
    sent: u64,
    said_last: Option<Instant>,
    waiting: BTreeSet<u64>,
}

pub(super) async fn live(
    plan: Arc<Plan>,
    inside: Arc<Mutex<BTreeSet<(usize, usize)>>>,
    number: usize,
    place: usize,
    seed: u64,
) -> Diary {
    let dice = StdRng::seed_from_u64(seed ^ ((number as u64) << 16 | place as u64));
    let user = format!("user_{number}_{place}");
    let diary = Diary { room: number, user, ..Diary::default() };
    let mut life = Life {
        plan: Arc::clone(&plan),
        diary,
        place,
        size_hint: BTreeSet::new(),
        dice,
        token: None,
        host: false,
        sent: 0,
        said_last: None,
        waiting: BTreeSet::new(),
    };
    let mut node = number + place;
    let mut lost: Option<Instant> = None;
    while !plan.over.load(Ordering::Acquire) {
        let address = plan.nodes[node % plan.nodes.len()];
        let connected = timeout(Duration::from_secs(3), connect_async(format!("ws://{address}/ws"))).await;
        if let Ok(Ok((mut socket, _))) = connected {
            let entered = timeout(Duration::from_secs(5), life.enter(&mut socket)).await;
            if entered == Ok(true) {
                plan.arrivals.lock().unwrap().push(Instant::now());
                if let Some(since) = lost.take() {
                    life.diary.absences.push(since.elapsed());
                }
                inside.lock().unwrap().insert((number, place));
                if life.stay(&mut socket).await {
                    break;
                }
                lost = Some(Instant::now());
                node += 1;
                // As the page does: soon, but not all at the same instant.
                let spread = life.dice.random_range(0..300);
                sleep(Duration::from_millis(spread)).await;
                continue;
            }
        }
        node += 1;
        let pause = life.dice.random_range(50..400);
        sleep(Duration::from_millis(pause)).await;
    }
    life.diary
}

impl Life {
    async fn enter(&mut self, socket: &mut Socket) -> bool {
        let room = room(self.diary.room);
        let point = self.diary.segments.last().map(|segment| (segment.epoch, segment.to));
        let mut first = match (&self.token, point) {
            (Some(token), Some((epoch, version))) => json!({
                "type": "RESUME", "roomId": room, "userId": self.diary.user, "resumeToken": token, "epoch": epoch,
                "version": version, "features": ["resume", "ack"],
            }),
            _ => self.join(&room),
        };
        loop {
            if socket.send(Message::text(first.to_string())).await.is_err() {
                return false;
            }
            loop {
                let Some(frame) = receive(socket).await else { return false };
                match frame["type"].as_str().unwrap() {
                    "RESUMED" => {
                        self.diary.resumed += 1;
                        self.token = frame["resumeToken"].as_str().map(str::to_owned);
                        return true;
                    }
                    "DISCONTINUITY" => self.diary.discontinuities += 1,
                    "ROOM_STATE" => {
                        self.take_state(&frame);
                        return true;
                    }
                    "ERROR" => {
                        let code = frame["code"].as_str().unwrap().to_owned();
                        *self.diary.errors.entry(code.clone()).or_default() += 1;
                        // The seat is gone, or the token is spent because two answers in a row got lost.
                        if first["type"] == "RESUME" && (code == "not_joined" || code == "unauthorized") {
                            self.token = None;
                            self.diary.rejoined += 1;
                            first = self.join(&room);
                            break;
                        }
                        if code != "unavailable" && code != "identity_in_use" {
                            self.diary.wrongs.push(format!("let in with {frame}"));
                        }
                        return false;
                    }
                    _ => self.take(&frame),
                }
            }
        }
    }

    fn join(&self, room: &str) -> Value {
        json!({
            "type": "JOIN", "roomId": room, "userId": self.diary.user, "username": self.diary.user, "pin": PIN,
            "features": ["resume", "ack"],
        })
    }

    fn take_state(&mut self, frame: &Value) {
        let (epoch, version) = (frame["epoch"].as_u64().unwrap(), frame["version"].as_u64().unwrap());
        self.diary.segments.push(Segment { epoch, from: version, to: version, told: BTreeMap::new() });
        if let Some(token) = frame["resumeToken"].as_str() {
            self.token = Some(token.to_owned());
        }
        self.host = frame["hostUserId"] == self.diary.user.as_str();
        let users = frame["users"].as_array().unwrap();
        self.size_hint = users.iter().map(|user| user["userId"].as_str().unwrap().to_owned()).collect();
    }

    /// Runs until the connection ends; true when everything was sent.
    async fn stay(&mut self, socket: &mut Socket) -> bool {
        if self.place == 0 && self.sent == 0 {
            let url = json!({"type": "URL_CHANGE", "url": URL, "currentTime": 1.0});
            let _ = socket.send(Message::text(url.to_string())).await;
        }
        loop {
            if self.plan.over.load(Ordering::Acquire) {
                return true;
            }
            let closing = self.plan.closing.load(Ordering::Acquire);
            let pause = if closing { 100 } else { self.dice.random_range(1..=self.plan.pause.as_millis() as u64) };
            tokio::select! {
                frame = receive(socket) => match frame {
                    Some(frame) => self.take(&frame),
                    None => return false,
                },
                () = sleep(Duration::from_millis(pause)) => {
                    if closing && self.is_done() {
                        self.plan.content.lock().unwrap().insert(self.diary.user.clone());
                    }
                    for frame in self.next_words(closing) {
                        if socket.send(Message::text(frame.to_string())).await.is_err() {
                            return false;
                        }
                    }
                }
            }
        }
    }

    /// Whether all members of the room have sent their last message.
    fn is_done(&self) -> bool {
        self.size_hint.iter().all(|user| self.diary.last_words.contains(user))
    }

    /// Another member of the crowd, not a visitor that may have left before an offer arrives.
    fn is_company(&self, user: &str) -> bool {
        user != self.diary.user && user.starts_with("user_")
    }

    fn next_words(&mut self, closing: bool) -> Vec<Value> {
        if closing {
            if self.said_last.is_some_and(|at| at.elapsed() < Duration::from_secs(2)) {
                return Vec::new();
            }
            self.said_last = Some(Instant::now());
            self.sent += 1;
            return vec![json!({"type": "BROADCAST", "event": "last", "id": self.sent})];
        }
        self.sent += 1;
        self.waiting.insert(self.sent);
        let mut words = vec![json!({"type": "POSITION_UPDATE", "currentTime": 1.0, "isPlaying": true})];
        words.push(match self.dice.random_range(0..10) {
            0 if self.host => {
                let playing = self.dice.random_bool(0.5);
                let at = self.dice.random_range(1.0..5_000.0);
                json!({"type": "PLAY_PAUSE", "control": if playing { "play" } else { "pause" }, "currentTime": at, "id": self.sent})
            }
            1 if self.host => {
                let at = self.dice.random_range(1.0..5_000.0);
                json!({"type": "SEEK", "currentTime": at, "isPlaying": true, "id": self.sent})
            }
            2 | 3 => {
                let others: Vec<_> = self.size_hint.iter().filter(|user| self.is_company(user)).cloned().collect();
                let to = others.get(self.dice.random_range(0..others.len().max(1))).cloned().unwrap_or_default();
                json!({"type": "OFFER", "to": to, "offer": {"sdp": "x".repeat(1_000)}})
            }
            _ => json!({"type": "BROADCAST", "event": "word", "data": {"n": self.sent}, "id": self.sent}),
        });
        words.retain(|word| word["type"] != "OFFER" || word["to"] != "");
        words
    }

    fn take(&mut self, frame: &Value) {
        let kind = frame["type"].as_str().unwrap();
        let user = frame["userId"].as_str().unwrap_or_default().to_owned();
        match kind {
            "DISCONTINUITY" => self.diary.discontinuities += 1,
            "ROOM_STATE" => return self.take_state(frame),
            "ACK" => {
                let epoch = self.diary.segments.last().map_or(0, |segment| segment.epoch);
                if let Some(version) =
                    frame["version"].as_u64().filter(|_| self.waiting.remove(&frame["id"].as_u64().unwrap_or(0)))
                {
                    self.diary.confirmed.push((epoch, version));
                }
            }
            "ERROR" => *self.diary.errors.entry(frame["code"].as_str().unwrap().to_owned()).or_default() += 1,
            "OFFER" => self.diary.signals += 1,
            "USER_JOINED" => {
                self.size_hint.insert(user);
            }
            "USER_LEFT" => {
                self.size_hint.remove(&user);
                self.diary.departures.push((Instant::now(), user));
            }
            // At the end the members leave one after the other.
            "MEMBER_AWAY" if !self.plan.closing.load(Ordering::Acquire) => self.diary.away.push((Instant::now(), user)),
            "HOST_CHANGED" => {
                let host = frame["hostUserId"].as_str().unwrap().to_owned();
                self.host = host == self.diary.user;
                self.diary.hosts.push((Instant::now(), host));
            }
            "BROADCAST" if frame["event"] == "last" => {
                self.diary.last_words.insert(user);
            }
            _ => {}
        }
        let (Some(epoch), Some(version)) = (frame["epoch"].as_u64(), frame["version"].as_u64()) else { return };
        let Some(segment) = self.diary.segments.last_mut() else { return };
        if kind == "ACK" || kind == "RESUMED" {
            return;
        }
        if epoch != segment.epoch || version <= segment.to {
            let at = (segment.epoch, segment.to);
            self.diary.wrongs.push(format!("after {at:?}: {frame}"));
            return;
        }
        segment.to = version;
        if FOR_ALL.contains(&kind) {
            let mut digest = DefaultHasher::new();
            frame.to_string().hash(&mut digest);
            segment.told.insert(version, Told { kind: kind.to_owned(), digest: digest.finish() });
        }
    }
}

/// The next frame; `None` if the connection has ended.
async fn receive(socket: &mut Socket) -> Option<Value> {
    loop {
        match socket.next().await? {
            Ok(Message::Text(text)) => return serde_json::from_str(text.as_str()).ok(),
            Ok(Message::Close(_)) | Err(_) => return None,
            Ok(_) => {}
        }
    }
}
