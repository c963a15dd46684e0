//! Applies updates to the replica, and announces them to the members that are connected to this node.

use std::{collections::HashMap, sync::Arc};

use super::{
    effect::{Class, Effect, Env, Gap, Source},
    replica::{Out, Replica},
    session::{PendingJoin, Session},
    sync::Why,
};
use crate::{
    id::{ConnId, UserId},
    protocol::{Close, Frame, Generation, RoomState, RoomStateParts, ServerFrame, Stamp, announce, encode},
    room::{Change, LeftReason, Member, Presence, Room, Update},
};

impl<H> Replica<H> {
    /// Handles an update from shared state. If this node committed it, the answer to the commit may have come before.
    pub fn update(&mut self, update: &Arc<Update>, env: &Env<'_>, out: Out<'_, H>) {
        // Before the room is loaded, or after it was retired, updates are from an earlier subscription.
        if !self.is_loaded() {
            return;
        }
        match self.sync.buffer(update) {
            None => {}
            Some(true) => return,
            Some(false) => {
                self.touched = true;
                return out(Effect::Gap(Gap::Noticed));
            }
        }
        let own = self.proposed == (update.base, update.at);
        self.accept(update, if own { Source::Own } else { Source::Remote }, env, out);
    }

    /// Applies an update; if one before it is missing, the room is loaded again.
    pub(super) fn accept(&mut self, update: &Update, from: Source, env: &Env<'_>, out: Out<'_, H>) {
        if !self.apply(update, from, env, out) {
            out(Effect::Gap(Gap::Noticed));
            self.mark(Why::Gap, env.now);
        }
    }

    /// Applies an update. False if one before it is missing.
    pub(super) fn apply(&mut self, update: &Update, from: Source, env: &Env<'_>, out: Out<'_, H>) -> bool {
        let ended = !self.room.exists() && update.changes.last() == Some(&Change::Closed);
        if ended || self.knows(update.position()) {
            return true;
        }
        let follows = update.base == self.room.version && (!self.room.exists() || update.epoch == self.room.epoch);
        if !follows {
            return false;
        }
        self.touched = true;
        self.changed = env.now;
        for (version, change) in (update.base + 1..).zip(&update.changes) {
            self.dispute(change, env);
            self.release(change, env, out);
            self.room.apply(change, update.at);
            self.seat(change, env, out);
            self.tell(change, Stamp { epoch: update.epoch, version, timestamp: update.at }, out);
            self.unseat(change, out);
        }
        if update.changes.iter().any(moves) {
            self.count_away(env);
        }
        out(Effect::Applied { update, from });
        true
    }

    /// This node removes a session before the departure of its member is decided. A departure of a member that still has a session was
    /// therefore decided by another node, wrongly.
    fn dispute(&mut self, change: &Change, env: &Env<'_>) {
        let (Change::Away { user, .. }
        | Change::Left { user, reason: LeftReason::Disconnected | LeftReason::Expired, .. }) = change
        else {
            return;
        };
        let Some(member) = self.room.members.get(user) else { return };
        if let Some(session) = self.sessions.get_mut(user).filter(|session| session.conn == member.conn) {
            session.evict(member.clone());
            self.mark(Why::WrongEviction, env.now);
        }
    }

    /// Gives a new member on this node its session and its ROOM_STATE.
    fn seat(&mut self, change: &Change, env: &Env<'_>, out: Out<'_, H>) {
        let (Change::Joined { member, .. } | Change::Rejoined { member, .. } | Change::Back { member, .. }) = change
        else {
            return;
        };
        if let Some(join) = self.joining.take_if(|join| join.conn == member.conn) {
            self.open_session(*join, member, env, out);
            return;
        }
        self.withdraw(&member.user);
        if let Some(mut session) = self.take_displaced(&member.user, |conn| conn == member.conn) {
            start_over(&mut session, &self.room, &member.user, "history_gone", env, out);
            let before = self.sessions.insert(member.user.clone(), session);
            return self.displace(&member.user, before);
        }
        let Some(session) = self.sessions.get_mut(&member.user).filter(|session| session.conn == member.conn) else {
            // The seat belongs to a connection that is not joining here.
            let session = self.sessions.remove(&member.user);
            self.displace(&member.user, session);
            if member.node == *env.node {
                // That connection has given up waiting for the answer.
                self.mark(Why::Ghost, env.now);
            }
            return;
        };
        session.reattach();
        if matches!(change, Change::Joined { .. }) {
            // The connection has lost its place meanwhile, and has another one.
            start_over(session, &self.room, &member.user, "history_gone", env, out);
        }
    }

    fn open_session(&mut self, join: PendingJoin<H>, member: &Member, env: &Env<'_>, out: Out<'_, H>) {
        let snapshot = join.missed.is_none().then(|| {
            let token = join.token.as_deref();
            whole(&self.room, join.conn, join.features, token, &member.user, env)
        });
        let mut session = Session::new(join, member.watching, self.room.version, env.now);
        if let Some(snapshot) = snapshot {
            session.push(&snapshot, Class::Direct, out);
        }
        self.take_displaced(&member.user, |_| true);
        let before = self.sessions.insert(member.user.clone(), Box::new(session));
        self.displace(&member.user, before.filter(|before| before.conn != member.conn));
    }

    fn tell(&mut self, change: &Change, stamp: Stamp, out: Out<'_, H>) {
        // A member that was wrongly evicted has not left.
        let spared = match change {
            Change::Left { user, .. } if self.is_disputed(user) => Some(user),
            _ => None,
        };
        let sessions = &mut self.sessions;
        announce(change, stamp, |audience, frame| {
            send(sessions, &frame, |user, _| Some(user) != spared && audience.includes(user), out);
        });
        for generation in Generation::ALL {
            let Some((only, frame)) = generation.also_told(change) else { continue };
            let meant = |user: &UserId| Some(user) != spared && only.is_none_or(|only| only == user);
            send(sessions, &frame, |user, session| session.generation == generation && meant(user), out);
        }
    }

    fn is_disputed(&self, user: &UserId) -> bool {
        self.sessions.get(user).is_some_and(|session| session.evicted().is_some())
    }

    fn unseat(&mut self, change: &Change, out: Out<'_, H>) {
        match change {
            Change::Left { user, reason, .. } if !self.is_disputed(user) => {
                if let Some(session) = self.sessions.remove(user).filter(|_| reason.is_removal()) {
                    out(Effect::Close { to: &session.handle, why: Close::Kicked });
                }
            }
            Change::Closed => self.sessions.clear(),
            _ => {}
        }
    }

    /// Replaces the replica. Connected members get DISCONTINUITY and ROOM_STATE.
    pub(super) fn replace(&mut self, fresh: Room, reason: &'static str, env: &Env<'_>, out: Out<'_, H>) {
        let old = std::mem::replace(&mut self.room, fresh);
        let room = &self.room;
        // A different room with the same id and another PIN is not theirs to return to.
        let same = room.exists() && (room.born() == old.born() || room.pin == old.pin);
        let reborn = room.epoch != old.epoch;
        let elsewhere = |user: &UserId, conn| room.members.get(user).is_some_and(|member| member.conn != conn);
        let lost: Vec<_> = self.sessions.extract_if(|user, session| elsewhere(user, session.conn)).collect();
        self.sessions.retain(|user, session| match room.members.get(user) {
            Some(member) if member.present() => {
                session.reattach();
                true
            }
            _ => match old.members.get(user).filter(|member| member.conn == session.conn) {
                Some(member) if same => {
                    session.evict(member.clone());
                    true
                }
                _ => {
                    out(Effect::Close { to: &session.handle, why: Close::SeatLost });
                    false
                }
            },
        });
        for (user, session) in lost {
            // A restored room may be older than the replica: then the other connection is an earlier one, and this one would not be told.
            if reborn {
                out(Effect::Close { to: &session.handle, why: Close::SeatLost });
            } else {
                self.displace(&user, Some(session));
            }
        }
        if same {
            self.offer_free(&old, env, out);
        }
        let room = &self.room;
        for (user, session) in &mut self.sessions {
            start_over(session, room, user, reason, env, out);
        }
        self.touched = true;
        self.count_away(env);
    }
}

/// Encodes a frame once, and only if a member on this node gets it.
#[inline]
fn send<H>(
    sessions: &mut HashMap<UserId, Box<Session<H>>>,
    frame: &ServerFrame<'_>,
    is_for: impl Fn(&UserId, &Session<H>) -> bool,
    out: Out<'_, H>,
) {
    let mut written: Option<Frame> = None;
    for (_, session) in sessions.iter_mut().filter(|(user, session)| is_for(user, session)) {
        session.push(written.get_or_insert_with(|| encode(frame)), Class::Room, out);
    }
}

/// Whether the change affects who is present or away.
fn moves(change: &Change) -> bool {
    matches!(
        change,
        Change::Joined { .. }
            | Change::Rejoined { .. }
            | Change::Back { .. }
            | Change::Away { .. }
            | Change::Left { .. }
            | Change::Closed
    )
}

/// The session cannot continue from the frames that it got so far.
pub(super) fn start_over<H>(
    session: &mut Session<H>,
    room: &Room,
    user: &UserId,
    reason: &'static str,
    env: &Env<'_>,
    out: Out<'_, H>,
) {
    session.push(&encode(&ServerFrame::Discontinuity { reason }), Class::Direct, out);
    let state = match session.evicted().and_then(|_| room.members.get(user)).filter(|member| !member.present()) {
        // The member is about to be reattached, and gets no frame about its own return.
        Some(member) => {
            let mut shown = room.clone();
            let back = Member { presence: Presence::Present, ..member.clone() };
            Arc::make_mut(&mut shown.members).insert(user.clone(), back);
            whole(&shown, session.conn, session.features, None, user, env)
        }
        None => whole(room, session.conn, session.features, None, user, env),
    };
    session.push(&state, Class::Direct, out);
}

/// ROOM_STATE for `user`.
pub(super) fn whole(
    room: &Room,
    session: ConnId,
    features: &[&'static str],
    resume_token: Option<&str>,
    user: &UserId,
    env: &Env<'_>,
) -> Frame {
    let parts = RoomStateParts {
        node: env.node,
        session,
        features,
        resume_token,
        ping_interval: env.ping_interval,
        ice_servers: &(env.ice)(user),
        now: env.now,
    };
    encode(&ServerFrame::RoomState(RoomState::new(room, &parts)))
}
