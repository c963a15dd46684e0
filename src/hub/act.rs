//! Commands and reports of members in a room.

use super::{Hub, HubError, membership::Membership};
use crate::{
    id::UserId,
    protocol::Frame,
    replica::Job,
    room::{Action, Command, Refusal},
};

impl Hub {
    /// Runs a command of a member, and returns the resulting version.
    pub async fn act(&self, seat: &Membership, action: Action) -> Result<u64, HubError> {
        if let Action::Heartbeat { .. } = action {
            self.with(&seat.room, |replica, env, _| replica.heartbeat(&seat.user, seat.conn, env.now));
        }
        let command = Command::Act { user: seat.user.clone(), conn: seat.conn, action };
        self.take_turn(&seat.room, &Job::Command(command)).await
    }

    /// Removes a socket, whose seat is still to be given up: no more frames are meant for it, and what is for its member waits in shared
    /// state.
    pub fn detach(&self, seat: &Membership) {
        self.with(&seat.room, |replica, _, _| replica.disconnect(&seat.user, seat.conn));
    }

    /// Removes a socket, and gives up its seat, unless another socket has it by now.
    pub async fn disconnect(&self, seat: &Membership, keep_seat: bool) -> Result<(), HubError> {
        // At once, before the turn of the room. Only because of this order is a departure that other nodes decide known to be wrong.
        self.detach(seat);
        let command = Command::Disconnect { user: seat.user.clone(), conn: seat.conn, keep_seat };
        match self.take_turn(&seat.room, &Job::Command(command)).await {
            // Nobody of this node was left in the room, so it was retired.
            Ok(_) | Err(HubError::Refused(Refusal::NotJoined)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Handles the position of a member's player.
    pub async fn report(&self, seat: &Membership, position: f64, playing: bool) -> Result<(), HubError> {
        let report = (position, playing);
        let actions =
            self.with(&seat.room, |replica, env, out| replica.report(&seat.user, seat.conn, report, env, out))?;
        for action in actions {
            self.act(seat, action).await?;
        }
        Ok(())
    }

    /// The SYNC_RESPONSE for a member.
    pub fn sync(&self, seat: &Membership, respect_auto_play: bool) -> Result<Frame, HubError> {
        let now = self.now();
        Ok(seat.room.look(|replica| replica.sync(&seat.user, seat.conn, respect_auto_play, now))?)
    }

    /// The BANS for the host or a co-host.
    pub fn bans(&self, seat: &Membership) -> Result<Frame, HubError> {
        Ok(seat.room.look(|replica| replica.bans(&seat.user, seat.conn))?)
    }

    /// BROADCASTs for a member were left out: it gets DISCONTINUITY and ROOM_STATE.
    pub fn left_out(&self, seat: &Membership) {
        self.with(&seat.room, |replica, env, out| replica.left_out(&seat.user, seat.conn, env, out));
    }

    /// Sends a frame of this node to each connected member.
    pub fn send_each(&self, frame: impl Fn(&UserId) -> Frame) {
        for room in self.all() {
            self.with(&room, |replica, _, out| replica.send_each(&frame, out));
        }
    }
}
