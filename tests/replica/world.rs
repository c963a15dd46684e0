//! Three nodes, their links to one store, and clients that join, talk, drop and come back.

use std::{collections::BTreeMap, fmt::Debug};

use tandem::{
    clock::Millis,
    id::{ConnId, UserId},
    protocol::{Generation, ServerFrame, encode},
    replica::{Effect, Env, Failure, Job, PendingJoin, Route},
    room::{Action, Command, Join, Policy, Resume, Role, StreamPosition},
};
use uuid::Uuid;

use crate::{
    client::Client,
    name::{NODES, digest, node_name, user},
    node::{Message, Node},
    op::{Act, Op},
    store::{START, Store},
};

/// A command of a client, and its result.
#[derive(Debug)]
pub struct Asked {
    pub event: String,
    pub result: Option<Result<u64, Failure>>,
}

pub struct World {
    pub now: Millis,
    pub policy: Policy,
    pub store: Store,
    pub nodes: Vec<Node>,
    pub clients: Vec<Client>,
    /// The connection that each user has now.
    pub connected: BTreeMap<u8, usize>,
    pub asked: Vec<Asked>,
    /// The number of signals that were sent.
    pub signals: usize,
    /// Every effect that is not a frame.
    pub counted: Vec<String>,
}

impl World {
    pub fn new() -> Self {
        Self {
            now: START,
            policy: Policy::default(),
            store: Store::new(),
            nodes: (0..NODES).map(|_| Node::new()).collect(),
            clients: Vec::new(),
            connected: BTreeMap::new(),
            asked: Vec::new(),
            signals: 0,
            counted: Vec::new(),
        }
    }

    /// Calls into a replica, and carries out what follows.
    pub fn with<R>(
        &mut self,
        node: usize,
        call: impl FnOnce(&mut Node, &Env<'_>, &mut dyn FnMut(Effect<'_, usize>)) -> R,
    ) -> R {
        let name = node_name(node);
        let ice = |_: &UserId| Vec::new();
        let env = Env {
            node: &name,
            policy: &self.policy,
            ping_interval: 25_000,
            ice: &ice,
            returning: false,
            now: self.now,
        };
        let (clients, counted, store) = (&mut self.clients, &mut self.counted, &mut self.store);
        let mut free = Vec::new();
        let done = call(&mut self.nodes[node], &env, &mut |effect| match effect {
            Effect::Send { to, frame, .. } => clients[*to].frames.push(serde_json::from_str(frame).unwrap()),
            Effect::Close { to, why } => clients[*to].closed = Some(why),
            Effect::SeatFree { user, conn, .. } => free.push((user.clone(), conn)),
            Effect::InboxSent { user, inbox, .. } => store.take(user, &inbox),
            other => counted.push(format!("{other:?}")),
        });
        // A client that is asked for a sign of life answers.
        for (user, conn) in free {
            self.nodes[node].replica.reclaim(&user, conn, &env);
        }
        done
    }

    pub fn step(&mut self, op: &Op) {
        // Two decisions never have the same time, because the fingerprint of a room tells its histories apart by that.
        self.now += 1;
        match op {
            Op::Join { user, node, modern } => self.join(*user, *node, *modern),
            Op::Resume { user, node } => self.resume(*user, *node),
            Op::Drop { user } => self.drop_connection(*user),
            Op::Act { user, act } => self.act(*user, *act),
            Op::Whisper { from, to } => self.whisper(*from, *to),
            Op::Reap { by, node } => {
                if by != node {
                    self.submit(*by, Job::Orphan(Command::Reap { node: node_name(*node) }), None, None);
                }
            }
            Op::Pass { millis } => self.pass(*millis),
            Op::Serve { node } => self.serve(*node, Some),
            Op::Timeout { node, done } => self.time_out(*node, *done),
            Op::Deliver { node, messages } => (0..*messages).for_each(|_| self.deliver(*node)),
            Op::Fault(fault) => self.fault(fault),
        }
    }

    fn connect(&mut self, number: u8, node: usize, modern: bool, missed: Option<StreamPosition>) -> PendingJoin<usize> {
        let handle = self.clients.len();
        let conn = ConnId(Uuid::from_u128(handle as u128 + 1));
        self.clients.push(Client {
            user: user(number),
            number,
            conn,
            node,
            modern,
            resumed_from: missed,
            frames: Vec::new(),
            closed: None,
            entered: false,
        });
        self.connected.insert(number, handle);
        let generation = if modern { Generation::Current } else { Generation::First };
        let token = modern.then(|| "t".into());
        PendingJoin { conn, handle, budget: 1 << 20, generation, features: &["resume"], token, missed }
    }

    /// A user that is connected keeps its connection; a test uses [`World::drop_connection`] first.
    fn join(&mut self, number: u8, node: usize, modern: bool) {
        if self.connected.contains_key(&number) {
            return;
        }
        let join = self.connect(number, node, modern, None);
        let command = Join {
            user: user(number),
            conn: join.conn,
            node: node_name(node),
            origin: digest(100).into(),
            username: None,
            pin: None,
            proof: Some(digest(number).into()),
            token: modern.then(|| digest(number)),
            asked: None,
            again: false,
            grant: None,
            invited: false,
            shares: true,
        };
        self.submit(node, Job::Enter(Command::Join(command)), Some(join), None);
    }

    fn resume(&mut self, number: u8, node: usize) {
        let before = self.clients.iter().rev().find(|client| client.number == number && client.entered);
        let Some(from) = before.filter(|client| client.modern).and_then(Client::seen) else { return };
        if self.connected.contains_key(&number) {
            return;
        }
        let join = self.connect(number, node, true, Some(from));
        let command = Resume {
            user: user(number),
            conn: join.conn,
            node: node_name(node),
            origin: digest(100).into(),
            proof: digest(number).into(),
            token: digest(number),
            grant: None,
        };
        self.submit(node, Job::Enter(Command::Resume(command)), Some(join), None);
    }

    fn drop_connection(&mut self, number: u8) {
        let Some(handle) = self.connected.remove(&number) else { return };
        let (user, conn, node, keep_seat) = {
            let client = &self.clients[handle];
            (client.user.clone(), client.conn, client.node, client.modern)
        };
        self.with(node, |node, _, _| node.replica.disconnect(&user, conn));
        self.submit(node, Job::Command(Command::Disconnect { user, conn, keep_seat }), None, None);
    }

    fn act(&mut self, number: u8, act: Act) {
        let Some(handle) = self.connected.get(&number) else { return };
        let client = &self.clients[*handle];
        if !client.entered || client.closed.is_some() {
            return;
        }
        let (user_id, conn, node) = (client.user.clone(), client.conn, client.node);
        let event = format!("e{}", self.asked.len());
        let action = match act {
            Act::Say => Action::Broadcast { event: event.as_str().into(), data: None },
            Act::Leave => Action::Leave,
            Act::Rename => Action::Rename { username: event.as_str().into() },
            Act::Play => Action::PlayPause { playing: true, position: Some(1.0), event: None, rate: None },
            Act::Transfer(to) => Action::TransferHost { to: user(to) },
            Act::Promote(to) => Action::SetRole { to: user(to), role: Role::CoHost },
            Act::Kick(who) => Action::Kick { who: user(who), note: None },
        };
        if let Act::Leave = act {
            self.connected.remove(&number);
        }
        let asked = matches!(act, Act::Say).then_some(self.asked.len());
        self.asked.push(Asked { event, result: None });
        self.submit(node, Job::Command(Command::Act { user: user_id, conn, action }), None, asked);
    }

    fn whisper(&mut self, from: u8, to: u8) {
        let Some(client) = self.connected.get(&from).map(|handle| &self.clients[*handle]) else { return };
        let (sender, conn, node, to) = (client.user.clone(), client.conn, client.node, user(to));
        let event = format!("s{}", self.signals);
        self.signals += 1;
        let whisper =
            ServerFrame::DirectMessage { user_id: &sender, event: &event, data: None, to: &to, timestamp: self.now };
        let frame = encode(&whisper);
        let route = self.with(node, |node, _, out| {
            node.replica.direct((&sender, conn), tandem::room::Right::Signal, &to, &frame, out)
        });
        match route {
            Ok(Route::Elsewhere(Some(name))) => {
                let at = (0..NODES).find(|number| node_name(*number) == name).unwrap();
                self.nodes[at].inbound.push_back(Message::Signal { to, frame });
            }
            Ok(Route::Elsewhere(None)) => {
                self.store.keep(&to, frame);
            }
            Ok(Route::Here | Route::Nobody) | Err(_) => {}
        }
    }

    pub fn session(&self, handle: usize) -> bool {
        let client = &self.clients[handle];
        self.nodes[client.node].replica.handle(&client.user, client.conn) == Some(&handle)
    }
}

/// This is what proptest shows of a failure.
impl Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").field("room", &self.store.room).field("clients", &self.clients).finish_non_exhaustive()
    }
}
