use std::collections::VecDeque;

use tandem::{
    id::UserId,
    protocol::Frame,
    replica::{Answer, Job, PendingJoin, Replica, Request, Turn},
};

use crate::{name::room_id, store::Push};

pub type Queued = (Job, Option<PendingJoin<usize>>, Option<usize>);

pub struct Running {
    pub turn: Turn<'static, usize>,
    pub request: Option<Request>,
    /// The place in `World::asked` that it answers.
    pub asked: Option<usize>,
}

#[allow(clippy::large_enum_variant, reason = "a story has few of them at a time")]
pub enum Message {
    Push(Push),
    Answer(Answer),
    Signal { to: UserId, frame: Frame },
}

pub struct Node {
    pub replica: Replica<usize>,
    pub running: Option<Running>,
    pub jobs: VecDeque<Queued>,
    /// The commits that have timed out, and may still arrive.
    pub late: VecDeque<Request>,
    pub inbound: VecDeque<Message>,
}

impl Node {
    pub fn new() -> Self {
        Self {
            replica: Replica::new(room_id()),
            running: None,
            jobs: VecDeque::new(),
            late: VecDeque::new(),
            inbound: VecDeque::new(),
        }
    }
}
