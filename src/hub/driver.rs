//! Drives the replicas: gives each job its turn, asks shared state for what a turn wants, and carries out what a replica wants done at once.

use std::time::Duration;

use tokio::time::sleep;

use super::{
    Hub, HubError, LocalRoom,
    membership::{Arrival, Membership},
    room::Connection,
};
use crate::{
    backend::{self, BackendError, Commit},
    clock::Millis,
    id::{ConnId, RoomId, UserId},
    ledger::{Entry, events},
    replica::{
        Answer, Effect, Env, Failure, Gap, Job, Loss, Out, PendingJoin, Proposal, Replica, Request, Resumed, Source,
        Step, Turn,
    },
    room::{Asked, Command, Join, Resume, Room},
    telemetry,
};

/// How long somebody who comes waits for shared state that is just coming back.
const PATIENCE: Duration = Duration::from_millis(1_500);

impl Hub {
    /// Lets somebody in. The answer, ROOM_STATE, goes through the outbox of `arrival`.
    pub async fn join(&self, id: &RoomId, join: Join, arrival: Arrival) -> Result<(Membership, u64), HubError> {
        let (user, socket) = (join.user.clone(), arrival.conn);
        let mut job = Job::Enter(Command::Join(join));
        let entered = self.enter(id, arrival.clone(), (&user, socket), &job).await;
        let Err(HubError::SeatHeld { node, conn }) = &entered else { return entered };
        let Some(answers) = self.still_answers(id, &user, (node, *conn), &arrival.outbox).await else {
            return entered;
        };
        if let Job::Enter(Command::Join(join)) = &mut job {
            join.asked = Some(Asked { conn: *conn, answers });
        }
        self.enter(id, arrival, (&user, socket), &job).await
    }

    /// Lets somebody back into its seat: RESUMED and what it missed, or DISCONTINUITY and ROOM_STATE.
    pub async fn resume(&self, id: &RoomId, resume: Resume, arrival: Arrival) -> Result<(Membership, u64), HubError> {
        let (user, conn) = (resume.user.clone(), arrival.conn);
        let resumed = self.enter(id, arrival, (&user, conn), &Job::Enter(Command::Resume(resume))).await;
        resumed.inspect_err(|_| self.parts.metrics.resumed.inc(telemetry::Resumed::Refused))
    }

    async fn enter(
        &self,
        id: &RoomId,
        arrival: Arrival,
        (user, conn): (&UserId, ConnId),
        job: &Job,
    ) -> Result<(Membership, u64), HubError> {
        // Nobody's turn is held for this.
        self.backend().until_up(PATIENCE).await;
        loop {
            let room = self.open(id);
            let turn = room.turn.lock().await;
            if !room.look(Replica::is_retired) {
                let version = self.run_turn(&room, job, Some(arrival.into())).await?;
                drop(turn);
                return Ok((Membership { room, user: user.clone(), conn }, version));
            }
        }
    }

    /// Does a job in a room of this node, once it is this job's turn. Calls go from here to the replica and to shared state; what they say
    /// comes back here.
    pub(super) async fn take_turn(&self, room: &LocalRoom, job: &Job) -> Result<u64, HubError> {
        let _turn = room.turn.lock().await;
        self.run_turn(room, job, None).await
    }

    async fn run_turn(
        &self,
        room: &LocalRoom,
        job: &Job,
        join: Option<PendingJoin<Connection>>,
    ) -> Result<u64, HubError> {
        let mut guard = Unfinished { hub: self, room, ended: false };
        let (mut turn, mut step) = self.with(room, |replica, env, out| Turn::begin(job, join, replica, env, out));
        loop {
            match step {
                Step::Done(result) => {
                    guard.ended = true;
                    return result.map_err(HubError::from);
                }
                Step::Do(request) => {
                    let answer = self.ask_state(room, request).await;
                    step = self.with(room, |replica, env, out| turn.answer(answer, replica, env, out));
                }
            }
        }
    }

    /// Each call has a deadline of its own. Most are commits; for the others there is a future on the heap.
    async fn ask_state(&self, room: &LocalRoom, request: Request) -> Answer {
        match request {
            Request::Commit(proposal) => Answer::Committed(self.commit(*proposal).await),
            request => Box::pin(self.ask_more(room, request)).await,
        }
    }

    /// Not an `async fn`: those keep their arguments twice.
    fn commit(&self, proposal: Proposal) -> impl Future<Output = Result<Commit, BackendError>> {
        let Proposal { update, after, due } = proposal;
        let entry = Entry::new(&update, events(&update, self.node()), &after);
        self.backend().commit(backend::Proposal { update, after, due, entry })
    }

    async fn ask_more(&self, room: &LocalRoom, request: Request) -> Answer {
        let (state, id) = (self.backend(), &room.id);
        match request {
            Request::Commit(proposal) => Answer::Committed(self.commit(*proposal).await),
            Request::Load => Answer::Loaded(state.subscribe(id).await.map(Box::new)),
            Request::History { epoch, after } => Answer::History(state.history(id, epoch, after).await),
            Request::Restore { room, found, due } => Answer::Restored(state.restore(&room, found, due).await),
            Request::Alarm => Answer::Alarmed(state.alarm(id).await),
            Request::Repair { room, due } => Answer::Restored(state.repair(&room, due).await),
            Request::Recall => Answer::Recalled(self.recall(id).await.map(Box::new)),
            Request::Wait(millis) => {
                sleep(Duration::from_millis(millis)).await;
                Answer::Waited
            }
            Request::Missed { user, from, patient } => {
                if patient {
                    state.until_up(PATIENCE).await;
                }
                let (history, inbox) = (state.history(id, from.epoch, from.version), state.inbox(id, &user));
                let (history, inbox) = tokio::join!(history, inbox);
                Answer::Missed { history, inbox }
            }
            Request::Take { user, inbox } => Answer::Taken(state.taken(id, &user, &inbox).await),
            Request::Leave => {
                if let Err(error) = state.unsubscribe(id).await {
                    tracing::warn!(room = %id, %error, "a room could not be left");
                }
                // Last: whoever opens it again subscribes again, and that must not be undone by the above.
                self.forget(room);
                Answer::Left
            }
        }
    }

    /// Does something with the replica. All that follows for members is in their outboxes before anybody else may look at it.
    pub(super) fn with<R>(
        &self,
        room: &LocalRoom,
        work: impl FnOnce(&mut Replica<Connection>, &Env<'_>, Out<'_, Connection>) -> R,
    ) -> R {
        self.within(room, |local, env| {
            let done = work(&mut local.replica, env, &mut |effect| self.carry_out(effect, env.now));
            if local.replica.take_touched() {
                self.place(local, env);
            }
            done
        })
    }

    /// Carries out what a replica wants done at once: frames go into outboxes, and what happened becomes a metric or a line in the log.
    #[allow(clippy::needless_pass_by_value, reason = "an effect is carried out once")]
    fn carry_out(&self, effect: Effect<'_, Connection>, now: Millis) {
        let metrics = &self.parts.metrics;
        match effect {
            Effect::Send { to, frame, class: _ } => to.push(frame.clone()),
            Effect::Close { to, why } => to.close(why),
            Effect::Applied { update, from } => {
                if from == Source::Remote {
                    // What this node decided itself is measured from the frame's arrival.
                    metrics.relay_remote.observe(Duration::from_millis(now.saturating_sub(update.at)));
                }
                self.waiting.hear(update);
            }
            Effect::Gap(gap) => metrics.gaps.inc(match gap {
                Gap::Noticed => telemetry::Gap::Noticed,
                Gap::Replayed => telemetry::Gap::Replayed,
                Gap::Snapshot => telemetry::Gap::Snapshot,
                Gap::Restored => telemetry::Gap::Restored,
            }),
            Effect::Resumed(how) => metrics.resumed.inc(match how {
                Resumed::Replayed => telemetry::Resumed::Replayed,
                Resumed::Snapshot => telemetry::Resumed::Snapshot,
            }),
            Effect::SignalsLost { room, user, signals, why } => {
                let why = match why {
                    Loss::Outbox => telemetry::Dropped::OutboxFull,
                    Loss::Replay => telemetry::Dropped::Held,
                };
                self.losses.note(why, signals, room, user);
            }
            Effect::Conflict => {
                metrics.commit_conflicts.inc();
            }
            Effect::Fault(error) => self.faults.note(error),
            Effect::Reaped(members) => {
                metrics.reaped_members.inc_by(members);
            }
            Effect::Repaired { room, version } => {
                tracing::warn!(%room, version, "a room that could not be read was put back");
            }
            Effect::RefusalUnrecorded { room, failure } => unrecorded(room, failure),
            Effect::InboxNotTaken(error) => {
                // They have ids, by which the member knows what it has had already.
                tracing::debug!(%error, "delivered signals could not be removed from an inbox; the member may get them again");
            }
        }
    }

    /// A room as the ledger last knew it, if it may come back.
    async fn recall(&self, id: &RoomId) -> Option<Room> {
        match self.parts.archive.as_ref()?.recall(id).await {
            Ok(row) => row?.into_room(&self.parts.policy, self.now()),
            Err(error) => {
                // While the ledger is away every room that is made would be a line.
                if let Some(skipped) = self.recalls.pass(self.now()) {
                    tracing::warn!(room = %id, %error, skipped, "a room could not be looked up in the ledger; if it was there, it is created again without its past");
                }
                None
            }
        }
    }
}

fn unrecorded(room: &RoomId, failure: &Failure) {
    // While shared state is away that is known, and others can provoke as many of these as they like.
    if let Failure::Backend(BackendError::Unreachable(_)) = failure {
        tracing::debug!(%room, %failure, "a refusal could not be recorded in the ledger");
    } else {
        tracing::warn!(%room, %failure, "a refusal could not be recorded in the ledger");
    }
}

/// Ends a turn whose task panicked or was dropped: the room is loaded again before anything else is decided in it.
struct Unfinished<'a> {
    hub: &'a Hub,
    room: &'a LocalRoom,
    ended: bool,
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        self.hub.with(self.room, |replica, env, _| replica.abandon(env.now));
        if self.room.look(Replica::is_retired) {
            self.hub.forget(self.room);
        }
    }
}
