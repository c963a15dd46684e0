//! Three nodes, their links to one store, and clients that come, talk, drop and come back.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt::Debug,
};

use proptest::prelude::*;
use serde_json::Value;
use tandem::{
    backend::BackendError,
    clock::Millis,
    id::{ConnId, NodeId, RoomId, UserId},
    protocol::{Close, Frame, Generation, ServerFrame, encode},
    replica::{Answer, Effect, Env, Failure, Job, PendingJoin, Replica, Request, Route, Step, Turn},
    room::{Action, Command, Digest, Join, Policy, Resume, Role, StreamPosition},
};
use uuid::Uuid;

use crate::store::{Push, START, Store, lost};

pub const ROOM: &str = "r";
pub const NODES: usize = 3;
pub const USERS: u8 = 4;
/// Messages that may pass until everything has calmed down.
const CALM: usize = 20_000;

pub fn room_id() -> RoomId {
    RoomId::parse(ROOM).unwrap()
}

pub fn user(number: u8) -> UserId {
    UserId::parse(&format!("u{number}")).unwrap()
}

fn node_name(number: usize) -> NodeId {
    NodeId::parse(&format!("n{number}")).unwrap()
}

fn digest(number: u8) -> Digest {
    Digest::new([number; 32])
}

/// What happens next.
#[derive(Debug, Clone)]
pub enum Op {
    Join {
        user: u8,
        node: usize,
        modern: bool,
    },
    Resume {
        user: u8,
        node: usize,
    },
    Drop {
        user: u8,
    },
    Act {
        user: u8,
        act: Act,
    },
    Whisper {
        from: u8,
        to: u8,
    },
    Reap {
        by: usize,
        node: usize,
    },
    Pass {
        millis: u64,
    },
    /// The store does what a node asked for.
    Serve {
        node: usize,
    },
    /// The same, but the answer does not come. If not `done`, the question did not arrive either.
    Timeout {
        node: usize,
        done: bool,
    },
    /// So much of what is on its way to a node arrives.
    Deliver {
        node: usize,
        messages: usize,
    },
    Fault(Fault),
}

#[derive(Debug, Clone)]
pub enum Fault {
    /// What was published is lost on its way to a node, and the node learns that something was.
    LosePushes {
        node: usize,
    },
    /// The first of them is lost, and nobody knows but by the hole.
    LoseOne {
        node: usize,
    },
    Repeat {
        node: usize,
    },
    Reorder {
        node: usize,
    },
    /// An answer overtakes what was published before.
    Overtake {
        node: usize,
    },
    /// A commit that was given up arrives after all.
    Late {
        node: usize,
    },
    /// The task of a turn panics; if `done`, what it asked for is done all the same.
    Break {
        node: usize,
        done: bool,
    },
    /// The node is gone, and comes back empty.
    Crash {
        node: usize,
    },
    /// The store loses its last updates; 255: everything.
    Forget {
        updates: u8,
    },
}

#[derive(Debug, Clone, Copy)]
pub enum Act {
    Say,
    Leave,
    Rename,
    Play,
    Transfer(u8),
    Promote(u8),
    Kick(u8),
}

pub fn op(forgets: bool) -> impl Strategy<Value = Op> {
    let (users, nodes) = (0..USERS, 0..NODES);
    let act = prop_oneof![
        8 => Just(Act::Say),
        1 => Just(Act::Leave),
        1 => Just(Act::Rename),
        1 => Just(Act::Play),
        1 => users.clone().prop_map(Act::Transfer),
        1 => users.clone().prop_map(Act::Promote),
        1 => users.clone().prop_map(Act::Kick),
    ];
    prop_oneof![
        3 => (users.clone(), nodes.clone(), any::<bool>()).prop_map(|(user, node, modern)| Op::Join { user, node, modern }),
        3 => (users.clone(), nodes.clone()).prop_map(|(user, node)| Op::Resume { user, node }),
        2 => users.clone().prop_map(|user| Op::Drop { user }),
        14 => (users.clone(), act).prop_map(|(user, act)| Op::Act { user, act }),
        3 => (users.clone(), users).prop_map(|(from, to)| Op::Whisper { from, to }),
        1 => (nodes.clone(), nodes.clone()).prop_map(|(by, node)| Op::Reap { by, node }),
        2 => (1..2_000_u64).prop_map(|millis| Op::Pass { millis }),
        12 => nodes.clone().prop_map(|node| Op::Serve { node }),
        1 => (nodes.clone(), any::<bool>()).prop_map(|(node, done)| Op::Timeout { node, done }),
        8 => (nodes, 1..4_usize).prop_map(|(node, messages)| Op::Deliver { node, messages }),
        5 => fault(forgets).prop_map(Op::Fault),
    ]
}

fn fault(forgets: bool) -> impl Strategy<Value = Fault> {
    let nodes = 0..NODES;
    prop_oneof![
        2 => nodes.clone().prop_map(|node| Fault::LosePushes { node }),
        4 => nodes.clone().prop_map(|node| Fault::LoseOne { node }),
        2 => nodes.clone().prop_map(|node| Fault::Repeat { node }),
        2 => nodes.clone().prop_map(|node| Fault::Reorder { node }),
        2 => nodes.clone().prop_map(|node| Fault::Overtake { node }),
        1 => (nodes.clone(), any::<bool>()).prop_map(|(node, done)| Fault::Break { node, done }),
        2 => nodes.clone().prop_map(|node| Fault::Late { node }),
        1 => nodes.prop_map(|node| Fault::Crash { node }),
        if forgets { 4 } else { 0 } => prop_oneof![1..4_u8, Just(u8::MAX)].prop_map(|updates| Fault::Forget { updates }),
    ]
}

/// What a client has been told on one connection.
#[derive(Debug)]
pub struct Client {
    pub user: UserId,
    number: u8,
    pub conn: ConnId,
    pub node: usize,
    pub modern: bool,
    pub resumed_from: Option<StreamPosition>,
    pub frames: Vec<Value>,
    pub closed: Option<Close>,
    pub entered: bool,
}

/// Something that a client asked for, and what came of it.
#[derive(Debug)]
pub struct Asked {
    pub event: String,
    pub result: Option<Result<u64, Failure>>,
}

type Queued = (Job, Option<PendingJoin<usize>>, Option<usize>);

struct Running {
    turn: Turn<'static, usize>,
    request: Option<Request>,
    /// Which of [`World::asked`] it answers.
    asked: Option<usize>,
}

#[allow(clippy::large_enum_variant, reason = "a story has few of them at a time")]
pub enum Message {
    Push(Push),
    Answer(Answer),
    Signal { to: UserId, frame: Frame },
}

pub struct Node {
    pub replica: Replica<usize>,
    running: Option<Running>,
    jobs: VecDeque<Queued>,
    /// Commits that were given up, and may still arrive.
    late: VecDeque<Request>,
    pub inbound: VecDeque<Message>,
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
    /// Signals that were taken for delivery: sender, target, number.
    pub signals: usize,
    /// Every effect that is no frame.
    pub counted: Vec<String>,
}

fn empty_node() -> Node {
    Node {
        replica: Replica::new(room_id()),
        running: None,
        jobs: VecDeque::new(),
        late: VecDeque::new(),
        inbound: VecDeque::new(),
    }
}

impl World {
    pub fn new() -> Self {
        Self {
            now: START,
            policy: Policy::default(),
            store: Store::new(),
            nodes: (0..NODES).map(|_| empty_node()).collect(),
            clients: Vec::new(),
            connected: BTreeMap::new(),
            asked: Vec::new(),
            signals: 0,
            counted: Vec::new(),
        }
    }

    /// Calls into a replica, and carries out what follows.
    fn with<R>(
        &mut self,
        node: usize,
        call: impl FnOnce(&mut Node, &Env<'_>, &mut dyn FnMut(Effect<'_, usize>)) -> R,
    ) -> R {
        let name = node_name(node);
        let ice = |_: &UserId| Vec::new();
        let env = Env { node: &name, policy: &self.policy, ping_interval: 25_000, ice: &ice, now: self.now };
        let (clients, counted, store) = (&mut self.clients, &mut self.counted, &mut self.store);
        let mut free = Vec::new();
        let done = call(&mut self.nodes[node], &env, &mut |effect| match effect {
            Effect::Send { to, frame, .. } => clients[*to].frames.push(serde_json::from_str(frame).unwrap()),
            Effect::Close { to, why } => clients[*to].closed = Some(why),
            Effect::SeatFree { user, conn, .. } => free.push((user.clone(), conn)),
            Effect::InboxSent { user, inbox, .. } => store.take(user, &inbox),
            other => counted.push(format!("{other:?}")),
        });
        // Whoever has a connection answers.
        for (user, conn) in free {
            self.nodes[node].replica.reclaim(&user, conn, &env);
        }
        done
    }

    pub fn step(&mut self, op: &Op) {
        // No two decisions are of the same moment: a room's mark tells histories apart by that.
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

    fn fault(&mut self, fault: &Fault) {
        let is_push = |message: &Message| matches!(message, Message::Push(Push::Update(_) | Push::Stale));
        match fault {
            Fault::LosePushes { node } => {
                let inbound = &mut self.nodes[*node].inbound;
                if inbound.iter().any(is_push) {
                    inbound.retain(|message| !is_push(message));
                    inbound.push_back(Message::Push(Push::Stale));
                }
            }
            Fault::LoseOne { node } => {
                let inbound = &mut self.nodes[*node].inbound;
                let point = |message: &Message| match message {
                    Message::Push(Push::Update(update)) => Some((update.epoch, update.version())),
                    _ => None,
                };
                // Only where a later one shows the hole.
                let newest = inbound.iter().filter_map(point).max();
                let old = |message: &Message| point(message).is_some_and(|point| Some(point) < newest);
                if let Some(place) = inbound.iter().position(old) {
                    inbound.remove(place);
                }
            }
            Fault::Repeat { node } => {
                let inbound = &mut self.nodes[*node].inbound;
                if let Some(Message::Push(push)) = inbound.front() {
                    let again = push.clone();
                    inbound.push_back(Message::Push(again));
                }
            }
            Fault::Reorder { node } => {
                let inbound = &mut self.nodes[*node].inbound;
                if inbound.len() > 1 && is_push(&inbound[0]) && is_push(&inbound[1]) {
                    inbound.swap(0, 1);
                }
            }
            Fault::Overtake { node } => {
                let inbound = &mut self.nodes[*node].inbound;
                if let Some(place) = inbound.iter().position(|message| matches!(message, Message::Answer(_))) {
                    let answer = inbound.remove(place).unwrap();
                    inbound.push_front(answer);
                }
            }
            Fault::Late { node } => {
                if let Some(request) = self.nodes[*node].late.pop_front() {
                    let nodes = &mut self.nodes;
                    self.store.serve(*node, request, |to, push| nodes[to].inbound.push_back(Message::Push(push)));
                }
            }
            Fault::Break { node, done } => {
                if *done {
                    self.serve(*node, |_| None);
                }
                if self.nodes[*node].running.take().is_some() {
                    // An answer that is on its way has nobody who waits for it.
                    self.nodes[*node].inbound.retain(|message| !matches!(message, Message::Answer(_)));
                    self.with(*node, |node, env, _| node.replica.abandon(env.now));
                    if self.nodes[*node].replica.is_retired() {
                        self.reopen(*node);
                    }
                    self.begin_next(*node);
                }
            }
            Fault::Crash { node } => {
                self.connected.retain(|_, client| self.clients[*client].node != *node);
                self.nodes[*node] = empty_node();
                // Its process is another one: what it was subscribed to is gone.
                self.store.serve(*node, Request::Leave, |_, _| {});
            }
            Fault::Forget { updates } => {
                // A store that fails over breaks its links: what is on its way does not arrive.
                for node in &mut self.nodes {
                    node.late.clear();
                }
                let nodes = &mut self.nodes;
                self.store.forget(usize::from(*updates));
                for node in nodes {
                    node.inbound.push_back(Message::Push(Push::Cut));
                }
            }
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

    /// Whoever has a connection keeps it: a second one is [`World::drop_connection`] first.
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
        let route = self.with(node, |node, _, out| node.replica.direct((&sender, conn), &to, &frame, out));
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

    fn submit(&mut self, node: usize, job: Job, join: Option<PendingJoin<usize>>, asked: Option<usize>) {
        self.nodes[node].jobs.push_back((job, join, asked));
        self.begin_next(node);
    }

    fn reopen(&mut self, node: usize) {
        self.nodes[node].replica = Replica::new(room_id());
    }

    fn begin_next(&mut self, node: usize) {
        if self.nodes[node].running.is_some() {
            return;
        }
        let Some((job, join, asked)) = self.nodes[node].jobs.pop_front() else { return };
        let job: &'static Job = Box::leak(Box::new(job));
        if self.nodes[node].replica.is_retired() {
            self.reopen(node);
        }
        let (turn, step) = self.with(node, |node, env, out| Turn::begin(job, join, &mut node.replica, env, out));
        self.nodes[node].running = Some(Running { turn, request: None, asked });
        self.go_on(node, step);
    }

    fn go_on(&mut self, node: usize, step: Step) {
        match step {
            Step::Do(request) => self.nodes[node].running.as_mut().unwrap().request = Some(request),
            Step::Done(result) => {
                let running = self.nodes[node].running.take().unwrap();
                if let Some(asked) = running.asked {
                    self.asked[asked].result = Some(result);
                }
                self.begin_next(node);
            }
        }
    }

    /// The store does what the node asked for; the answer goes back on the link, behind what was published before it.
    fn serve(&mut self, node: usize, fate: impl FnOnce(Answer) -> Option<Answer>) {
        if self.nodes[node].inbound.iter().any(|message| matches!(message, Message::Push(Push::Cut))) {
            return self.time_out(node, false);
        }
        let Some(request) = self.nodes[node].running.as_mut().and_then(|running| running.request.take()) else {
            return;
        };
        let nodes = &mut self.nodes;
        let answer = self.store.serve(node, request, |to, push| nodes[to].inbound.push_back(Message::Push(push)));
        if let Some(answer) = fate(answer) {
            self.nodes[node].inbound.push_back(Message::Answer(answer));
        }
    }

    fn time_out(&mut self, node: usize, done: bool) {
        if done {
            self.serve(node, |answer| Some(lost(&answer).unwrap_or(answer)));
            return;
        }
        let Some(request) = self.nodes[node].running.as_ref().and_then(|running| running.request.as_ref()) else {
            return;
        };
        let why = BackendError::Timeout;
        let answer = match request {
            Request::Missed { .. } => Answer::Missed { history: Err(why.clone()), inbox: Err(why) },
            Request::Recall => Answer::Recalled(None),
            Request::Wait(_) => Answer::Waited,
            Request::Leave => Answer::Left,
            Request::Load => Answer::Loaded(Err(why)),
            Request::Commit(_) => Answer::Committed(Err(why)),
            Request::History { .. } => Answer::History(Err(why)),
            Request::Restore { .. } | Request::Repair { .. } => Answer::Restored(Err(why)),
            Request::Alarm => Answer::Alarmed(Err(why)),
        };
        let request = self.nodes[node].running.as_mut().unwrap().request.take();
        self.nodes[node].late.extend(request.filter(|request| matches!(request, Request::Commit(_))));
        self.nodes[node].inbound.push_back(Message::Answer(answer));
    }

    fn deliver(&mut self, node: usize) {
        self.now += 1;
        match self.nodes[node].inbound.pop_front() {
            None => {}
            Some(Message::Push(Push::Update(update))) => {
                self.with(node, |node, env, out| node.replica.update(&update, env, out));
            }
            Some(Message::Push(push)) => {
                if let Push::Cut = push {
                    self.time_out(node, false);
                    self.nodes[node].late.clear();
                }
                self.with(node, |node, env, _| node.replica.stale(env.now));
            }
            Some(Message::Signal { to, frame }) => {
                // One that is not here any more would follow its member, and might come after a later one.
                self.with(node, |node, _, out| node.replica.signal(&to, &frame, out));
            }
            Some(Message::Answer(answer)) => {
                let Some(mut running) = self.nodes[node].running.take() else { return };
                let step = self.with(node, |node, env, out| running.turn.answer(answer, &mut node.replica, env, out));
                self.nodes[node].running = Some(running);
                self.go_on(node, step);
            }
        }
        self.see_entries();
    }

    /// Whoever has got its ROOM_STATE, or RESUMED, is in.
    fn see_entries(&mut self) {
        for client in self.clients.iter_mut().filter(|client| !client.entered) {
            client.entered =
                client.frames.iter().any(|frame| frame["type"] == "ROOM_STATE" || frame["type"] == "RESUMED");
        }
    }

    fn pass(&mut self, millis: u64) {
        self.now += millis;
        for node in 0..NODES {
            let now = self.now;
            let due = self.with(node, |node, env, _| node.replica.timeout(env)).is_some_and(|at| at <= now);
            // As the driver does: a room is not ticked again while it waits for its turn.
            let waits = self.nodes[node].running.is_some() || !self.nodes[node].jobs.is_empty();
            if due && !waits {
                self.submit(node, Job::Tick, None, None);
            }
        }
    }

    /// No more faults: everything that is on its way arrives, and rooms do what is due.
    pub fn calm(&mut self) {
        for _ in 0..8 {
            for _ in 0..CALM {
                let mut moved = false;
                for node in 0..NODES {
                    let asks = self.nodes[node].running.as_ref().is_some_and(|running| running.request.is_some());
                    if asks {
                        self.serve(node, Some);
                    }
                    moved |= asks || !self.nodes[node].inbound.is_empty();
                    while !self.nodes[node].inbound.is_empty() {
                        self.deliver(node);
                    }
                }
                if !moved {
                    break;
                }
            }
            assert!(self.nodes.iter().all(|node| node.running.is_none()), "every turn ends");
            self.pass(1_001);
        }
    }

    pub fn session(&self, handle: usize) -> bool {
        let client = &self.clients[handle];
        self.nodes[client.node].replica.handle(&client.user, client.conn) == Some(&handle)
    }
}

impl Client {
    /// The last that it has seen.
    pub fn seen(&self) -> Option<StreamPosition> {
        let mut seen = self.resumed_from;
        for frame in &self.frames {
            if let (Some(epoch), Some(version)) = (frame["epoch"].as_u64(), frame["version"].as_u64()) {
                // RESUMED names the version at which the session begins; what was missed follows it.
                if frame["type"] != "RESUMED" {
                    seen = Some(StreamPosition { epoch, version });
                }
            }
        }
        seen
    }
}

/// So that proptest shows what happened.
impl Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").field("room", &self.store.room).field("clients", &self.clients).finish_non_exhaustive()
    }
}
