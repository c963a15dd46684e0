//! Reports and requests of connected members that need no turn: they change no room, or only check whether they would.

use std::collections::VecDeque;

use super::{
    effect::{Class, Env},
    replica::{Out, Replica},
};
use crate::{
    clock::Millis,
    id::{ConnId, NodeId, SERVER, UserId},
    protocol::{Announcement, BannedUser, Frame, RoomFrame, ServerFrame, Stamp, encode},
    room::{Action, Command, IDLE_WATCHER, Refusal, Right, decide},
};

/// The destination of a frame for one member.
#[derive(Debug, PartialEq, Eq)]
pub enum Route {
    /// The member is connected to this node, and got the frame.
    Here,
    /// The member was last connected to that node; `None`: it is away.
    Elsewhere(Option<NodeId>),
    /// The member is not in the room.
    Nobody,
}

impl<H> Replica<H> {
    /// The host sent a heartbeat.
    pub fn heartbeat(&mut self, user: &UserId, conn: ConnId, now: Millis) {
        if let Some(session) = self.session(user, conn) {
            session.nudge.heard(now);
        }
    }

    /// Handles the position of a member's player. Returns the actions that follow, which are few: the room needs little of it.
    pub fn report(
        &mut self,
        user: &UserId,
        conn: ConnId,
        (position, playing): (f64, bool),
        env: &Env<'_>,
        out: Out<'_, H>,
    ) -> Result<Vec<Action>, Refusal> {
        let Self { room, sessions, .. } = self;
        let session = sessions.get_mut(user).filter(|session| session.conn == conn).ok_or(Refusal::NotJoined)?;
        session.reported = Some(env.now);
        let host = room.is_host(user);
        if host && session.generation.needs_reminding() && session.nudge.is_due(env.now) {
            let what = Announcement::HostChanged { host_user_id: user };
            let stamp = Stamp { epoch: room.epoch, version: room.version, timestamp: env.now };
            session.push(&encode(&ServerFrame::Room(RoomFrame { what, stamp })), Class::Direct, out);
        }
        let mut actions = Vec::new();
        if room.members.get(user).is_some_and(|member| !member.watching) {
            actions.push(Action::Watching { watching: true });
        }
        if host {
            // Only if it would change the room.
            let action = Action::Report { position, playing };
            let command = Command::Act { user: user.clone(), conn, action: action.clone() };
            if decide(room, &command, env.policy, env.now).is_ok_and(|draft| !draft.changes.is_empty()) {
                actions.push(action);
            }
        }
        Ok(actions)
    }

    /// The SYNC_RESPONSE for a member.
    pub fn sync(&self, user: &UserId, conn: ConnId, respect_auto_play: bool, now: Millis) -> Result<Frame, Refusal> {
        self.handle(user, conn).ok_or(Refusal::NotJoined)?;
        let room = &self.room;
        Ok(encode(&ServerFrame::SyncResponse {
            from_user_id: SERVER,
            current_time: room.timeline.position_at(now),
            is_playing: room.timeline.playing,
            url: room.url_shown_to(user),
            respect_auto_play,
            timeline: (&room.timeline).into(),
            timestamp: now,
        }))
    }

    /// The BANS for the host or a co-host.
    pub fn bans(&self, user: &UserId, conn: ConnId) -> Result<Frame, Refusal> {
        self.handle(user, conn).ok_or(Refusal::NotJoined)?;
        if !self.room.moderates(user) {
            return Err(Refusal::Forbidden);
        }
        let bans = self.room.bans.values().rev().map(BannedUser::from).collect();
        Ok(encode(&ServerFrame::Bans { bans }))
    }

    /// A frame from one member to another, for which the sender needs a right.
    pub fn direct(
        &mut self,
        (user, conn): (&UserId, ConnId),
        right: Right,
        to: &UserId,
        frame: &Frame,
        out: Out<'_, H>,
    ) -> Result<Route, Refusal> {
        self.handle(user, conn).ok_or(Refusal::NotJoined)?;
        if !self.room.allows(user, right) {
            return Err(Refusal::Forbidden);
        }
        if self.signal(to, frame, out) {
            return Ok(Route::Here);
        }
        let member = self.room.members.get(to);
        Ok(member.map_or(Route::Nobody, |member| Route::Elsewhere(member.present().then(|| member.node.clone()))))
    }

    /// The members that have not reported their position for a while.
    pub(super) fn idle_watchers(&self, now: Millis) -> VecDeque<(UserId, ConnId)> {
        let stale = |at: Millis| now.saturating_sub(at) >= IDLE_WATCHER;
        let idle = self.sessions.iter().filter(|(_, session)| session.reported.is_some_and(stale));
        idle.map(|(user, session)| (user.clone(), session.conn)).collect()
    }
}
