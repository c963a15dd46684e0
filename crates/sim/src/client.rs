//! A client of either generation, as it behaves in the field: it comes back after every end of its socket, with RESUME where it can.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc, time::Duration};

use serde_json::{Value, json};
use tandem::id::{RoomId, UserId};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

use crate::{
    chance::Dice,
    node::Node,
    plan::Word,
    record::{Event, Record, Standing},
    socket::{Inward, Socket, parse},
    world::Nodes,
};

/// A client that is not answered for so long opens another socket.
const PATIENCE: Duration = Duration::from_secs(12);

pub struct Client {
    pub number: usize,
    pub user: UserId,
    pub room: RoomId,
    pub modern: bool,
    pub peers: Vec<UserId>,
    pub nodes: Nodes,
    pub record: Record,
    pub dice: Dice,
    sockets: u32,
    words: u64,
    token: Option<String>,
    seen: Option<(u64, u64)>,
    host: Option<String>,
    gate: Option<f64>,
    gone: bool,
    /// Whether it means to be in the room at all.
    wants: bool,
}

/// What a client does until its socket ends.
struct Open {
    socket: Socket,
    node: Arc<Node>,
    line: (usize, u32),
    /// What it said that waits for an answer, and until when it waits for the first of them.
    asked: BTreeSet<u64>,
    patience: Option<Instant>,
    entered: bool,
    entry: u64,
    resumes: bool,
}

/// What a client is told to do.
#[derive(Debug, Clone)]
pub enum Order {
    Say(Word),
    /// Its socket breaks, and both ends know.
    Drop,
    /// It is gone without a word, and comes back on another socket.
    Vanish,
    /// It goes, and comes back later.
    Leave,
    /// The story is over: no more.
    Report(mpsc::UnboundedSender<(usize, Option<Standing>)>),
}

impl Client {
    pub fn new(
        number: usize,
        room: RoomId,
        modern: bool,
        peers: Vec<UserId>,
        nodes: Nodes,
        record: Record,
        dice: Dice,
    ) -> Self {
        let user = peers[number].clone();
        Self {
            number,
            user,
            room,
            modern,
            peers,
            nodes,
            record,
            dice,
            sockets: 0,
            words: 0,
            token: None,
            seen: None,
            host: None,
            gate: None,
            gone: false,
            wants: true,
        }
    }

    pub async fn live(mut self, mut orders: mpsc::UnboundedReceiver<Order>) {
        let mut at = Instant::now() + Duration::from_millis(self.dice.between(0, 1_500));
        loop {
            // Out, until it is time to come back.
            loop {
                tokio::select! {
                    biased;
                    order = orders.recv() => match order {
                        Some(Order::Report(to)) => drop(to.send((self.number, None))),
                        Some(_) => {}
                        None => return,
                    },
                    () = sleep_until(at), if !self.gone => break,
                }
            }
            self.wants = true;
            let pause = match self.connect() {
                None => 1_000,
                Some(mut open) => match self.talk(&mut open, &mut orders).await {
                    Some(end) => end.part(open, &self),
                    None => return,
                },
            };
            at = Instant::now() + Duration::from_millis(pause + self.dice.between(0, 500));
        }
    }

    fn connect(&mut self) -> Option<Open> {
        let nodes: Vec<_> = self.nodes.lock().unwrap().values().cloned().collect();
        let node = self.dice.pick(&nodes).clone()?;
        if node.gate.is_shut() || !node.is_ready() {
            return None;
        }
        self.sockets += 1;
        let line = (self.number, self.sockets);
        let address = IpAddr::from([10, 0, 0, u8::try_from(self.number).unwrap_or(255)]);
        let socket = Socket::open(&node, address, self.dice.branch(u64::from(self.sockets)));
        let (user, modern) = (self.user.clone(), self.modern);
        self.record.add(Event::Open { line, user, modern, node: node.name.clone() });
        let mut open = Open {
            socket,
            node,
            line,
            asked: BTreeSet::new(),
            patience: None,
            entered: false,
            entry: 0,
            resumes: false,
        };
        self.come_in(&mut open);
        Some(open)
    }

    fn come_in(&mut self, open: &mut Open) {
        let (room, user) = (self.room.as_str(), self.user.as_str());
        let frame = match (&self.token, self.seen) {
            (Some(token), Some((epoch, version))) => {
                open.resumes = true;
                json!({"type": "RESUME", "roomId": room, "userId": user, "resumeToken": token, "epoch": epoch, "version": version})
            }
            _ => {
                open.resumes = false;
                let mut join = json!({"type": "JOIN", "roomId": room, "userId": user, "username": user});
                if self.modern {
                    join["features"] = json!(["resume", "ack"]);
                }
                join
            }
        };
        open.entry = self.say(open, frame);
    }

    /// Says something that is to be answered.
    fn say(&mut self, open: &mut Open, mut frame: Value) -> u64 {
        self.words += 1;
        let id = self.number as u64 * 1_000_000 + self.words;
        frame["id"] = json!(id);
        if frame["type"] == "BROADCAST" {
            frame["data"] = json!(id);
        }
        if frame["offer"].is_object() || frame["answer"].is_object() || frame["candidate"].is_object() {
            let field = ["offer", "answer", "candidate"].into_iter().find(|field| frame[*field].is_object());
            frame[field.unwrap_or_default()] = json!({"n": id});
        }
        let answered = frame["type"] != "PING";
        open.socket.send(frame.to_string());
        self.record.add(Event::Sent { line: open.line, frame });
        if answered {
            open.asked.insert(id);
            open.patience.get_or_insert(Instant::now() + PATIENCE);
        }
        id
    }

    /// Why the conversation is over; nothing when the story is.
    async fn talk(&mut self, open: &mut Open, orders: &mut mpsc::UnboundedReceiver<Order>) -> Option<Over> {
        loop {
            let patience = open.patience;
            tokio::select! {
                biased;
                what = open.socket.next() => match what {
                    Inward::Closed(code) => {
                        self.gone |= code == Some(4503);
                        return Some(Over::Closed(code));
                    }
                    Inward::Frame(text) => {
                        let frame = parse(&text);
                        if let Some(over) = self.hear(open, &frame) {
                            return Some(over);
                        }
                    }
                },
                () = async { sleep_until(patience.unwrap_or_else(Instant::now)).await }, if patience.is_some() => {
                    return Some(Over::Silence);
                }
                order = orders.recv() => match order? {
                    Order::Say(word) => if open.entered && let Some(frame) = self.word(word) {
                        self.say(open, frame);
                    },
                    Order::Drop => return Some(Over::Dropped),
                    Order::Vanish => return Some(Over::Vanished),
                    Order::Leave => if open.entered {
                        self.wants = false;
                        self.token = None;
                        self.say(open, json!({"type": "LEAVE"}));
                    },
                    Order::Report(to) => {
                        let at = Standing { line: open.line, room: self.room.clone(), node: open.node.name.clone() };
                        let _ = to.send((self.number, open.entered.then_some(at)));
                    }
                },
            }
        }
    }

    fn hear(&mut self, open: &mut Open, frame: &Value) -> Option<Over> {
        self.record.add(Event::Got { line: open.line, frame: frame.clone() });
        let kind = frame["type"].as_str().unwrap_or_default();
        if let Some(id) = frame["id"].as_u64()
            && open.asked.remove(&id)
        {
            open.patience = (!open.asked.is_empty()).then(|| Instant::now() + PATIENCE);
        }
        match kind {
            "ROOM_STATE" | "RESUMED" => {
                open.entered = true;
                if let Some(token) = frame["resumeToken"].as_str() {
                    self.token = Some(token.to_owned());
                }
                if kind == "ROOM_STATE" {
                    self.host = frame["hostUserId"].as_str().map(str::to_owned);
                }
            }
            "HOST_CHANGED" => self.host = frame["hostUserId"].as_str().map(str::to_owned),
            "SEEK_PAUSE" if frame["deadline"].is_u64() => self.gate = frame["currentTime"].as_f64(),
            "ERROR" if frame["id"].as_u64() == Some(open.entry) => {
                if open.resumes && !matches!(frame["code"].as_str(), Some("unavailable")) {
                    // Its seat is gone.
                    (self.token, self.seen) = (None, None);
                    self.come_in(open);
                    return None;
                }
                self.gone |= frame["code"] == "forbidden";
                return Some(Over::Refused);
            }
            "ERROR" if open.entered && frame["code"] == "not_joined" => {}
            _ => {}
        }
        if !matches!(kind, "ACK" | "RESUMED")
            && let (Some(epoch), Some(version)) = (frame["epoch"].as_u64(), frame["version"].as_u64())
        {
            self.seen = Some((epoch, version));
        }
        None
    }

    fn peer(&mut self) -> &str {
        let others: Vec<_> = (0..self.peers.len()).filter(|peer| *peer != self.number).collect();
        let peer = *self.dice.pick(&others);
        self.peers[peer].as_str()
    }

    fn word(&mut self, word: Word) -> Option<Value> {
        let position = f64::from(u32::try_from(self.dice.between(1, 5_000)).unwrap_or_default());
        let playing = self.dice.percent(60);
        Some(match word {
            Word::Ping => json!({"type": "PING", "t0": 1}),
            Word::PlayPause => {
                json!({"type": "PLAY_PAUSE", "control": if playing { "play" } else { "pause" }, "currentTime": position})
            }
            Word::Seek => json!({"type": "SEEK", "currentTime": position, "isPlaying": playing}),
            Word::Ready => json!({"type": "READY", "targetTime": self.gate.unwrap_or(position)}),
            Word::Position => json!({"type": "POSITION_UPDATE", "currentTime": position, "isPlaying": playing}),
            Word::Heartbeat => json!({"type": "HOST_HEARTBEAT", "currentTime": position, "isPlaying": playing}),
            Word::Url => json!({"type": "URL_CHANGE", "url": format!("https://example.org/{position}")}),
            Word::Sync => json!({"type": "REQUEST_SYNC"}),
            Word::Name => json!({"type": "UPDATE_USERNAME", "username": format!("{} {position}", self.user)}),
            Word::Broadcast => json!({"type": "BROADCAST", "event": "e"}),
            Word::Whisper => json!({"type": "BROADCAST", "event": "e", "to": self.peer()}),
            Word::Offer => json!({"type": "OFFER", "offer": {}, "to": self.peer()}),
            Word::Answer => json!({"type": "ANSWER", "answer": {}, "to": self.peer()}),
            Word::Candidate => json!({"type": "ICE_CANDIDATE", "candidate": {}, "to": self.peer()}),
            Word::Renegotiate => json!({"type": "RENEGOTIATE", "to": self.peer()}),
            Word::Bye => json!({"type": "BYE", "to": self.peer()}),
            Word::PlaybackAck => json!({"type": "PLAYBACK_ACK", "control": "play", "to": self.peer()}),
            Word::GuestControl => json!({"type": "TOGGLE_GUEST_CONTROL", "enabled": playing}),
            Word::TransferHost => json!({"type": "TRANSFER_HOST", "targetUserId": self.peer()}),
            Word::SetRole => {
                json!({"type": "SET_ROLE", "targetUserId": self.peer(), "role": if playing { "co-host" } else { "member" }})
            }
            Word::Kick => json!({"type": "KICK", "targetUserId": self.peer()}),
        })
    }
}

/// How a conversation ended.
enum Over {
    Closed(Option<u16>),
    Silence,
    Refused,
    Dropped,
    Vanished,
}

impl Over {
    /// Ends the socket. How long the client waits before it comes back, in milliseconds.
    fn part(self, open: Open, client: &Client) -> u64 {
        let code = if let Self::Closed(code) = self { code } else { None };
        client.record.add(Event::Shut { line: open.line, code });
        match self {
            Self::Vanished | Self::Silence => open.socket.vanish(),
            _ => drop(open),
        }
        match code {
            // Some stay away until their seat is gone.
            Some(1000) => 3_000 + client.dice.clone().between(0, 20_000),
            _ if client.dice.clone().percent(15) => 3_000 + client.dice.clone().between(0, 40_000),
            _ => 200,
        }
    }
}
