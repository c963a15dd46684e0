//! One replica with a driver that gives the answers a test wants.

use std::{cell::Cell, rc::Rc, sync::Arc};

use tandem::{
    backend::Commit,
    clock::Millis,
    id::{ConnId, NodeId, UserId},
    protocol::Generation,
    replica::{Answer, Effect, Env, Failure, Job, PendingJoin, Replica, Request, Step, Turn},
    room::{Action, Command, Digest, Join, Policy, Resume, Room, StreamPosition, Update, decide},
};
use uuid::Uuid;

use crate::{
    name::{room_id, user},
    store::START,
};

/// A replica, the frames that it sent, and its requests.
pub struct Bench {
    pub replica: Replica<usize>,
    pub sent: Vec<String>,
    pub requests: Vec<String>,
    pub now: Rc<Cell<Millis>>,
    pub returning: bool,
}

pub fn conn(number: u128) -> ConnId {
    ConnId(Uuid::from_u128(number))
}

pub fn join(number: u8) -> Join {
    Join {
        user: user(number),
        conn: conn(u128::from(number)),
        node: NodeId::parse("n").unwrap(),
        origin: Digest::new([1; 32]).into(),
        username: None,
        pin: None,
        proof: None,
        token: Some(Digest::new([2; 32])),
        asked: None,
        again: false,
        grant: None,
        invited: false,
        shares: true,
    }
}

pub fn pending(number: u8, missed: Option<StreamPosition>) -> PendingJoin<usize> {
    PendingJoin {
        conn: conn(u128::from(number)),
        handle: number.into(),
        budget: 1 << 20,
        generation: Generation::Current,
        features: &["resume"],
        token: None,
        missed,
    }
}

pub fn resume(number: u8) -> Resume {
    Resume {
        user: user(number),
        conn: conn(3),
        node: NodeId::parse("n").unwrap(),
        origin: Digest::new([1; 32]).into(),
        proof: Digest::new([2; 32]).into(),
        token: Digest::new([3; 32]),
        grant: None,
    }
}

/// The room after these users have joined.
pub fn with_members(numbers: &[u8]) -> Room {
    numbers.iter().fold(Room::vacant(room_id()), |room, number| {
        decide(&room, &Command::Join(join(*number)), &Policy::default(), START).unwrap().after
    })
}

impl Bench {
    pub fn new() -> Self {
        Self {
            replica: Replica::new(room_id()),
            sent: Vec::new(),
            requests: Vec::new(),
            now: Rc::new(Cell::new(START)),
            returning: false,
        }
    }

    /// A bench whose room is loaded, with members on this node.
    pub fn seated(numbers: &[u8]) -> Self {
        let mut bench = Self::new();
        for number in numbers {
            bench.enter(*number);
        }
        bench.requests.clear();
        bench.sent.clear();
        bench
    }

    pub fn enter(&mut self, number: u8) {
        let shared = self.replica.room().clone();
        let job = Job::Enter(Command::Join(join(number)));
        self.turn(&job, Some(pending(number, None)), |request| match request {
            Request::Load => Answer::Loaded(Ok(Box::new(shared.clone()))),
            Request::Recall => Answer::Recalled(None),
            Request::Commit(_) => Answer::Committed(Ok(Commit::Applied)),
            other => unreachable!("{other:?}"),
        })
        .unwrap();
    }

    pub fn with<R>(
        &mut self,
        call: impl FnOnce(&mut Replica<usize>, &Env<'_>, &mut dyn FnMut(Effect<'_, usize>)) -> R,
    ) -> R {
        let (node, policy) = (NodeId::parse("n").unwrap(), Policy::default());
        let ice = |_: &UserId| Vec::new();
        let (now, returning) = (self.now.get(), self.returning);
        let env = Env { node: &node, policy: &policy, ping_interval: 1, ice: &ice, returning, now };
        let sent = &mut self.sent;
        call(&mut self.replica, &env, &mut |effect| match effect {
            Effect::Send { to, frame, .. } => {
                let frame: serde_json::Value = serde_json::from_str(frame).unwrap();
                sent.push(format!("{to}: {}", frame["type"].as_str().unwrap()));
            }
            Effect::Close { to, why } => sent.push(format!("{to}: closed, {}", why.reason())),
            _ => {}
        })
    }

    pub fn turn(
        &mut self,
        job: &Job,
        join: Option<PendingJoin<usize>>,
        mut answer: impl FnMut(Request) -> Answer,
    ) -> Result<u64, Failure> {
        let (mut turn, mut step) = self.with(|replica, env, out| Turn::begin(job, join, replica, env, out));
        loop {
            match step {
                Step::Done(result) => return result,
                Step::Do(request) => {
                    let text = format!("{request:?}");
                    self.requests.push(text.split(['(', ' ', '{']).next().unwrap().to_owned());
                    let answer = answer(request);
                    step = self.with(|replica, env, out| turn.answer(answer, replica, env, out));
                }
            }
        }
    }

    pub fn say(&mut self, answer: impl FnMut(Request) -> Answer) -> Result<u64, Failure> {
        let action = Action::Broadcast { event: "e".into(), data: None };
        self.turn(&Job::Command(Command::Act { user: user(1), conn: conn(1), action }), None, answer)
    }

    pub fn hear(&mut self, command: &Command) {
        let update = Arc::new(update(self.replica.room(), command));
        self.with(|replica, env, out| replica.update(&update, env, out));
    }
}

pub fn update(room: &Room, command: &Command) -> Update {
    let draft = decide(room, command, &Policy::default(), START).unwrap();
    Update { room: room.id.clone(), epoch: room.epoch, base: room.version, at: START, changes: draft.changes }
}
