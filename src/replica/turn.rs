use std::collections::VecDeque;

use super::{
    commit::{Attempt, Purpose, attempted},
    effect::{Answer, Effect, Env, Failure, Request},
    load::Read,
    replica::{Out, Replica},
    session::PendingJoin,
    sync::{Sync, Why},
};
use crate::{
    id::{ConnId, UserId},
    room::{Action, Command, Refusal, Room, StreamPosition},
};

/// The job of a turn.
#[derive(Debug)]
pub enum Job {
    /// Keep a room that was restored after a restart, until a member joins or its grace time is over.
    Adopt,
    /// Run a command of a connected member, or its disconnect.
    Command(Command),
    /// Admit a connection, by JOIN or RESUME.
    Enter(Command),
    /// Run a command in a room without members on this node: its node is dead, or did not run what was due.
    Orphan(Command),
    /// Run what is due: see [`Replica::timeout`].
    Tick,
}

/// The next step of a turn.
#[derive(Debug)]
pub enum Step {
    /// Send a request to shared state, and pass the answer to [`Turn::answer`].
    Do(Request),
    /// The turn has ended, with the version of the room on this node, or with the reason for a failure.
    Done(Result<u64, Failure>),
}

/// One job in one room, from the first look at the replica to the last answer of shared state. There is one turn at a time in a room, so
/// that a node never races itself.
#[derive(Debug)]
pub struct Turn<'j, H> {
    pub(super) job: &'j Job,
    /// The joining connection, until it is admitted.
    pub(super) join: Option<PendingJoin<H>>,
    /// Whether the room was looked up in the ledger.
    pub(super) recalled: bool,
    /// The number of loads because updates may have been missed since the turn began.
    pub(super) reloads: usize,
    pub(super) stage: Stage,
}

/// The stage of a turn.
#[derive(Debug)]
pub(super) enum Stage {
    /// The turn runs, or has ended.
    Running,
    /// Loading a room that this node does not have.
    Opening,
    /// Loading a room that this node has, or whose record could not be decoded.
    Loading { read: Read, reads: usize },
    /// Committing.
    Committing(Attempt),
    /// Looking up a room in the ledger that shared state does not have.
    Recalling,
    /// Restoring a room from the ledger.
    Returning(Box<Room>),
    /// Reading what a resuming member missed.
    Missing { from: StreamPosition, version: u64, asked_again: bool },
    /// Retiring the room.
    Leaving(Result<u64, Failure>),
}

impl Job {
    /// The joining user and its connection.
    pub(super) fn entrant(&self) -> Option<(&UserId, ConnId)> {
        match self {
            Self::Enter(Command::Join(join)) => Some((&join.user, join.conn)),
            Self::Enter(Command::Resume(resume)) => Some((&resume.user, resume.conn)),
            _ => None,
        }
    }
}

impl<'j, H> Turn<'j, H> {
    /// Begins a turn, and returns its first step. `join` is the connection of a [`Job::Enter`].
    pub fn begin(
        job: &'j Job,
        join: Option<PendingJoin<H>>,
        replica: &mut Replica<H>,
        env: &Env<'_>,
        out: Out<'_, H>,
    ) -> (Self, Step) {
        let mut turn = Self { job, join, recalled: false, reloads: 0, stage: Stage::Running };
        if !env.returning && std::mem::take(&mut replica.keeps_ghosts) {
            replica.mark(Why::Ghost, env.now);
        }
        let step = match (job, &replica.sync) {
            (Job::Command(_), Sync::Unloaded | Sync::Retired) => Step::Done(Err(Refusal::NotJoined.into())),
            (_, Sync::Retired) => Step::Done(Err(Failure::Retired)),
            // Its first load was interrupted, and there was no turn since.
            (Job::Tick, Sync::Unloaded) => turn.finish(Ok(0), replica, env),
            (_, Sync::Unloaded) => {
                replica.sync.begin();
                turn.request(Stage::Opening, Request::Load)
            }
            (_, sync) if sync.needs_load() => turn.load(replica, env, out),
            _ => turn.work(replica, env, out),
        };
        (turn, step)
    }

    /// Handles the answer to the last request, and returns the next step.
    pub fn answer(&mut self, answer: Answer, replica: &mut Replica<H>, env: &Env<'_>, out: Out<'_, H>) -> Step {
        let stage = std::mem::replace(&mut self.stage, Stage::Running);
        match (stage, answer) {
            (Stage::Opening, Answer::Loaded(Ok(fresh))) => self.opened(fresh, replica, env, out),
            (Stage::Opening, answer) => self.read(Read::Room, 1, answer, replica, env, out),
            (Stage::Loading { read, reads }, answer) => self.read(read, reads, answer, replica, env, out),
            (Stage::Committing(attempt), Answer::Committed(done)) => self.committed(attempt, done, replica, env, out),
            (Stage::Committing(attempt), Answer::Waited) => self.decide(attempt, replica, env, out),
            (Stage::Recalling, Answer::Recalled(found)) => self.recalled(found, replica, env, out),
            (Stage::Returning(room), Answer::Restored(done)) => self.returned(room, done, replica, env, out),
            (Stage::Missing { from, version, asked_again }, Answer::Missed { history, inbox }) => {
                if !asked_again && (history.is_err() || inbox.is_err()) {
                    // Shared state was reachable a moment ago.
                    return self.ask_for_missed(from, version, true);
                }
                self.hand_over(version, history, inbox, replica, env, out)
            }
            (Stage::Leaving(result), Answer::Left) => Step::Done(result),
            // The driver has a bug if it answers something else: the turn is abandoned.
            (stage, answer) => {
                debug_assert!(false, "{answer:?} is no answer in {stage:?}");
                replica.abandon(env.now);
                Step::Done(Err(Failure::Retired))
            }
        }
    }

    /// The room was loaded for the first time.
    fn opened(&mut self, fresh: Box<Room>, replica: &mut Replica<H>, env: &Env<'_>, out: Out<'_, H>) -> Step {
        let buffered = replica.sync.loaded(env.now);
        replica.replace(*fresh, "epoch_changed", env, out);
        self.follow(1, &buffered, replica, env, out)
    }

    /// Runs the job, because the room is loaded.
    pub(super) fn work(&mut self, replica: &mut Replica<H>, env: &Env<'_>, out: Out<'_, H>) -> Step {
        match self.job {
            Job::Adopt => self.finish(Ok(replica.room.version), replica, env),
            // A closed room has left its epoch: the ledger may still have it as open.
            Job::Enter(Command::Join(_)) if replica.room.epoch == 0 && !self.recalled => {
                self.request(Stage::Recalling, Request::Recall)
            }
            Job::Enter(_) => {
                // From now on the update that admits the connection gives it its seat.
                if let Some(join) = self.join.take() {
                    replica.joining = Some(Box::new(join));
                }
                self.decide(Attempt::new(Purpose::Job { before: replica.room.version }), replica, env, out)
            }
            Job::Command(_) | Job::Orphan(_) | Job::Tick => {
                self.decide(Attempt::new(Purpose::Job { before: replica.room.version }), replica, env, out)
            }
        }
    }

    /// The job was committed, refused, or has failed.
    pub(super) fn worked(
        &mut self,
        before: u64,
        done: Result<u64, Failure>,
        replica: &mut Replica<H>,
        env: &Env<'_>,
        out: Out<'_, H>,
    ) -> Step {
        match (self.job, done) {
            (Job::Enter(_), Ok(version)) => self.welcome(version, replica, env),
            (Job::Enter(_), Err(failure)) => self.not_admitted(failure, replica, env, out),
            (Job::Command(command), Err(Failure::Refused(refusal))) => match attempted(command, refusal, &replica.room)
            {
                Some(attempt) => {
                    let purpose = Purpose::Record { of: refusal.into(), required: false };
                    self.decide(Attempt::of(purpose, attempt), replica, env, out)
                }
                None => self.finish(Err(refusal.into()), replica, env),
            },
            (Job::Tick | Job::Orphan(Command::Tick), Ok(version)) if version != before => {
                // One change at a time, until nothing is due.
                self.decide(Attempt::new(Purpose::Job { before: version }), replica, env, out)
            }
            (Job::Tick, Ok(_)) => {
                let idle = replica.idle_watchers(env.now);
                self.forget_watchers(idle, replica, env, out)
            }
            (Job::Orphan(Command::Reap { .. }), Ok(version)) => {
                out(Effect::Reaped(version.saturating_sub(before)));
                self.finish(Ok(version), replica, env)
            }
            (_, done) => self.finish(done, replica, env),
        }
    }

    /// The connection has its seat. For a RESUME, missed updates are replayed.
    pub(super) fn welcome(&mut self, version: u64, replica: &mut Replica<H>, env: &Env<'_>) -> Step {
        match self.job.entrant().and_then(|(user, conn)| replica.session(user, conn)?.replays_from()) {
            Some(from) => self.ask_for_missed(from, version, false),
            None => self.finish(Ok(version), replica, env),
        }
    }

    /// Records one after the other that members without recent position reports do not watch.
    pub(super) fn forget_watchers(
        &mut self,
        mut idle: VecDeque<(UserId, ConnId)>,
        replica: &mut Replica<H>,
        env: &Env<'_>,
        out: Out<'_, H>,
    ) -> Step {
        let Some((user, conn)) = idle.pop_front() else {
            return self.finish(Ok(replica.room.version), replica, env);
        };
        let command = Command::Act { user: user.clone(), conn, action: Action::Watching { watching: false } };
        self.decide(Attempt::of(Purpose::Watcher { user, conn, idle }, command), replica, env, out)
    }

    /// Ends the turn; a room that is not needed here is retired.
    pub(super) fn finish(&mut self, result: Result<u64, Failure>, replica: &mut Replica<H>, env: &Env<'_>) -> Step {
        replica.joining = None;
        if !replica.is_unused(env) {
            return Step::Done(result);
        }
        replica.sync = Sync::Retired;
        replica.touched = true;
        self.request(Stage::Leaving(result), Request::Leave)
    }

    /// The commit may have succeeded or not: the room is loaded before it is retired.
    pub(super) fn fail(&mut self, why: Why, failure: Failure, replica: &mut Replica<H>, env: &Env<'_>) -> Step {
        replica.sync.failed(why, env.now);
        replica.touched = true;
        self.finish(Err(failure), replica, env)
    }

    pub(super) fn request(&mut self, stage: Stage, request: Request) -> Step {
        self.stage = stage;
        Step::Do(request)
    }
}
