use std::{collections::BTreeSet, net::IpAddr, sync::Arc, time::Duration};

use serde_json::{Value, json};
use tandem::id::{RoomId, UserId};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

use super::over::Over;
use crate::{
    chance::Dice,
    node::Node,
    plan::Word,
    record::{Event, Record, Standing},
    socket::{Inward, Socket, parse},
    world::Nodes,
};

/// A client that is not answered for so long opens another socket.
pub(super) const PATIENCE: Duration = Duration::from_secs(12);
/// The PIN of a room that has one from the beginning, and another one, which is wrong there.
pub(super) const PIN: &str = "123456";
pub(super) const OTHER_PIN: &str = "654321";
/// Twice as many frames as a socket may send at once.
const FLOOD: usize = 120;

pub struct Client {
    pub number: usize,
    pub user: UserId,
    pub room: RoomId,
    pub modern: bool,
    pub peers: Vec<UserId>,
    pub nodes: Nodes,
    pub record: Record,
    pub dice: Dice,
    pub(super) sockets: u32,
    pub(super) words: u64,
    pub(super) token: Option<String>,
    pub(super) seen: Option<(u64, u64)>,
    pub(super) host: Option<String>,
    pub(super) gate: Option<f64>,
    pub(super) gone: bool,
    /// Whether it wants to be in the room.
    pub(super) wants: bool,
    /// Whether it goes on trying when it is shut out, instead of being gone.
    pub(super) stubborn: bool,
    /// Whether the room has a PIN, and whether the client sends the other one.
    pub(super) pin: bool,
    pub(super) guesses: bool,
}

/// The conversation of a client on one socket.
pub(super) struct Open {
    pub(super) socket: Socket,
    pub(super) node: Arc<Node>,
    pub(super) line: (usize, u32),
    /// The frames that wait for an answer, and until when the client waits for the first of them.
    pub(super) asked: BTreeSet<u64>,
    pub(super) patience: Option<Instant>,
    pub(super) entered: bool,
    pub(super) entry: u64,
    pub(super) resumes: bool,
    /// Its JOIN was refused, and its node will try it again.
    pub(super) waits: bool,
    /// When it sends LEAVE again, because nobody could say whether it has left.
    pub(super) leaves: Option<Instant>,
}

/// What a client is told to do.
#[derive(Debug, Clone)]
pub enum Order {
    Say(Word),
    /// Its socket breaks, and both ends notice.
    Drop,
    /// It vanishes, and comes back on another socket.
    Vanish,
    /// It opens another socket while this one is open.
    Overlap,
    /// It comes in anew, with a wrong PIN.
    Guess,
    /// It sends more than it may.
    Flood,
    /// It goes, and comes back later.
    Leave,
    /// It vanishes, and never comes back.
    Quit,
    /// The story is over, and the client says where it is.
    Report(mpsc::UnboundedSender<(usize, Option<Standing>)>),
}

impl Client {
    /// Makes the client with this number, in a room with or without a PIN, where it may go on trying.
    pub fn new(
        number: usize,
        (room, pin, stubborn): (RoomId, bool, bool),
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
            stubborn,
            pin,
            guesses: false,
        }
    }

    pub async fn live(mut self, mut orders: mpsc::UnboundedReceiver<Order>) {
        let mut at = Instant::now() + Duration::from_millis(self.dice.between(0, 1_500));
        loop {
            // It stays out until it is time to come back.
            loop {
                tokio::select! {
                    biased;
                    order = orders.recv() => match order {
                        Some(Order::Report(to)) => drop(to.send((self.number, None))),
                        Some(Order::Quit) => self.quit(),
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
                    Some(end) => end.part(open, &mut self),
                    None => return,
                },
            };
            at = Instant::now() + Duration::from_millis(pause + self.dice.between(0, 500));
        }
    }

    fn quit(&mut self) {
        self.gone = true;
        self.record.add(Event::Quit { client: self.number });
    }

    pub(super) fn connect(&mut self) -> Option<Open> {
        let nodes: Vec<_> = self.nodes.lock().unwrap().values().cloned().collect();
        let node = self.dice.pick(&nodes).clone()?;
        if node.gate.is_shut() {
            return None;
        }
        self.sockets += 1;
        let line = (self.number, self.sockets);
        // Some clients come from another address now and then.
        let address = IpAddr::from([10, 0, u8::from(self.dice.percent(20)), u8::try_from(self.number).unwrap_or(255)]);
        let socket = Socket::open(&node, address, self.dice.branch(u64::from(self.sockets)))?;
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
            waits: false,
            leaves: None,
        };
        self.come_in(&mut open);
        Some(open)
    }

    pub(super) fn come_in(&mut self, open: &mut Open) {
        let (room, user) = (self.room.as_str(), self.user.as_str());
        let frame = match (&self.token, self.seen) {
            (Some(token), Some((epoch, version))) => {
                open.resumes = true;
                json!({"type": "RESUME", "roomId": room, "userId": user, "resumeToken": token, "epoch": epoch, "version": version})
            }
            _ => {
                open.resumes = false;
                let mut join = json!({"type": "JOIN", "roomId": room, "userId": user, "username": user});
                match (self.guesses, self.pin) {
                    (true, _) => join["pin"] = json!(OTHER_PIN),
                    (false, true) => join["pin"] = json!(PIN),
                    (false, false) => {}
                }
                if self.modern {
                    join["features"] = json!(["resume", "ack"]);
                }
                join
            }
        };
        open.entry = self.say(open, frame);
    }

    /// Sends a frame that is to be answered.
    pub(super) fn say(&mut self, open: &mut Open, mut frame: Value) -> u64 {
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

    /// Waits for the end of the conversation, and returns its reason; `None` when the story is over.
    pub(super) async fn talk(&mut self, open: &mut Open, orders: &mut mpsc::UnboundedReceiver<Order>) -> Option<Over> {
        loop {
            let (patience, leaves) = (open.patience, open.leaves);
            tokio::select! {
                biased;
                what = open.socket.next() => match what {
                    Inward::Closed(code) => {
                        self.gone |= code == Some(4503) && !self.stubborn;
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
                () = async { sleep_until(leaves.unwrap_or_else(Instant::now)).await }, if leaves.is_some() => {
                    open.leaves = None;
                    self.say(open, json!({"type": "LEAVE"}));
                }
                order = orders.recv() => match order? {
                    Order::Say(word) => if open.entered && let Some(frame) = self.word(word) {
                        self.say(open, frame);
                    },
                    Order::Drop => return Some(Over::Dropped),
                    Order::Vanish => return Some(Over::Vanished),
                    Order::Overlap => return Some(Over::Overlapped),
                    Order::Guess => {
                        (self.token, self.seen, self.guesses) = (None, None, true);
                        return Some(Over::Dropped);
                    }
                    Order::Flood => if open.entered {
                        for _ in 0..FLOOD {
                            self.say(open, json!({"type": "REQUEST_SYNC"}));
                        }
                    },
                    Order::Leave => if open.entered {
                        self.wants = false;
                        self.token = None;
                        self.say(open, json!({"type": "LEAVE"}));
                    },
                    Order::Quit => {
                        self.quit();
                        return Some(Over::Vanished);
                    }
                    Order::Report(to) => {
                        let at = Standing { line: open.line, room: self.room.clone(), node: open.node.name.clone() };
                        let _ = to.send((self.number, open.entered.then_some(at)));
                    }
                },
            }
        }
    }
}
