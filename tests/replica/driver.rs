//! Runs the turns of a node as the hub does, one after the other, and lets requests, answers and messages pass when the story says so.

use tandem::{
    backend::BackendError,
    replica::{Answer, Job, PendingJoin, Replica, Request, Step, Turn},
};

use crate::{
    name::{NODES, room_id},
    node::{Message, Running},
    store::{Push, lost},
    world::World,
};

/// The number of messages that may pass until everything has calmed down.
const CALM: usize = 20_000;

impl World {
    pub fn submit(&mut self, node: usize, job: Job, join: Option<PendingJoin<usize>>, asked: Option<usize>) {
        self.nodes[node].jobs.push_back((job, join, asked));
        self.begin_next(node);
    }

    pub fn reopen(&mut self, node: usize) {
        self.nodes[node].replica = Replica::new(room_id());
    }

    pub fn begin_next(&mut self, node: usize) {
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

    /// The store carries out the request of a node. The answer goes back on the link, behind what was published before it.
    pub fn serve(&mut self, node: usize, fate: impl FnOnce(Answer) -> Option<Answer>) {
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

    pub fn time_out(&mut self, node: usize, done: bool) {
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

    pub fn deliver(&mut self, node: usize) {
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
                // In production a signal for a member that has left this node would follow it, and might arrive after a later one.
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

    /// A client that has got ROOM_STATE or RESUMED is in the room.
    fn see_entries(&mut self) {
        for client in self.clients.iter_mut().filter(|client| !client.entered) {
            client.entered =
                client.frames.iter().any(|frame| frame["type"] == "ROOM_STATE" || frame["type"] == "RESUMED");
        }
    }

    pub fn pass(&mut self, millis: u64) {
        self.now += millis;
        for node in 0..NODES {
            let now = self.now;
            let due = self.with(node, |node, env, _| node.replica.timeout(env)).is_some_and(|at| at <= now);
            // As in the hub, a room is not ticked again while it waits for its turn.
            let waits = self.nodes[node].running.is_some() || !self.nodes[node].jobs.is_empty();
            if due && !waits {
                self.submit(node, Job::Tick, None, None);
            }
        }
    }

    /// Lets everything that is under way arrive without further faults, and rooms do what is due.
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
}
