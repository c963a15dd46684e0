use std::collections::{HashMap, VecDeque};

use super::{
    displaced::Displaced,
    effect::{Class, Effect, Env},
    follow::start_over,
    session::{PendingJoin, Session},
    sync::{RETRY, Sync, Why},
};
use crate::{
    clock::Millis,
    id::{ConnId, RoomId, UserId},
    protocol::{Close, Frame},
    room::{Command, IDLE_WATCHER, Member, Policy, Room, StreamPosition, next_due},
};

/// How long a room without members on this node is kept, though it has members elsewhere: a member may come back.
const LINGER: Millis = 1_000;
/// How long a node waits, in ms, for another one to run what is due. If all nodes of a room did so at once, all but one would conflict.
const AFTER_YOU: Millis = 500;

/// The list of effects, which are carried out in this order before the room is unlocked.
pub type Out<'o, H> = &'o mut dyn FnMut(Effect<'_, H>);

/// A room on this node: a copy of the room, and the sessions of the members that are connected to this node.
///
/// Both turns ([`super::Turn`], one at a time) and events from elsewhere change it.
#[derive(Debug)]
pub struct Replica<H> {
    pub(super) room: Room,
    pub(super) sync: Sync,
    /// Each on the heap, because most of a table is empty.
    pub(super) sessions: HashMap<UserId, Box<Session<H>>>,
    /// The open connections to this node whose seat another connection of the same user has taken: rarely any.
    pub(super) displaced: Option<Box<Displaced<H>>>,
    /// The connection that the current turn admits. On the heap, because a room at rest has none.
    pub(super) joining: Option<Box<PendingJoin<H>>>,
    /// The version that this node last decided on, and when, or zeros: this distinguishes its own updates from those of others.
    pub(super) proposed: (u64, Millis),
    /// The members that are away and whose last connection was to this node.
    away: usize,
    /// Since when the room is not needed on this node.
    unused_since: Option<Millis>,
    /// When the room was last loaded or changed.
    pub(super) changed: Millis,
    /// Whether seats without a connection were kept because of [`Env::returning`].
    pub(super) keeps_ghosts: bool,
    /// Whether [`Self::timeout`] may have changed.
    pub(super) touched: bool,
}

impl<H> Replica<H> {
    /// A replica that is not loaded yet.
    pub fn new(id: RoomId) -> Self {
        Self {
            room: Room::vacant(id),
            sync: Sync::Unloaded,
            sessions: HashMap::new(),
            displaced: None,
            joining: None,
            proposed: (0, 0),
            away: 0,
            unused_since: None,
            changed: 0,
            keeps_ghosts: false,
            touched: false,
        }
    }

    /// The room as this node knows it.
    pub fn room(&self) -> &Room {
        &self.room
    }

    /// The number of members that are connected to this node.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// The number of members that are away, and whose last connection was to this node.
    pub fn away(&self) -> usize {
        self.away
    }

    /// Whether seats of this node without a connection were kept, for clients that come back.
    pub fn keeps_ghosts(&self) -> bool {
        self.keeps_ghosts
    }

    /// Whether the replica is retired.
    pub fn is_retired(&self) -> bool {
        matches!(self.sync, Sync::Retired)
    }

    /// Whether the room was loaded, and is not retired.
    pub fn is_loaded(&self) -> bool {
        self.sync.is_loaded()
    }

    /// The reason for which the room must be loaded again, if any.
    pub fn resync(&self) -> Option<Why> {
        match self.sync {
            Sync::Resync { why, .. } => Some(why),
            _ => None,
        }
    }

    /// Whether the replica has reached this position.
    pub fn knows(&self, position: StreamPosition) -> bool {
        let is = self.room.position();
        self.room.exists() && is.epoch == position.epoch && is.version >= position.version
    }

    /// The session of `user`, if it is on this connection.
    pub(super) fn session(&mut self, user: &UserId, conn: ConnId) -> Option<&mut Session<H>> {
        self.sessions.get_mut(user).map(Box::as_mut).filter(|session| session.conn == conn)
    }

    /// The driver's handle of a member's connection.
    pub fn handle(&self, user: &UserId, conn: ConnId) -> Option<&H> {
        self.sessions.get(user).filter(|session| session.conn == conn).map(|session| &session.handle)
    }

    /// Records that updates may have been missed.
    pub fn stale(&mut self, now: Millis) {
        self.mark(Why::Told, now);
    }

    /// Has the room loaded again soon, and before anything else is decided in it.
    pub fn resync_soon(&mut self, why: Why, now: Millis) {
        self.mark(why, now + RETRY);
    }

    /// Ends the current turn early, because its task panicked or was dropped.
    pub fn abandon(&mut self, now: Millis) {
        self.joining = None;
        self.sync.failed(Why::Broken, now);
        self.touched = true;
    }

    /// Removes a connection. If shared state cannot be updated now, the next load finds the seat that is left.
    pub fn disconnect(&mut self, user: &UserId, conn: ConnId) {
        if self.session(user, conn).is_some() {
            self.sessions.remove(user);
            self.touched = true;
        } else if self.take_displaced(user, |it| it == conn).is_some() {
            self.touched = true;
        }
    }

    /// Sends a frame to one member. False if it is not connected to this node.
    pub fn signal(&mut self, to: &UserId, frame: &Frame, out: Out<'_, H>) -> bool {
        self.sessions.get_mut(to).map(|session| session.push(frame, Class::Direct, out)).is_some()
    }

    /// Frames for a member were left out, because it reads too slowly: it gets DISCONTINUITY and ROOM_STATE.
    pub fn left_out(&mut self, user: &UserId, conn: ConnId, env: &Env<'_>, out: Out<'_, H>) {
        let Self { room, sessions, .. } = self;
        if let Some(session) = sessions.get_mut(user).filter(|session| session.conn == conn) {
            start_over(session, room, user, "too_slow", env, out);
        }
    }

    /// Sends each connected member a frame of this node.
    pub fn send_each(&mut self, frame: impl Fn(&UserId) -> Frame, out: Out<'_, H>) {
        for (user, session) in &mut self.sessions {
            session.push(&frame(user), Class::Direct, out);
        }
    }

    pub(super) fn mark(&mut self, why: Why, at: Millis) {
        self.sync.mark(why, at);
        self.touched = true;
    }

    /// Whether the room is not needed here, and another node is responsible for its end.
    pub(super) fn is_unused(&self, env: &Env<'_>) -> bool {
        let idle = self.sessions.is_empty()
            && self.displaced.is_none()
            && self.joining.is_none()
            && matches!(self.sync, Sync::Live | Sync::Unloaded | Sync::Retired);
        // A node keeps a room as long as a member of it was last on this node.
        idle && (!self.room.exists() || !self.room.members.is_empty() && !self.is_home(env))
    }

    fn is_home(&self, env: &Env<'_>) -> bool {
        self.room.members.values().any(|member| member.node == *env.node)
    }

    /// Whether this node is the one that runs what is due: that of the first member who is there. Others follow soon, as it may be dead.
    fn is_first(&self, env: &Env<'_>) -> bool {
        let first = self.room.members.values().min_by_key(|member| (!member.present(), member.order));
        first.is_none_or(|member| member.node == *env.node)
    }

    pub(super) fn count_away(&mut self, env: &Env<'_>) {
        let members = self.room.members.values();
        self.away = members.filter(|member| !member.present() && member.node == *env.node).count();
    }

    /// The commands that release seats on this node without a connection.
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

    /// A member that is to be reattached, as it was.
    pub(super) fn evicted(&self) -> Option<&Member> {
        self.sessions.values().find_map(|session| session.evicted()).or_else(|| self.reclaimed())
    }

    /// Handles the outcome of reattaching a member.
    pub(super) fn reattached(&mut self, user: &UserId, conn: ConnId, out: Out<'_, H>) {
        let sits = self.room.members.get(user).is_some_and(|member| member.conn == conn && member.present());
        // If it is displaced still, yet another connection was faster, or the room is full.
        self.withdraw(user);
        let Some(session) = self.session(user, conn) else { return };
        if sits {
            session.reattach();
        } else if let Some(session) = self.sessions.remove(user) {
            // The seat is lost: the client has to join again.
            out(Effect::Close { to: &session.handle, why: Close::SeatLost });
            self.touched = true;
        }
    }

    /// Whether [`Self::timeout`] may have changed since the last call.
    pub fn take_touched(&mut self) -> bool {
        std::mem::take(&mut self.touched)
    }

    /// When the room needs a [`super::Job::Tick`].
    #[inline]
    pub fn timeout(&mut self, env: &Env<'_>) -> Option<Millis> {
        if self.is_retired() {
            return None;
        }
        self.unused_since = self.is_unused(env).then(|| self.unused_since.unwrap_or(env.now));
        let in_turn = |at: Millis| if self.is_first(env) { at } else { at.max(self.changed) + AFTER_YOU };
        let due = next_due(&self.room, env.policy).map(in_turn);
        let watcher = self.sessions.values().filter_map(|session| session.reported).min().map(|at| at + IDLE_WATCHER);
        let unused = self.unused_since.map(|since| since + LINGER);
        [due, watcher, self.sync.resync_at(), unused].into_iter().flatten().min()
    }

    /// When the room itself is due.
    pub fn next_due(&self, policy: &Policy) -> Option<Millis> {
        next_due(&self.room, policy)
    }
}
