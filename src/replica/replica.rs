use std::collections::{HashMap, VecDeque};

use super::{
    effect::{Class, Effect, Env},
    session::{PendingJoin, Session},
    sync::{RETRY, Sync, Why},
};
use crate::{
    clock::Millis,
    id::{ConnId, RoomId, UserId},
    protocol::{Close, Frame},
    room::{Command, IDLE_WATCHER, Policy, Room, StreamPosition, next_due},
};

/// How long a room is kept whose last member here has gone, though it has members elsewhere: the member may come back.
const LINGER: Millis = 1_000;

/// Where effects go: they are carried out in this order, before the room is unlocked.
pub type Out<'o, H> = &'o mut dyn FnMut(Effect<'_, H>);

/// A room as this node has it: a copy of the room itself, and the sessions of the members that are connected to this node.
///
/// What a [`super::Turn`] does in it, one at a time, and what comes from elsewhere meanwhile, both end here.
#[derive(Debug)]
pub struct Replica<H> {
    pub(super) room: Room,
    pub(super) sync: Sync,
    pub(super) sessions: HashMap<UserId, Session<H>>,
    /// Whom the turn in progress lets in.
    pub(super) joining: Option<PendingJoin<H>>,
    /// The version that this node last decided on, and when: that tells its own updates from others'.
    pub(super) proposed: Option<(u64, Millis)>,
    /// Members that are away and whose last connection was to this node.
    away: usize,
    /// Since when nobody here needs the room.
    unused_since: Option<Millis>,
    /// Whether [`Self::timeout`] may have changed.
    pub(super) touched: bool,
}

impl<H> Replica<H> {
    /// Nothing is known of the room yet.
    pub fn new(id: RoomId) -> Self {
        Self {
            room: Room::vacant(id),
            sync: Sync::Unloaded,
            sessions: HashMap::new(),
            joining: None,
            proposed: None,
            away: 0,
            unused_since: None,
            touched: false,
        }
    }

    /// The room, as far as this node knows it.
    pub fn room(&self) -> &Room {
        &self.room
    }

    /// How many members are connected to this node.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Members that are away, and whose last connection was to this node.
    pub fn away(&self) -> usize {
        self.away
    }

    /// Whether this node has let go of the room.
    pub fn is_retired(&self) -> bool {
        matches!(self.sync, Sync::Retired)
    }

    /// Whether the room was loaded, and not let go of.
    pub fn is_loaded(&self) -> bool {
        self.sync.is_loaded()
    }

    /// Why the room has to be loaded again, if it has to.
    pub fn resync(&self) -> Option<Why> {
        match self.sync {
            Sync::Resync { why, .. } => Some(why),
            _ => None,
        }
    }

    /// Whether the replica has come as far as this position.
    pub fn knows(&self, position: StreamPosition) -> bool {
        let is = self.room.position();
        self.room.exists() && is.epoch == position.epoch && is.version >= position.version
    }

    /// The session of `user`, if it is on this connection.
    pub(super) fn session(&mut self, user: &UserId, conn: ConnId) -> Option<&mut Session<H>> {
        self.sessions.get_mut(user).filter(|session| session.conn == conn)
    }

    /// What the driver knows a member's connection by.
    pub fn handle(&self, user: &UserId, conn: ConnId) -> Option<&H> {
        self.sessions.get(user).filter(|session| session.conn == conn).map(|session| &session.handle)
    }

    /// Updates may have been missed.
    pub fn stale(&mut self, now: Millis) {
        self.mark(Why::Told, now);
    }

    /// The room is not to be trusted: it is loaded again before anything else is decided in it, and soon.
    pub fn resync_soon(&mut self, why: Why, now: Millis) {
        self.mark(why, now + RETRY);
    }

    /// The turn in progress ends here, whatever it has done: its task panicked, or was dropped.
    pub fn abandon(&mut self, now: Millis) {
        self.joining = None;
        self.sync.failed(Why::Broken, now);
        self.touched = true;
    }

    /// A connection is gone: nothing more is meant for it. If shared state cannot be told now, the seat that is left there is found later.
    pub fn disconnect(&mut self, user: &UserId, conn: ConnId) {
        if self.session(user, conn).is_some() {
            self.sessions.remove(user);
            self.touched = true;
        }
    }

    /// A frame for one member. False if it is not connected to this node.
    pub fn signal(&mut self, to: &UserId, frame: &Frame, out: Out<'_, H>) -> bool {
        self.sessions.get_mut(to).map(|session| session.push(frame, Class::Direct, out)).is_some()
    }

    /// Sends each member that is connected here a frame of this node's own.
    pub fn send_each(&mut self, frame: impl Fn(&UserId) -> Frame, out: Out<'_, H>) {
        for (user, session) in &mut self.sessions {
            session.push(&frame(user), Class::Direct, out);
        }
    }

    pub(super) fn mark(&mut self, why: Why, at: Millis) {
        self.sync.mark(why, at);
        self.touched = true;
    }

    /// Whether the room is not needed here, and its end is not this node's to see to.
    pub(super) fn is_unused(&self, env: &Env<'_>) -> bool {
        let idle = self.sessions.is_empty()
            && self.joining.is_none()
            && matches!(self.sync, Sync::Live | Sync::Unloaded | Sync::Retired);
        // A node looks after a room as long as a member of it was last on this node.
        idle && (!self.room.exists() || !self.room.members.is_empty() && !self.is_home(env))
    }

    fn is_home(&self, env: &Env<'_>) -> bool {
        self.room.members.values().any(|member| member.node == *env.node)
    }

    pub(super) fn count_away(&mut self, env: &Env<'_>) {
        let members = self.room.members.values();
        self.away = members.filter(|member| !member.present() && member.node == *env.node).count();
    }

    /// What ends the seats of members that are said to be connected to this node, but are not.
    pub(super) fn ghosts(&self, env: &Env<'_>) -> VecDeque<Command> {
        let members = self.room.members.values();
        let ghosts = members.filter(|member| {
            let here = self.sessions.get(&member.user).is_some_and(|session| session.conn == member.conn);
            member.node == *env.node && member.present() && !here
        });
        let gone = ghosts.map(|member| Command::Disconnect {
            user: member.user.clone(),
            conn: member.conn,
            keep_seat: member.token.is_some(),
        });
        gone.collect()
    }

    /// It was decided whether a member that was given up wrongly has a seat again.
    pub(super) fn reattached(&mut self, user: &UserId, conn: ConnId, out: Out<'_, H>) {
        let sits = self.room.members.get(user).is_some_and(|member| member.conn == conn && member.present());
        let Some(session) = self.session(user, conn) else { return };
        if sits {
            session.reattach();
        } else if let Some(session) = self.sessions.remove(user) {
            // Its place is gone: it has to ask for one again.
            out(Effect::Close { to: &session.handle, why: Close::SeatLost });
            self.touched = true;
        }
    }

    /// Whether anything has happened since the last time that may have changed [`Self::timeout`].
    pub fn take_touched(&mut self) -> bool {
        std::mem::take(&mut self.touched)
    }

    /// When the room has something to do by itself: it wants a [`super::Job::Tick`] then.
    pub fn timeout(&mut self, env: &Env<'_>) -> Option<Millis> {
        if self.is_retired() {
            return None;
        }
        self.unused_since = self.is_unused(env).then(|| self.unused_since.unwrap_or(env.now));
        let due = next_due(&self.room, env.policy);
        let watcher = self.sessions.values().filter_map(|session| session.reported).min().map(|at| at + IDLE_WATCHER);
        let unused = self.unused_since.map(|since| since + LINGER);
        [due, watcher, self.sync.resync_at(), unused].into_iter().flatten().min()
    }

    /// When the room itself has something to do.
    pub fn next_due(&self, policy: &Policy) -> Option<Millis> {
        next_due(&self.room, policy)
    }
}
