//! What members ask for, and say, while they are in a room.

use super::{
    Hub, HubError,
    local::Local,
    seat::{Kind, Membership},
};
use crate::{
    clock::Millis,
    id::{SERVER, UserId},
    protocol::{Frame, ServerFrame, encode},
    room::{Action, Command, Policy, Refusal, decide},
};

impl Hub {
    /// Does what a member asks for. The version that resulted.
    pub async fn act(&self, seat: &Membership, action: Action) -> Result<u64, HubError> {
        if let Action::Heartbeat { .. } = action {
            let now = self.now();
            if let Some(seat) = seat.room.local().seat(&seat.user, seat.conn) {
                seat.nudge.heard(now);
            }
        }
        self.submit(&seat.room, &Command::Act { user: seat.user.clone(), conn: seat.conn, action }).await
    }

    /// A socket is gone.
    pub async fn disconnect(&self, seat: &Membership, keep_seat: bool) -> Result<(), HubError> {
        {
            // At once: nothing more is meant for it, and if shared state cannot be told now, what is left of it there is found later.
            let mut local = seat.room.local();
            if local.seat(&seat.user, seat.conn).is_some() {
                local.seats.remove(&seat.user);
            }
        }
        let command = Command::Disconnect { user: seat.user.clone(), conn: seat.conn, keep_seat };
        self.submit(&seat.room, &command).await.map(|_| ())
    }

    /// A member says where its player is. What the room needs to know of that is little, and seldom.
    pub async fn report(&self, seat: &Membership, position: f64, playing: bool) -> Result<(), HubError> {
        let now = self.now();
        let mut actions = Vec::new();
        {
            let mut local = seat.room.local();
            let local = &mut *local;
            let Some(place) = local.seats.get_mut(&seat.user).filter(|place| place.conn == seat.conn) else {
                return Err(Refusal::NotJoined.into());
            };
            place.reported = Some(now);
            let host = local.replica.is_host(&seat.user);
            if host && !place.modern && place.nudge.is_due(now) {
                let reminder = ServerFrame::HostChanged {
                    host_user_id: &seat.user,
                    epoch: local.replica.epoch,
                    version: local.replica.version,
                    timestamp: now,
                };
                place.push(&encode(&reminder), Kind::Direct);
            }
            if local.replica.members.get(&seat.user).is_some_and(|member| !member.watching) {
                actions.push(Action::Watching { watching: true });
            }
            let report = Action::Report { position, playing };
            if host && wanted(local, seat, &report, &self.parts.policy, now) {
                actions.push(report);
            }
        }
        for action in actions {
            self.act(seat, action).await?;
        }
        Ok(())
    }

    /// SYNC_RESPONSE for a member.
    pub fn sync(&self, seat: &Membership, respect_auto_play: bool) -> Result<Frame, HubError> {
        let now = self.now();
        let mut local = seat.room.local();
        if local.seat(&seat.user, seat.conn).is_none() {
            return Err(Refusal::NotJoined.into());
        }
        let room = &local.replica;
        // A host that is told the room's url may be led back to the page that it is just leaving.
        let url = if room.is_host(&seat.user) { None } else { Some(room.url.as_deref().unwrap_or_default()) };
        Ok(encode(&ServerFrame::SyncResponse {
            from_user_id: SERVER,
            current_time: room.timeline.position_at(now),
            is_playing: room.timeline.playing,
            url,
            respect_auto_play,
            timeline: (&room.timeline).into(),
            timestamp: now,
        }))
    }

    /// Gives everybody who knows what to do with it something of this node's own.
    pub fn tell_modern(&self, frame: impl Fn(&UserId) -> Frame) {
        for room in self.all() {
            for (user, seat) in room.local().seats.iter_mut().filter(|(_, seat)| seat.modern) {
                seat.push(&frame(user), Kind::Direct);
            }
        }
    }
}

/// Whether the room would take the host's report as news.
fn wanted(local: &Local, seat: &Membership, report: &Action, policy: &Policy, now: Millis) -> bool {
    let command = Command::Act { user: seat.user.clone(), conn: seat.conn, action: report.clone() };
    decide(&local.replica, &command, policy, now).is_ok_and(|draft| !draft.changes.is_empty())
}
