//! Shared state of one room, as Redis keeps it: versions are compared, updates are published in order, and the last of them are kept.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use tandem::{
    backend::{BackendError, Commit, Inbox},
    clock::Millis,
    id::UserId,
    protocol::Frame,
    replica::{Answer, Request},
    room::{Change, Room, Update},
};

use crate::name::room_id;

/// The number of updates that are kept for replays.
const KEPT: usize = 12;

pub struct Store {
    pub room: Room,
    /// Every update that is in force, oldest first. Those of other epochs than the room's belong to earlier rooms.
    pub story: Vec<Arc<Update>>,
    /// The room after each of them.
    states: Vec<Room>,
    /// The place in `story` of the first update that is still in the history.
    known: usize,
    pub inboxes: BTreeMap<UserId, Vec<Frame>>,
    subscribers: BTreeSet<usize>,
}

/// What is published to a node.
#[derive(Debug, Clone)]
pub enum Push {
    Update(Arc<Update>),
    Stale,
    /// The link is cut, and comes back. What the node requests before it has noticed does not arrive.
    Cut,
}

impl Store {
    pub fn new() -> Self {
        Self {
            room: Room::vacant(room_id()),
            story: Vec::new(),
            states: Vec::new(),
            known: 0,
            inboxes: BTreeMap::new(),
            subscribers: BTreeSet::new(),
        }
    }

    /// Carries out a request of node `by`. What is published goes to `publish`, in order, before the answer.
    pub fn serve(&mut self, by: usize, request: Request, mut publish: impl FnMut(usize, Push)) -> Answer {
        match request {
            Request::Load => {
                self.subscribers.insert(by);
                Answer::Loaded(Ok(Box::new(self.room.clone())))
            }
            Request::Commit(proposal) => {
                let update = proposal.update;
                let room = &self.room;
                if room.version != update.base || (room.exists() && room.epoch != update.epoch) {
                    return Answer::Committed(Ok(Commit::Conflict));
                }
                self.apply(&update);
                assert_eq!(self.room.lineage_hash, proposal.after.lineage_hash, "what was decided is what is stored");
                self.subscribers.iter().for_each(|node| publish(*node, Push::Update(Arc::clone(&update))));
                Answer::Committed(Ok(Commit::Applied))
            }
            Request::Restore { room, found, .. } => {
                let is = self.room.exists().then(|| self.room.position());
                if is != found {
                    return Answer::Restored(Ok(Commit::Conflict));
                }
                self.room = *room;
                self.known = self.story.len();
                self.inboxes.clear();
                self.subscribers.iter().filter(|node| **node != by).for_each(|node| publish(*node, Push::Stale));
                Answer::Restored(Ok(Commit::Applied))
            }
            Request::History { epoch, after } => Answer::History(Ok(self.since(epoch, after))),
            Request::Missed { user, from, .. } => {
                let frames = self.inboxes.get(&user).cloned().unwrap_or_default();
                let history = Ok(self.since(from.epoch, from.version));
                Answer::Missed { history, inbox: Ok(Inbox { frames, lost: false }) }
            }
            Request::Recall => Answer::Recalled(None),
            Request::Wait(_) => Answer::Waited,
            Request::Leave => {
                self.subscribers.remove(&by);
                Answer::Left
            }
            Request::Alarm | Request::Repair { .. } => unreachable!("nothing here is unreadable"),
        }
    }

    /// Removes the signals that a member has received.
    pub fn take(&mut self, user: &UserId, inbox: &Inbox) {
        if let Some(kept) = self.inboxes.get_mut(user) {
            assert!(kept.starts_with(&inbox.frames), "what is taken is what was read");
            kept.drain(..inbox.frames.len());
        }
    }

    fn apply(&mut self, update: &Arc<Update>) {
        for change in &update.changes {
            self.room.apply(change, update.at);
            if let Change::Left { user, .. } = change {
                self.inboxes.remove(user);
            }
            if let Change::Rejoined { member, .. } = change {
                self.inboxes.remove(&member.user);
            }
        }
        if !self.room.exists() {
            // A closed room leaves its epoch behind.
            self.room.epoch = update.epoch;
            self.inboxes.clear();
        }
        self.story.push(Arc::clone(update));
        self.states.push(self.room.clone());
    }

    fn since(&self, epoch: u64, after: u64) -> Option<Vec<Arc<Update>>> {
        if epoch != self.room.epoch || after > self.room.version {
            return None;
        }
        if after == self.room.version {
            return Some(Vec::new());
        }
        let kept = &self.story[self.known.max(self.story.len().saturating_sub(KEPT))..];
        let known = kept.first().is_some_and(|first| first.epoch == epoch && first.base <= after);
        known.then(|| kept.iter().filter(|update| update.version() > after).cloned().collect())
    }

    /// The store loses its last updates, or everything. That cuts every link.
    pub fn forget(&mut self, updates: usize) {
        for _ in 0..updates {
            self.story.pop();
            self.states.pop();
        }
        self.room = match self.states.last() {
            Some(room) if updates < usize::from(u8::MAX) => room.clone(),
            _ => {
                self.story.clear();
                self.states.clear();
                self.inboxes.clear();
                Room::vacant(room_id())
            }
        };
        self.known = self.known.min(self.story.len());
        // A store that has just started has no subscribers.
        self.subscribers.clear();
    }

    /// Keeps a signal for a member that is away.
    pub fn keep(&mut self, to: &UserId, frame: Frame) -> bool {
        let away = self.room.members.get(to).is_some_and(|member| !member.present());
        if away {
            self.inboxes.entry(to.clone()).or_default().push(frame);
        }
        away
    }
}

/// The answer of a request that has timed out, if it can time out.
pub fn lost(answer: &Answer) -> Option<Answer> {
    let why = BackendError::Timeout;
    Some(match answer {
        Answer::Loaded(_) => Answer::Loaded(Err(why)),
        Answer::History(_) => Answer::History(Err(why)),
        Answer::Committed(_) => Answer::Committed(Err(why)),
        Answer::Restored(_) => Answer::Restored(Err(why)),
        Answer::Missed { .. } => Answer::Missed { history: Err(why.clone()), inbox: Err(why) },
        Answer::Alarmed(_) | Answer::Recalled(_) | Answer::Waited | Answer::Left => return None,
    })
}

/// The time at which a story begins.
pub const START: Millis = 1_700_000_000_000;
