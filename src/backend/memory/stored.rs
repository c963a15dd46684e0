use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use crate::{
    clock::Millis,
    id::{NodeId, UserId},
    protocol::Frame,
    room::{Change, Member, Room, Update},
};

/// How long updates are remembered for those that resume. Longer than any sensible resume window.
const HISTORY_AGE: Millis = 120_000;
/// And how many of a room at most.
const HISTORY_UPDATES: usize = 512;
/// And their bytes, roughly.
const HISTORY_BYTES: usize = 512 * 1024;
/// Frames that are kept for one member that is away: several peers' worth of offers and candidates.
const INBOX_FRAMES: usize = 256;
/// And their bytes.
const INBOX_BYTES: usize = 128 * 1024;

/// A room, and what is kept around it.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) room: Room,
    pub(super) subscribers: Vec<NodeId>,
    /// Nobody will find this one any more.
    pub(super) dropped: bool,
    history: VecDeque<Arc<Update>>,
    history_bytes: usize,
    inboxes: HashMap<UserId, VecDeque<Frame>>,
    /// Whether a member has a token: only those can ask for what they missed.
    resumable: bool,
}

impl Stored {
    pub(super) fn new(room: Room) -> Self {
        Self {
            resumable: resumable(&room),
            room,
            subscribers: Vec::new(),
            dropped: false,
            history: VecDeque::new(),
            history_bytes: 0,
            inboxes: HashMap::new(),
        }
    }

    pub(super) fn subscribe(&mut self, node: &NodeId) {
        if !self.subscribers.contains(node) {
            self.subscribers.push(node.clone());
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        !self.room.exists() && self.subscribers.is_empty()
    }

    pub(super) fn apply(&mut self, update: &Arc<Update>) {
        for change in &update.changes {
            self.room.apply(change, update.at);
            // Who comes in anew negotiates anew.
            if let Change::Left { user, .. } | Change::Rejoined { member: Member { user, .. }, .. } = change {
                self.inboxes.remove(user);
            }
        }
        if !self.room.exists() {
            self.forget();
            self.inboxes.clear();
            return;
        }
        // Most updates leave the seats alone, and then members need not be looked at.
        if update.changes.iter().any(|change| change.seat().is_some()) {
            self.resumable = resumable(&self.room);
        }
        if self.resumable {
            let old = |kept: &Arc<Update>| update.at.saturating_sub(kept.at) > HISTORY_AGE;
            self.history_bytes += update.weight();
            self.history.push_back(Arc::clone(update));
            while self.history.front().is_some_and(old)
                || self.history.len() > HISTORY_UPDATES
                || self.history_bytes > HISTORY_BYTES
            {
                let gone = self.history.pop_front().map_or(0, |update| update.weight());
                self.history_bytes = self.history_bytes.saturating_sub(gone);
            }
        } else {
            self.forget();
        }
    }

    /// Another room in place of this one: nothing that led to it is known.
    pub(super) fn replace(&mut self, room: Room) {
        self.room = room;
        self.resumable = resumable(&self.room);
        self.forget();
        self.inboxes.clear();
    }

    fn forget(&mut self) {
        self.history = VecDeque::new();
        self.history_bytes = 0;
    }

    pub(super) fn since(&self, epoch: u64, after: u64) -> Option<Vec<Arc<Update>>> {
        if epoch != self.room.epoch || after > self.room.version {
            return None;
        }
        if after == self.room.version {
            return Some(Vec::new());
        }
        let known = self.history.front().is_some_and(|first| first.base <= after);
        known.then(|| self.history.iter().filter(|update| update.version() > after).cloned().collect())
    }

    /// The newest frames win: older ones belong to a negotiation that has moved on.
    pub(super) fn keep(&mut self, user: &UserId, frame: Frame) {
        let inbox = self.inboxes.entry(user.clone()).or_default();
        inbox.push_back(frame);
        while inbox.len() > INBOX_FRAMES || inbox.iter().map(|frame| frame.len()).sum::<usize>() > INBOX_BYTES {
            inbox.pop_front();
        }
    }

    pub(super) fn take_inbox(&mut self, user: &UserId) -> Vec<Frame> {
        self.inboxes.remove(user).map(Vec::from).unwrap_or_default()
    }
}

fn resumable(room: &Room) -> bool {
    room.members.values().any(|member| member.token.is_some())
}
