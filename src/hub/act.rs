//! What members ask for, and say, while they are in a room.

use super::{Hub, HubError, membership::Membership};
use crate::{
    id::UserId,
    protocol::Frame,
    replica::Job,
    room::{Action, Command},
};

impl Hub {
    /// Does what a member asks for. The version that resulted.
    pub async fn act(&self, seat: &Membership, action: Action) -> Result<u64, HubError> {
        if let Action::Heartbeat { .. } = action {
            self.with(&seat.room, |replica, env, _| replica.heartbeat(&seat.user, seat.conn, env.now));
        }
        let command = Command::Act { user: seat.user.clone(), conn: seat.conn, action };
        self.take_turn(&seat.room, &Job::Command(command)).await
    }

    /// A socket is gone.
    pub async fn disconnect(&self, seat: &Membership, keep_seat: bool) -> Result<(), HubError> {
        // At once, before the room's turn: nothing more is meant for it. And only so a departure that others decide is known to be wrong.
        self.with(&seat.room, |replica, _, _| replica.disconnect(&seat.user, seat.conn));
        let command = Command::Disconnect { user: seat.user.clone(), conn: seat.conn, keep_seat };
        self.take_turn(&seat.room, &Job::Command(command)).await.map(|_| ())
    }

    /// A member says where its player is.
    pub async fn report(&self, seat: &Membership, position: f64, playing: bool) -> Result<(), HubError> {
        let report = (position, playing);
        let actions =
            self.with(&seat.room, |replica, env, out| replica.report(&seat.user, seat.conn, report, env, out))?;
        for action in actions {
            self.act(seat, action).await?;
        }
        Ok(())
    }

    /// SYNC_RESPONSE for a member.
    pub fn sync(&self, seat: &Membership, respect_auto_play: bool) -> Result<Frame, HubError> {
        let now = self.now();
        Ok(seat.room.look(|replica| replica.sync(&seat.user, seat.conn, respect_auto_play, now))?)
    }

    /// Sends each member that is connected to this node a frame of this node's own.
    pub fn send_each(&self, frame: impl Fn(&UserId) -> Frame) {
        for room in self.all() {
            self.with(&room, |replica, _, out| replica.send_each(&frame, out));
        }
    }
}
