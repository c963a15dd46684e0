//! Replays missed updates and signals to a resuming member.

use std::sync::Arc;

use super::{
    effect::{Class, Effect, Env, History, Loss, Request, Resumed},
    follow::whole,
    replica::{Out, Replica},
    session::Replay,
    turn::{Stage, Step, Turn},
};
use crate::{
    backend::{BackendError, Inbox},
    id::{ConnId, RoomId, UserId},
    protocol::{Frame, ServerFrame, Stamp, announce, encode},
    room::{Change, StreamPosition, Update},
};

impl<H> Turn<'_, H> {
    pub(super) fn ask_for_missed(&mut self, from: StreamPosition, version: u64, again: bool) -> Step {
        match self.job.entrant() {
            Some((user, _)) => {
                let request = Request::Missed { user: user.clone(), from, patient: again };
                self.request(Stage::Missing { from, version, asked_again: again }, request)
            }
            None => Step::Done(Ok(version)),
        }
    }

    /// Handles the answer with the missed updates and signals.
    pub(super) fn hand_over(
        &mut self,
        version: u64,
        history: Result<History, BackendError>,
        inbox: Result<Inbox, BackendError>,
        replica: &mut Replica<H>,
        env: &Env<'_>,
        out: Out<'_, H>,
    ) -> Step {
        let inbox = inbox.ok();
        let Some((user, conn)) = self.job.entrant() else { return self.finish(Ok(version), replica, env) };
        // If the session has ended meanwhile, the inbox is kept.
        let told = replica.tell_missed(user, conn, history, inbox.as_ref(), env, out);
        if let Some(inbox) = inbox.filter(|inbox| told && (inbox.lost || !inbox.frames.is_empty()))
            && let Some(to) = replica.handle(user, conn)
        {
            out(Effect::InboxSent { to, user, inbox });
        }
        self.finish(Ok(version), replica, env)
    }
}

impl<H> Replica<H> {
    /// Sends RESUMED and the missed frames, or DISCONTINUITY and ROOM_STATE; then the inbox, and the buffered frames. False if the session
    /// has ended.
    fn tell_missed(
        &mut self,
        user: &UserId,
        conn: ConnId,
        history: Result<History, BackendError>,
        inbox: Option<&Inbox>,
        env: &Env<'_>,
        out: Out<'_, H>,
    ) -> bool {
        let Self { room, sessions, .. } = self;
        let Some(session) = sessions.get_mut(user).filter(|session| session.conn == conn) else { return false };
        let Some(replay) = session.end_replay() else { return false };
        let Replay { from, since: version, token, budget, frames: mut waited, lost: lost_waiting, .. } = *replay;
        let unknown = history.is_err() || inbox.is_none();
        let signals = inbox.map(|inbox| inbox.frames.as_slice()).unwrap_or_default();
        // A replay that fills the outbox would only close the connection again.
        let space = budget / 2;
        let complete = !unknown && lost_waiting.is_none() && inbox.is_some_and(|inbox| !inbox.lost);
        let fits = |frames: &Vec<Frame>| complete && bytes(frames) + bytes(signals) <= space;
        let frames = history.ok().flatten().map(|updates| frames_for(user, &updates, from.version, version));
        let mut first = 0;
        let mut told = Vec::new();
        if let Some(frames) = frames.filter(fits) {
            told.push(encode(&ServerFrame::Resumed {
                version,
                epoch: from.epoch,
                replayed: frames.len(),
                resume_token: token.as_deref().unwrap_or_default(),
                session: conn,
                server_time: env.now,
                ice_servers: &(env.ice)(user),
            }));
            told.extend(frames);
            out(Effect::Resumed(Resumed::Replayed));
        } else {
            let reason = match room.epoch == from.epoch {
                _ if unknown => "history_unavailable",
                true => "history_gone",
                false => "epoch_changed",
            };
            told.push(encode(&ServerFrame::Discontinuity { reason }));
            told.push(whole(room, conn, session.features, token.as_deref(), user, env));
            // The snapshot includes these.
            waited.retain(|(_, class)| *class == Class::Direct);
            out(Effect::Resumed(Resumed::Snapshot));
            // The newest signals are delivered; older ones belong to a finished negotiation.
            let mut left = bytes(signals);
            while left > space {
                left -= signals.get(first).map_or(left, |frame| frame.len());
                first += 1;
            }
            lost(first as u64, Loss::Outbox, &room.id, user, out);
        }
        lost(lost_waiting.unwrap_or_default(), Loss::Replay, &room.id, user, out);
        told.extend(signals.iter().skip(first).cloned());
        for frame in &told {
            session.push(frame, Class::Direct, out);
        }
        for (frame, class) in &waited {
            session.push(frame, *class, out);
        }
        true
    }
}

fn lost<H>(signals: u64, why: Loss, room: &RoomId, user: &UserId, out: Out<'_, H>) {
    if signals > 0 {
        out(Effect::SignalsLost { room, user, signals, why });
    }
}

fn bytes(frames: &[Frame]) -> usize {
    frames.iter().map(|frame| frame.len()).sum()
}

/// The frames of the room for `user` between two versions.
fn frames_for(user: &UserId, updates: &[Arc<Update>], after: u64, until: u64) -> Vec<Frame> {
    let mut frames = Vec::new();
    for update in updates {
        for (version, change) in (update.base + 1..).zip(&update.changes) {
            if version <= after || version >= until {
                continue;
            }
            // It was taken for gone and has come back since: USER_JOINED is not for itself either.
            if matches!(change, Change::Left { user: left, .. } if left == user) {
                continue;
            }
            let stamp = Stamp { epoch: update.epoch, version, timestamp: update.at };
            announce(change, stamp, |audience, frame| {
                if audience.includes(user) {
                    frames.push(encode(&frame));
                }
            });
        }
    }
    frames
}
