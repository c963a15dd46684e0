//! What a member that is connected to this node says and asks without a turn: it changes no room, or it is only seen whether it would.

use std::collections::VecDeque;

use super::{
    effect::{Class, Env},
    replica::{Out, Replica},
};
use crate::{
    clock::Millis,
    id::{ConnId, NodeId, SERVER, UserId},
    protocol::{Announcement, Frame, RoomFrame, ServerFrame, Stamp, encode},
    room::{Action, Command, IDLE_WATCHER, Refusal, decide},
};

/// Where a frame for one member goes.
#[derive(Debug, PartialEq, Eq)]
pub enum Route {
    /// It is connected to this node, and has the frame.
    Here,
    /// It was last connected to that node; none: it is away.
    Elsewhere(Option<NodeId>),
    /// There is no such member.
    Nobody,
}

impl<H> Replica<H> {
    /// The host sent a heartbeat.
    pub fn heartbeat(&mut self, user: &UserId, conn: ConnId, now: Millis) {
        if let Some(session) = self.session(user, conn) {
            session.nudge.heard(now);
        }
    }

    /// A member says where its player is. The actions that follow: what the room needs to know of that is little, and seldom.
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
            // Only what the room would take as news.
            let action = Action::Report { position, playing };
            let command = Command::Act { user: user.clone(), conn, action: action.clone() };
            if decide(room, &command, env.policy, env.now).is_ok_and(|draft| !draft.changes.is_empty()) {
                actions.push(action);
            }
        }
        Ok(actions)
    }

    /// SYNC_RESPONSE for a member.
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

    /// A frame from one member to another.
    pub fn direct(
        &mut self,
        (user, conn): (&UserId, ConnId),
        to: &UserId,
        frame: &Frame,
        out: Out<'_, H>,
    ) -> Result<Route, Refusal> {
        self.handle(user, conn).ok_or(Refusal::NotJoined)?;
        if self.signal(to, frame, out) {
            return Ok(Route::Here);
        }
        let member = self.room.members.get(to);
        Ok(member.map_or(Route::Nobody, |member| Route::Elsewhere(member.present().then(|| member.node.clone()))))
    }

    /// Members that have not reported their position for a while.
    pub(super) fn idle_watchers(&self, now: Millis) -> VecDeque<(UserId, ConnId)> {
        let stale = |at: Millis| now.saturating_sub(at) >= IDLE_WATCHER;
        let idle = self.sessions.iter().filter(|(_, session)| session.reported.is_some_and(stale));
        idle.map(|(user, session)| (user.clone(), session.conn)).collect()
    }
}
