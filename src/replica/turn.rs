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

/// What a turn is for.
#[derive(Debug)]
pub enum Job {
    /// The room outlived a restart of this node, which looks after it until somebody comes or its grace is over.
    Adopt,
    /// A member that is connected to this node wants something, or its connection is gone.
    Command(Command),
    /// A connection wants to come in, by JOIN or RESUME.
    Enter(Command),
    /// A room that may have nobody on this node needs something done: a node is dead, or the room's own node did not do what was due.
    Tend(Command),
    /// The room's time has come: see [`Replica::timeout`].
    Tick,
}

/// What has to be done next.
#[derive(Debug)]
pub enum Step {
    /// Ask shared state for something, and hand the answer to [`Turn::answer`].
    Do(Request),
    /// The turn is over. The version of the room as this node knows it, or why the job was not done.
    Done(Result<u64, Failure>),
}

/// One job in one room, from the first look at the replica to the last answer of shared state. There is one turn at a time in a room, so
/// that a node never races itself.
#[derive(Debug)]
pub struct Turn<'j, H> {
    pub(super) job: &'j Job,
    /// Who comes in, until it is admitted.
    pub(super) join: Option<PendingJoin<H>>,
    /// Whether the ledger was asked for the room.
    pub(super) recalled: bool,
    /// How often the room was loaded again because something may have been missed since the turn began.
    pub(super) reloads: usize,
    pub(super) stage: Stage,
}

/// What a turn waits for.
#[derive(Debug)]
pub(super) enum Stage {
    /// Nothing: it runs, or has ended.
    Running,
    /// A room that this node knows nothing of is loaded.
    Opening,
    /// A room that this node has, or that could not be read, is loaded.
    Loading { read: Read, reads: usize },
    /// Something is being committed.
    Committing(Attempt),
    /// The ledger is asked for a room that shared state does not know.
    Recalling,
    /// A room from the ledger is put into shared state.
    Returning(Box<Room>),
    /// What a resuming member missed is read.
    Missing { from: StreamPosition, version: u64, asked_again: bool },
    /// What it has got is taken out of its inbox.
    Taking { version: u64 },
    /// The room is let go of.
    Leaving(Result<u64, Failure>),
}

impl Job {
    /// Who comes in, and on which connection.
    pub(super) fn entrant(&self) -> Option<(&UserId, ConnId)> {
        match self {
            Self::Enter(Command::Join(join)) => Some((&join.user, join.conn)),
            Self::Enter(Command::Resume(resume)) => Some((&resume.user, resume.conn)),
            _ => None,
        }
    }
}

impl<'j, H> Turn<'j, H> {
    /// Begins a turn, and says what has to be done first. `join` is the connection of a [`Job::Enter`].
    pub fn begin(
        job: &'j Job,
        join: Option<PendingJoin<H>>,
        replica: &mut Replica<H>,
        env: &Env<'_>,
        out: Out<'_, H>,
    ) -> (Self, Step) {
        let mut turn = Self { job, join, recalled: false, reloads: 0, stage: Stage::Running };
        let step = match (job, &replica.sync) {
            (Job::Command(_), Sync::Unloaded | Sync::Retired) => Step::Done(Err(Refusal::NotJoined.into())),
            (_, Sync::Retired) => Step::Done(Err(Failure::Retired)),
            // Its first load was broken off, and nobody has come since.
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

    /// Takes the answer to the last request, and says what has to be done next.
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
                    // Shared state was there a moment ago.
                    return self.ask_for_missed(from, version, true);
                }
                self.hand_over(version, history, inbox, replica, env, out)
            }
            (Stage::Taking { version }, Answer::Taken(done)) => {
                if let Err(error) = done {
                    out(Effect::InboxNotTaken(&error));
                }
                self.finish(Ok(version), replica, env)
            }
            (Stage::Leaving(result), Answer::Left) => Step::Done(result),
            // A driver that answers something else has a bug: nothing of this turn is to be trusted.
            (stage, answer) => {
                debug_assert!(false, "{answer:?} is no answer in {stage:?}");
                replica.abandon(env.now);
                Step::Done(Err(Failure::Retired))
            }
        }
    }

    /// This node has the room for the first time.
    fn opened(&mut self, fresh: Box<Room>, replica: &mut Replica<H>, env: &Env<'_>, out: Out<'_, H>) -> Step {
        let buffered = replica.sync.loaded(env.now);
        replica.replace(*fresh, "epoch_changed", env, out);
        self.follow(1, &buffered, replica, env, out)
    }

    /// The room is loaded: does what the turn is for.
    pub(super) fn work(&mut self, replica: &mut Replica<H>, env: &Env<'_>, out: Out<'_, H>) -> Step {
        match self.job {
            Job::Adopt => self.finish(Ok(replica.room.version), replica, env),
            // One that was closed has left its epoch: what the ledger has of it may be late.
            Job::Enter(Command::Join(_)) if replica.room.epoch == 0 && !self.recalled => {
                self.request(Stage::Recalling, Request::Recall)
            }
            Job::Enter(_) => {
                // From now on the connection takes its seat at the very update that lets it in.
                if let Some(join) = self.join.take() {
                    replica.joining = Some(join);
                }
                self.decide(Attempt::new(Purpose::Job { before: replica.room.version }), replica, env, out)
            }
            Job::Command(_) | Job::Tend(_) | Job::Tick => {
                self.decide(Attempt::new(Purpose::Job { before: replica.room.version }), replica, env, out)
            }
        }
    }

    /// What the turn is for was committed, or refused, or failed.
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
            (Job::Tick | Job::Tend(Command::Tick), Ok(version)) if version != before => {
                // One thing is done at a time, until nothing is due.
                self.decide(Attempt::new(Purpose::Job { before: version }), replica, env, out)
            }
            (Job::Tick, Ok(_)) => {
                let idle = replica.idle_watchers(env.now);
                self.forget_watchers(idle, replica, env, out)
            }
            (Job::Tend(Command::Reap { .. }), Ok(version)) => {
                out(Effect::Reaped(version.saturating_sub(before)));
                self.finish(Ok(version), replica, env)
            }
            (_, done) => self.finish(done, replica, env),
        }
    }

    /// A connection has its seat. Whoever resumes is told what it missed.
    pub(super) fn welcome(&mut self, version: u64, replica: &mut Replica<H>, env: &Env<'_>) -> Step {
        match self.job.entrant().and_then(|(user, conn)| replica.session(user, conn)?.replays_from()) {
            Some(from) => self.ask_for_missed(from, version, false),
            None => self.finish(Ok(version), replica, env),
        }
    }

    /// Members that have not reported their position for a while are not watching, one after the other.
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

    /// The turn is over; a room that nobody here needs is let go of.
    pub(super) fn finish(&mut self, result: Result<u64, Failure>, replica: &mut Replica<H>, env: &Env<'_>) -> Step {
        replica.joining = None;
        if !replica.is_unused(env) {
            return Step::Done(result);
        }
        replica.sync = Sync::Retired;
        replica.touched = true;
        self.request(Stage::Leaving(result), Request::Leave)
    }

    /// What was committed may be in force, or not: the room is loaded before this node lets go of it.
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
