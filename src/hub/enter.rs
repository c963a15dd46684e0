//! Coming into a room, and back into it.

use std::{sync::Arc, time::Duration};

use super::{
    Hub, HubError, LocalRoom,
    local::{Phase, is_for},
    seat::{Arrival, Held, Kind, Membership, Missed},
    state::due_after,
};
use crate::{
    backend::{BackendError, Commit, Inbox},
    id::{ConnId, RoomId, UserId},
    protocol::{Frame, ServerFrame, Stamp, announce, encode},
    room::{Asked, Command, Join, Refusal, Resume, Room, Update},
    telemetry::{Dropped, Resumed},
};

/// How long somebody who comes waits for shared state that is just coming back.
const PATIENCE: Duration = Duration::from_millis(1_500);

impl Hub {
    /// Lets somebody in. The answer, ROOM_STATE, goes through the outbox of `arrival`.
    pub async fn join(&self, id: &RoomId, join: Join, arrival: Arrival) -> Result<(Membership, u64), HubError> {
        let user = join.user.clone();
        let mut command = Command::Join(join);
        let entered = self.enter(id, arrival.clone(), &user, &command).await;
        let Err(HubError::SeatHeld { node, conn }) = &entered else { return entered };
        let (Some(answers), Command::Join(join)) =
            (self.still_answers(id, &user, (node, *conn), &arrival.outbox).await, &mut command)
        else {
            return entered;
        };
        join.asked = Some(Asked { conn: *conn, answers });
        self.enter(id, arrival, &user, &command).await
    }

    /// Lets somebody back into its seat: RESUMED and what it missed, or DISCONTINUITY and ROOM_STATE.
    pub async fn resume(&self, id: &RoomId, resume: Resume, arrival: Arrival) -> Result<(Membership, u64), HubError> {
        let resumed = self.enter(id, arrival, &resume.user.clone(), &Command::Resume(resume)).await;
        resumed.inspect_err(|_| self.parts.metrics.resumed.inc(Resumed::Refused))
    }

    async fn enter(
        &self,
        id: &RoomId,
        arrival: Arrival,
        user: &UserId,
        command: &Command,
    ) -> Result<(Membership, u64), HubError> {
        let conn = arrival.conn;
        // Nobody's turn is held for this.
        self.backend().until_up(PATIENCE).await;
        loop {
            let room = self.open(id);
            let mut phase = room.turn.lock().await;
            if *phase == Phase::Retired {
                continue;
            }
            let ready = match self.enliven(&room, &mut phase).await {
                Ok(()) => self.recall(&room, command).await,
                Err(error) => Err(error),
            };
            let entered = match ready {
                Ok(()) => {
                    room.local().arrivals.push(arrival);
                    self.admit(&room, command).await
                }
                Err(error) => Err(error),
            };
            let entered = entered.or_else(|error| room.local().give_up(user, conn).ok_or(error));
            if let Ok(version) = entered {
                self.catch_up(&room, user, conn, version).await;
            }
            self.settle(&room, &mut phase).await;
            drop(phase);
            return entered.map(|version| (Membership { room, user: user.clone(), conn }, version));
        }
    }

    async fn admit(&self, room: &LocalRoom, command: &Command) -> Result<u64, HubError> {
        let admitted = self.commit(room, command).await;
        if let (Err(HubError::Refused(Refusal::SeatHeld)), Command::Join(join)) = (&admitted, command)
            && let Some(held) = room.local().replica.members.get(&join.user)
        {
            return Err(HubError::SeatHeld { node: held.node.clone(), conn: held.conn });
        }
        // Whoever waits is refused again and again: auditors want to know it once. A wrong PIN counts whenever it is looked at.
        let told = |refusal| matches!(command, Command::Join(join) if join.again) && refusal != Refusal::InvalidPin;
        if let Err(HubError::Refused(refusal)) = admitted
            && !told(refusal)
        {
            let noted = self.note_refusal(room, command, refusal).await;
            if refusal == Refusal::InvalidPin {
                // Before the answer: whoever guesses on many sockets and nodes has to wait for all of them.
                noted?;
            }
        }
        admitted
    }

    /// A room that nobody holds any more, but the archive does, comes back when somebody joins it.
    async fn recall(&self, room: &LocalRoom, command: &Command) -> Result<(), HubError> {
        if !matches!(command, Command::Join(_)) {
            return Ok(());
        }
        // One that was closed has left its epoch: what the ledger has of it may be late.
        if room.local().replica.epoch > 0 {
            return Ok(());
        }
        let Some(old) = self.in_ledger(&room.id).await else { return Ok(()) };
        let due = due_after(None, &old, &self.parts.policy);
        match self.backend().restore(&old, None, due).await? {
            Commit::Applied => {
                let mut local = room.local();
                local.adopt(old, "history_gone", self.context());
                self.place(&mut local);
                Ok(())
            }
            Commit::Conflict => self.refresh(room).await,
        }
    }

    /// A room as the ledger last knew it, if it may come back.
    pub(super) async fn in_ledger(&self, id: &RoomId) -> Option<Room> {
        match self.parts.archive.as_ref()?.recall(id).await {
            Ok(row) => row?.into_room(&self.parts.policy, self.now()),
            Err(error) => {
                // While the ledger is away every room that is made would be a line.
                if let Some(skipped) = self.recalls.pass(self.now()) {
                    tracing::warn!(room = %id, %error, skipped, "a room could not be looked up in the ledger: if it was there, it is made anew");
                }
                None
            }
        }
    }

    /// What a member missed: updates, and signals for it alone. Shared state was there a moment ago: it is asked twice before that is given up.
    async fn missed(
        &self,
        room: &RoomId,
        user: &UserId,
        missed: Missed,
    ) -> (Result<History, BackendError>, Option<Inbox>) {
        let history = || self.backend().history(room, missed.epoch, missed.version);
        let inbox = || self.backend().inbox(room, user);
        let (mut updates, mut signals) = tokio::join!(history(), inbox());
        if updates.is_err() || signals.is_err() {
            self.backend().until_up(PATIENCE).await;
            (updates, signals) = tokio::join!(history(), inbox());
        }
        (updates, signals.ok())
    }

    /// Tells a resuming member what it missed. Its seat holds back whatever happens meanwhile.
    async fn catch_up(&self, room: &LocalRoom, user: &UserId, conn: ConnId, version: u64) {
        let missed = {
            let mut local = room.local();
            local.seat(user, conn).and_then(|seat| seat.held.as_ref()).and_then(|held| held.arrival.missed)
        };
        let Some(missed) = missed else { return };
        let (history, inbox) = self.missed(&room.id, user, missed).await;
        // If its seat has gone meanwhile, what was kept for it stays where it is.
        if self.hand_over(room, (user, conn), (missed, version), history, inbox.as_ref())
            && let Some(inbox) = inbox.filter(|inbox| inbox.lost || !inbox.frames.is_empty())
            && let Err(error) = self.backend().taken(&room.id, user, &inbox).await
        {
            // They have ids, by which the member knows what it has had already.
            tracing::debug!(%error, "signals that a member has got could not be taken away, it may get them again");
        }
    }

    /// Whether there is somebody to hand it over to.
    fn hand_over(
        &self,
        room: &LocalRoom,
        (user, conn): (&UserId, ConnId),
        (Missed { epoch, version: after }, version): (Missed, u64),
        history: Result<History, BackendError>,
        inbox: Option<&Inbox>,
    ) -> bool {
        let mut local = room.local();
        let Some(held) = local.seat(user, conn).and_then(|seat| seat.held.take()) else { return false };
        let Held { arrival, frames: mut held, lost: held_lost, .. } = *held;
        let context = self.context();
        let unknown = history.is_err() || inbox.is_none();
        let replayed = history.ok().flatten().map(|updates| replay(&updates, user, after, version));
        let signals = inbox.map(|inbox| inbox.frames.as_slice()).unwrap_or_default();
        // What would fill the outbox at once would only close the socket again.
        let bytes = |frames: &[Frame]| frames.iter().map(|frame| frame.len()).sum::<usize>();
        let space = arrival.outbox.budget() / 2;
        let whole = !unknown && held_lost.is_none() && inbox.is_some_and(|inbox| !inbox.lost);
        let fits = |frames: &Vec<Frame>| whole && bytes(frames) + bytes(signals) <= space;
        let mut frames = Vec::new();
        let mut first = 0;
        if let Some(replayed) = replayed.filter(fits) {
            frames.push(encode(&ServerFrame::Resumed {
                version,
                epoch,
                replayed: replayed.len(),
                resume_token: arrival.token.as_deref().unwrap_or_default(),
                session: conn,
                server_time: context.now,
                ice_servers: &self.parts.ice.for_user(user, &context.clock),
            }));
            frames.extend(replayed);
            self.parts.metrics.resumed.inc(Resumed::Replayed);
        } else {
            let reason = match local.replica.epoch == epoch {
                _ if unknown => "history_unavailable",
                true => "history_gone",
                false => "epoch_changed",
            };
            frames.push(encode(&ServerFrame::Discontinuity { reason }));
            frames.push(local.snapshot(&arrival, user, context));
            // The snapshot has them already.
            held.retain(|(_, kind)| *kind == Kind::Direct);
            self.parts.metrics.resumed.inc(Resumed::Snapshot);
            // The newest of them: older ones belong to a negotiation that has moved on.
            let mut left = bytes(signals);
            while left > space {
                left -= signals.get(first).map_or(left, |frame| frame.len());
                first += 1;
            }
            self.losses.note(Dropped::OutboxFull, first as u64, &room.id, user);
        }
        self.losses.note(Dropped::Held, held_lost.unwrap_or_default(), &room.id, user);
        frames.extend(signals.iter().skip(first).cloned());
        if let Some(seat) = local.seat(user, conn) {
            for frame in frames {
                seat.push(&frame, Kind::Direct);
            }
            for (frame, kind) in held {
                seat.push(&frame, kind);
            }
        }
        true
    }
}

/// The updates since some version, if they are known.
type History = Option<Vec<Arc<Update>>>;

/// The room frames that `user` would have got between two versions.
fn replay(updates: &[Arc<Update>], user: &UserId, after: u64, until: u64) -> Vec<Frame> {
    let mut frames = Vec::new();
    for update in updates {
        for (version, change) in (update.base + 1..).zip(&update.changes) {
            if version <= after || version >= until {
                continue;
            }
            let stamp = Stamp { epoch: update.epoch, version, timestamp: update.at };
            announce(change, stamp, |audience, frame| {
                if is_for(audience, user, true) {
                    frames.push(encode(&frame));
                }
            });
        }
    }
    frames
}
