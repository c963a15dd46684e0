//! The driver of replicas: it gives each job its turn, sends the requests of a turn to shared state, and carries out effects.

use std::{sync::Arc, time::Duration};

use tokio::{sync::oneshot, time::sleep};

use super::{
    Hub, HubError, LocalRoom,
    membership::{JoiningSocket, Membership},
    room::Connection,
};
use crate::{
    backend::{self, Backend, BackendError, Commit, Inbox},
    clock::Millis,
    id::{ConnId, RoomId, UserId},
    ledger::Entry,
    replica::{
        Answer, Effect, Env, Failure, Gap, Job, Loss, Out, PendingJoin, Proposal, Replica, Request, Resumed, Source,
        Step, Turn,
    },
    room::{Asked, Command, Join, Resume, Room},
    telemetry,
};

/// How long a JOIN or RESUME waits for shared state to come back.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// Why a RESUME is not refused.
const AWAY: &str = "whether the seat is there cannot be asked now";

impl Hub {
    /// Admits a user. The answer, ROOM_STATE, goes through the outbox of `joining_socket`.
    pub async fn join(
        &self,
        id: &RoomId,
        join: Join,
        joining_socket: JoiningSocket,
    ) -> Result<(Membership, u64), HubError> {
        let (user, socket) = (join.user.clone(), joining_socket.conn);
        let mut job = Job::Enter(Command::Join(join));
        let entered = self.enter(id, joining_socket.clone(), (&user, socket), &job).await;
        let Err(HubError::SeatHeld { node, conn }) = &entered else { return entered };
        let Some(answers) = self.still_answers(id, &user, (node, *conn), &joining_socket.outbox).await else {
            return entered;
        };
        if let Job::Enter(Command::Join(join)) = &mut job {
            join.asked = Some(Asked { conn: *conn, answers });
        }
        self.enter(id, joining_socket, (&user, socket), &job).await
    }

    /// Resumes a seat: the client gets RESUMED and what it missed, or DISCONTINUITY and ROOM_STATE.
    pub async fn resume(
        &self,
        id: &RoomId,
        resume: Resume,
        joining_socket: JoiningSocket,
    ) -> Result<(Membership, u64), HubError> {
        let (user, conn) = (resume.user.clone(), joining_socket.conn);
        let resumed = self.enter(id, joining_socket, (&user, conn), &Job::Enter(Command::Resume(resume))).await;
        // A client that is refused gives its seat up. So that is final only if shared state could be asked.
        let resumed = match resumed {
            Err(HubError::Refused(_)) if !self.backend().is_up() => {
                Err(BackendError::Unreachable(AWAY.to_owned()).into())
            }
            resumed => resumed,
        };
        resumed.inspect_err(|_| self.parts.metrics.resumed.inc(telemetry::Resumed::Refused))
    }

    async fn enter(
        &self,
        id: &RoomId,
        joining_socket: JoiningSocket,
        (user, conn): (&UserId, ConnId),
        job: &Job,
    ) -> Result<(Membership, u64), HubError> {
        // No turn is held meanwhile.
        self.backend().until_up(PATIENCE).await;
        let _entry = self.entrance.enter().await?;
        loop {
            let room = self.open_for(id, joining_socket.account.as_ref())?;
            let turn = room.turn.lock().await;
            if !room.look(Replica::is_retired) {
                let version = self.run_turn(&room, job, Some(joining_socket.into())).await?;
                drop(turn);
                return Ok((Membership { room, user: user.clone(), conn }, version));
            }
        }
    }

    /// Runs a job in a room of this node when it gets its turn.
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

    /// Each call has its own deadline. Most are commits; the others use a future on the heap.
    async fn ask_state(&self, room: &LocalRoom, request: Request) -> Answer {
        match request {
            Request::Commit(proposal) => Answer::Committed(self.commit(*proposal).await),
            request => Box::pin(self.ask_more(room, request)).await,
        }
    }

    /// Not an `async fn`, which would store its arguments twice.
    fn commit(&self, proposal: Proposal) -> impl Future<Output = Result<Commit, BackendError>> {
        let Proposal { update, after, due } = proposal;
        let entry = Entry::new(&update, self.node(), &after);
        self.backend().commit(backend::Proposal { update, after, due, entry })
    }

    async fn ask_more(&self, room: &LocalRoom, request: Request) -> Answer {
        let (state, id) = (self.backend(), &room.id);
        match request {
            Request::Commit(proposal) => Answer::Committed(self.commit(*proposal).await),
            Request::Load => {
                let _load = self.entrance.load().await;
                Answer::Loaded(state.subscribe(id).await.map(Box::new))
            }
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
            Request::Leave => {
                if let Err(error) = state.unsubscribe(id).await {
                    // Boundedly, the back end has logged and counted what is wrong with it. Thousands of rooms may be left at once.
                    tracing::debug!(room = %id, %error, "a room could not be left");
                }
                // Last, because a task that opens the room again subscribes again, and that must not be undone.
                self.forget(room);
                Answer::Left
            }
        }
    }

    /// Runs `work` with the replica. Its effects are in the outboxes before the room is unlocked.
    pub(super) fn with<R>(
        &self,
        room: &LocalRoom,
        work: impl FnOnce(&mut Replica<Connection>, &Env<'_>, Out<'_, Connection>) -> R,
    ) -> R {
        self.within(room, |local, env| {
            let done = work(&mut local.replica, env, &mut |effect| self.carry_out(&room.id, effect, env.now));
            if local.replica.take_touched() {
                self.place(local, env);
            }
            done
        })
    }

    /// Carries out an effect: frames go to outboxes, the rest becomes metrics and log lines.
    #[allow(clippy::needless_pass_by_value, reason = "an effect is carried out once")]
    fn carry_out(&self, room: &RoomId, effect: Effect<'_, Connection>, now: Millis) {
        let metrics = &self.parts.metrics;
        match effect {
            Effect::Send { to, frame, class: _ } => to.push(frame.clone()),
            Effect::Close { to, why } => to.close(why),
            Effect::Applied { update, from } => {
                if from == Source::Remote {
                    // For its own decisions the node measures from the arrival of the frame.
                    metrics.relay_remote.observe(Duration::from_millis(now.saturating_sub(update.at)));
                }
                self.waiting.on_update(update);
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
            Effect::SeatFree { to, user, conn } => self.offer_seat(room, (user, conn), to),
            Effect::InboxSent { to, user, inbox } => {
                tokio::spawn(take(Arc::clone(self.shared()), to.ask(), room.clone(), user.clone(), inbox));
            }
        }
    }

    /// Looks up a room in the ledger, if it may be restored.
    async fn recall(&self, id: &RoomId) -> Option<Room> {
        match self.parts.archive.as_ref()?.recall(id).await {
            Ok(row) => row?.into_room(&self.parts.policy, self.now()),
            Err(error) => {
                // While the ledger is unreachable, every new room would be logged.
                if let Some(skipped) = self.recalls.pass(self.now()) {
                    tracing::warn!(room = %id, %error, skipped, "a room could not be looked up in the ledger; if it was there, it is created again without its past");
                }
                None
            }
        }
    }
}

/// Removes sent signals from an inbox once the member has shown that it got them. It may get them again otherwise: signals have ids, by which
/// the member recognizes repeated ones.
async fn take(state: Arc<dyn Backend>, alive: oneshot::Receiver<()>, room: RoomId, user: UserId, inbox: Inbox) {
    if alive.await.is_err() {
        tracing::debug!(%room, %user, signals = inbox.frames.len(), "the socket ended before the signals that waited had arrived");
    } else if let Err(error) = state.taken(&room, &user, &inbox).await {
        tracing::debug!(%room, %user, %error, "sent signals could not be removed from an inbox");
    }
}

fn unrecorded(room: &RoomId, failure: &Failure) {
    // An outage of shared state is logged elsewhere, and clients can provoke any number of these.
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
