//! Decides on the replica and commits; after a conflict it decides again.

use std::{collections::VecDeque, sync::Arc};

use super::{
    effect::{Effect, Env, Failure, Proposal, Request, Source},
    replica::{Out, Replica},
    sync::{RETRY, Why},
    turn::{Job, Stage, Step, Turn},
};
use crate::{
    backend::{BackendError, Commit, Due},
    clock::Millis,
    id::{ConnId, UserId},
    protocol::ClientFrameType,
    room::{self, Command, Policy, Refusal, Room, Update, decide, next_due},
};

/// Maximum number of retries after conflicts. Each costs a round trip. 16 proved too few for a slow node with hundreds of concurrent
/// changes of one room.
const TRIES: usize = 100;
/// The longest that a command is decided again and again, in ms. Its room waits meanwhile, and a round trip to a busy Redis may take seconds.
const LONGEST: Millis = 5_000;
/// Maximum number of consecutive conflicts without a newer replica; after that the room is loaded again.
const BLIND: u32 = 16;
/// Maximum number of loads in one turn because updates may have been missed meanwhile.
const RELOADS: usize = 8;
/// The longest wait between two of these loads is 2 to the power of this, in ms.
const LONGEST_WAIT: u32 = 5;

/// A command that is being committed.
#[derive(Debug)]
pub(super) struct Attempt {
    purpose: Purpose,
    /// `None`: the command of the job itself.
    command: Option<Box<Command>>,
    /// The last proposal.
    update: Option<Arc<Update>>,
    tries: usize,
    blind: u32,
    /// When it was first decided.
    begun: Option<Millis>,
}

/// The purpose of a commit within its turn.
#[derive(Debug)]
pub(super) enum Purpose {
    /// The job of the turn. The room had this version before.
    Job { before: u64 },
    /// Records a refusal of the job, or counts a wrong PIN. `required`: the answer waits for it.
    Record { of: Failure, required: bool },
    /// Releases the seat of a member without a connection, and those in the list after it.
    Ghost { left: VecDeque<Command> },
    /// Reattaches a member that was wrongly evicted.
    Reattach { user: UserId, conn: ConnId },
    /// Records that a member no longer watches, and then those in `idle`.
    Watcher { user: UserId, conn: ConnId, idle: VecDeque<(UserId, ConnId)> },
}

impl Purpose {
    /// Whether the room may be loaded again first; the purpose is decided after that.
    fn may_wait(&self) -> bool {
        matches!(self, Self::Job { .. } | Self::Ghost { .. } | Self::Reattach { .. })
    }
}

impl Attempt {
    /// The commit of the job's own command.
    pub(super) fn new(purpose: Purpose) -> Self {
        Self { purpose, command: None, update: None, tries: 0, blind: 0, begun: None }
    }

    pub(super) fn of(purpose: Purpose, command: Command) -> Self {
        Self { command: Some(Box::new(command)), ..Self::new(purpose) }
    }
}

impl Job {
    fn command(&self) -> &Command {
        match self {
            Self::Command(command) | Self::Enter(command) | Self::Orphan(command) => command,
            Self::Adopt | Self::Tick => &Command::Tick,
        }
    }
}

impl<H> Turn<'_, H> {
    pub(super) fn decide(
        &mut self,
        mut attempt: Attempt,
        replica: &mut Replica<H>,
        env: &Env<'_>,
        out: Out<'_, H>,
    ) -> Step {
        attempt.tries += 1;
        let begun = *attempt.begun.get_or_insert(env.now);
        if attempt.tries > TRIES || env.now.saturating_sub(begun) > LONGEST {
            return self.contended(attempt, replica, env, out);
        }
        // Updates may have been missed since the load, so nothing may be decided on it.
        if replica.sync.needs_load() && attempt.purpose.may_wait() && self.reloads < RELOADS {
            self.reloads += 1;
            return self.load(replica, env, out);
        }
        let before = &replica.room;
        let command = attempt.command.as_deref().unwrap_or_else(|| self.job.command());
        let draft = match decide(before, command, env.policy, env.now) {
            Ok(draft) if draft.changes.is_empty() => return self.done(attempt, Ok(before.version), replica, env, out),
            Ok(draft) => draft,
            Err(refusal) => return self.done(attempt, Err(refusal.into()), replica, env, out),
        };
        let epoch = if before.exists() { before.epoch } else { draft.after.epoch };
        let (room, base) = (before.id.clone(), before.version);
        let update = Arc::new(Update { room, epoch, base, at: env.now, changes: draft.changes });
        let due = due_after(Some(before), &draft.after, env.policy);
        replica.proposed = (base, env.now);
        attempt.update = Some(Arc::clone(&update));
        self.request(
            Stage::Committing(attempt),
            Request::Commit(Box::new(Proposal { update, after: draft.after, due })),
        )
    }

    pub(super) fn committed(
        &mut self,
        mut attempt: Attempt,
        done: Result<Commit, BackendError>,
        replica: &mut Replica<H>,
        env: &Env<'_>,
        out: Out<'_, H>,
    ) -> Step {
        let Some(update) = attempt.update.take() else { return self.decide(attempt, replica, env, out) };
        match done {
            Ok(Commit::Applied) => {
                replica.accept(&update, Source::Own, env, out);
                self.done(attempt, Ok(update.version()), replica, env, out)
            }
            Ok(Commit::Conflict) => {
                out(Effect::Conflict);
                if replica.room.version != update.base || replica.sync.needs_load() {
                    attempt.blind = 0;
                    return self.decide(attempt, replica, env, out);
                }
                // Updates of other nodes arrive before the conflict. If they have not, one is still on its way, or lost.
                if attempt.blind == BLIND {
                    return self.contended(attempt, replica, env, out);
                }
                let wait = 1 << attempt.blind.min(LONGEST_WAIT);
                attempt.blind += 1;
                self.request(Stage::Committing(attempt), Request::Wait(wait))
            }
            Err(error) => {
                // Whether the commit succeeded is unknown: the room is loaded before it is retired.
                replica.mark(Why::Unanswered, env.now + RETRY);
                self.done(attempt, Err(error.into()), replica, env, out)
            }
        }
    }

    /// Fails, because other nodes change the room faster than this node can commit.
    fn contended(&mut self, attempt: Attempt, replica: &mut Replica<H>, env: &Env<'_>, out: Out<'_, H>) -> Step {
        replica.mark(Why::Contended, env.now + RETRY);
        let failure = contended(&replica.room, out);
        self.done(attempt, Err(failure), replica, env, out)
    }

    /// Continues after the outcome of a commit.
    fn done(
        &mut self,
        attempt: Attempt,
        done: Result<u64, Failure>,
        replica: &mut Replica<H>,
        env: &Env<'_>,
        out: Out<'_, H>,
    ) -> Step {
        match attempt.purpose {
            Purpose::Job { before } => self.worked(before, done, replica, env, out),
            Purpose::Record { of, required } => {
                let failure = match done {
                    // Other nodes have counted so many wrong PINs meanwhile that this one must not be told.
                    Err(failure @ Failure::Refused(_)) if required => failure,
                    Err(failure) => {
                        out(Effect::RefusalUnrecorded { room: &replica.room.id, failure: &failure });
                        if required { failure } else { of }
                    }
                    Ok(_) => of,
                };
                self.finish(Err(failure), replica, env)
            }
            Purpose::Ghost { left } => match done {
                Ok(_) => self.give_up_ghosts(left, replica, env, out),
                Err(failure) => self.fail(Why::Failed, failure, replica, env),
            },
            Purpose::Reattach { user, conn } => match done {
                Ok(_) => {
                    replica.reattached(&user, conn, out);
                    self.reattach(replica, env, out)
                }
                Err(failure) => self.fail(Why::Failed, failure, replica, env),
            },
            Purpose::Watcher { user, conn, idle } => match done {
                // A member that has left does not watch either.
                Ok(_) | Err(Failure::Refused(_)) => {
                    if let Some(session) = replica.session(&user, conn) {
                        session.reported = None;
                    }
                    self.forget_watchers(idle, replica, env, out)
                }
                Err(failure) => self.finish(Err(failure), replica, env),
            },
        }
    }
}

/// Reports that other nodes change the room faster than this node can commit.
pub(super) fn contended<H>(room: &Room, out: Out<'_, H>) -> Failure {
    let error = BackendError::Contended(format!("room {}", room.id).into());
    out(Effect::Fault(&error));
    error.into()
}

/// When `after` is due, if that differs from before.
pub(super) fn due_after(before: Option<&Room>, after: &Room, policy: &Policy) -> Due {
    let due = next_due(after, policy);
    match due {
        _ if before.is_some_and(|before| next_due(before, policy) == due) => Due::Same,
        Some(at) => Due::At(at),
        None => Due::Never,
    }
}

/// The command that records a refusal.
pub(super) fn attempted(command: &Command, refusal: Refusal, room: &Room) -> Option<Command> {
    let (user, conn, origin, what) = match command {
        Command::Join(join) => (&join.user, join.conn, join.origin.now, ClientFrameType::Join),
        Command::Resume(resume) => (&resume.user, resume.conn, resume.origin.now, ClientFrameType::Resume),
        Command::Act { user, conn, action } => {
            (user, *conn, room.members.get(user)?.origin, ClientFrameType::of_action(action))
        }
        Command::Disconnect { .. }
        | Command::Refused(_)
        | Command::Reap { .. }
        | Command::Reattach(_)
        | Command::Tick => {
            return None;
        }
    };
    Some(Command::Refused(room::Attempt { user: user.clone(), conn, origin, what: what.as_str().into(), refusal }))
}
