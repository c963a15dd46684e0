//! Loads a room, for the first time or because updates may be missing. The replica is set to the state in shared state, or restores it
//! where shared state has lost something. Connected members get the missed updates or DISCONTINUITY; then members that were wrongly evicted
//! are reattached.

use std::{collections::VecDeque, sync::Arc};

use super::{
    commit::{Attempt, Purpose, contended, due_after},
    comparison::{Comparison, comparison, leads_to},
    effect::{Answer, Effect, Env, Gap, History, Request, Source},
    replica::{Out, Replica},
    sync::Why,
    turn::{Stage, Step, Turn},
};
use crate::{
    backend::{BackendError, Commit},
    clock::Millis,
    room::{Command, Room, Update},
};

/// Maximum number of reads while the room changes in ways that do not reach this node.
const READS: usize = 8;
/// Maximum number of checks whether another node has restored a record that cannot be decoded.
const LOOKS: u32 = 10;
/// Pause before each of these checks, in ms.
const LOOK_EVERY: Millis = 100;

/// The step of a load that is in progress.
#[derive(Debug)]
pub(super) enum Read {
    /// Reading the room.
    Room,
    /// Reading the updates from the replica to this state.
    History(Box<Room>),
    /// Restoring the room as this.
    Restore(Box<Room>),
    /// Asking other nodes for a room whose record cannot be decoded.
    Alarm,
    /// Waiting before the next check of whether another node has restored it.
    Pause { looks: u32 },
    /// Reading the room again.
    Look { looks: u32 },
    /// Looking the room up in the ledger.
    Ledger(BackendError),
    /// Replacing the record that cannot be decoded by this.
    Repair(Box<Room>),
}

impl<H> Turn<'_, H> {
    pub(super) fn load(&mut self, replica: &mut Replica<H>, env: &Env<'_>, out: Out<'_, H>) -> Step {
        self.read_room(0, replica, env, out)
    }

    fn read_room(&mut self, reads: usize, replica: &mut Replica<H>, env: &Env<'_>, out: Out<'_, H>) -> Step {
        if reads == READS {
            let failure = contended(&replica.room, out);
            return self.fail(Why::Contended, failure, replica, env);
        }
        replica.sync.begin();
        self.request(Stage::Loading { read: Read::Room, reads: reads + 1 }, Request::Load)
    }

    pub(super) fn read(
        &mut self,
        read: Read,
        reads: usize,
        answer: Answer,
        replica: &mut Replica<H>,
        env: &Env<'_>,
        out: Out<'_, H>,
    ) -> Step {
        let wait = |turn: &mut Self, read, request| turn.request(Stage::Loading { read, reads }, request);
        match (read, answer) {
            (Read::Room | Read::Look { .. }, Answer::Loaded(Ok(fresh))) => {
                self.compare(reads, fresh, replica, env, out)
            }
            (Read::Room, Answer::Loaded(Err(BackendError::Corrupt { .. }))) => {
                if replica.room.exists() {
                    let room = replica.room.clone().reincarnated(env.now);
                    return self.repair(reads, Box::new(room), env);
                }
                wait(self, Read::Alarm, Request::Alarm)
            }
            (Read::History(fresh), Answer::History(Ok(history))) => {
                self.replay(reads, fresh, history, replica, env, out)
            }
            (Read::Restore(_) | Read::Repair(_), Answer::Restored(Ok(Commit::Conflict))) => {
                self.read_room(reads, replica, env, out)
            }
            (Read::Restore(room), Answer::Restored(Ok(Commit::Applied))) => {
                out(Effect::Gap(Gap::Restored));
                self.start_over(reads, room, "epoch_changed", replica, env, out)
            }
            (Read::Repair(room), Answer::Restored(Ok(Commit::Applied))) => {
                out(Effect::Gap(Gap::Restored));
                out(Effect::Repaired { room: &room.id, version: room.version });
                self.compare(reads, room, replica, env, out)
            }
            (Read::Alarm, Answer::Alarmed(Ok(()))) => wait(self, Read::Pause { looks: 0 }, Request::Wait(LOOK_EVERY)),
            (Read::Pause { looks }, Answer::Waited) => wait(self, Read::Look { looks: looks + 1 }, Request::Load),
            (Read::Look { looks: LOOKS }, Answer::Loaded(Err(unreadable @ BackendError::Corrupt { .. }))) => {
                wait(self, Read::Ledger(unreadable), Request::Recall)
            }
            (Read::Look { looks }, Answer::Loaded(Err(BackendError::Corrupt { .. }))) => {
                wait(self, Read::Pause { looks }, Request::Wait(LOOK_EVERY))
            }
            (Read::Ledger(_), Answer::Recalled(Some(room))) => {
                self.repair(reads, Box::new(room.reincarnated(env.now)), env)
            }
            // No node has the room. It is not created again over the record, which another release may be able to decode.
            (Read::Ledger(unreadable), Answer::Recalled(None)) => {
                self.fail(Why::Failed, unreadable.into(), replica, env)
            }
            (
                _,
                Answer::Loaded(Err(error))
                | Answer::History(Err(error))
                | Answer::Restored(Err(error))
                | Answer::Alarmed(Err(error)),
            ) => {
                if let BackendError::Full = error {
                    out(Effect::Fault(&error));
                }
                self.fail(Why::Failed, error.into(), replica, env)
            }
            (read, answer) => {
                debug_assert!(false, "{answer:?} is no answer to {read:?}");
                self.read_room(reads, replica, env, out)
            }
        }
    }

    /// Handles the answer of the ledger; a room that is found there is restored when a client joins it.
    pub(super) fn recalled(
        &mut self,
        found: Option<Box<Room>>,
        replica: &mut Replica<H>,
        env: &Env<'_>,
        out: Out<'_, H>,
    ) -> Step {
        self.recalled = true;
        let Some(room) = found else { return self.work(replica, env, out) };
        let due = due_after(None, &room, env.policy);
        let request = Request::Restore { room: room.clone(), found: None, due };
        self.request(Stage::Returning(room), request)
    }

    /// A room from the ledger was restored, or existed already.
    pub(super) fn returned(
        &mut self,
        room: Box<Room>,
        done: Result<Commit, BackendError>,
        replica: &mut Replica<H>,
        env: &Env<'_>,
        out: Out<'_, H>,
    ) -> Step {
        match done {
            Ok(Commit::Applied) => {
                replica.replace(*room, "history_gone", env, out);
                self.work(replica, env, out)
            }
            Ok(Commit::Conflict) => self.load(replica, env, out),
            Err(error) => self.finish(Err(error.into()), replica, env),
        }
    }

    fn compare(
        &mut self,
        reads: usize,
        fresh: Box<Room>,
        replica: &mut Replica<H>,
        env: &Env<'_>,
        out: Out<'_, H>,
    ) -> Step {
        let old = &replica.room;
        match comparison(old, &fresh, !replica.sessions.is_empty(), env.now) {
            Comparison::Same => self.go_on(reads, &[], replica, env, out),
            Comparison::Ahead => {
                let request = Request::History { epoch: old.epoch, after: old.version };
                self.request(Stage::Loading { read: Read::History(fresh), reads }, request)
            }
            Comparison::Other => {
                if old.exists() {
                    out(Effect::Gap(Gap::Snapshot));
                }
                self.start_over(reads, fresh, "epoch_changed", replica, env, out)
            }
            Comparison::Behind(found) => {
                let room = Box::new(old.clone().reincarnated(env.now));
                let due = due_after(None, &room, env.policy);
                let request = Request::Restore { room: room.clone(), found, due };
                self.request(Stage::Loading { read: Read::Restore(room), reads }, request)
            }
        }
    }

    fn repair(&mut self, reads: usize, room: Box<Room>, env: &Env<'_>) -> Step {
        let due = due_after(None, &room, env.policy);
        let request = Request::Repair { room: room.clone(), due };
        self.request(Stage::Loading { read: Read::Repair(room), reads }, request)
    }

    fn replay(
        &mut self,
        reads: usize,
        fresh: Box<Room>,
        history: History,
        replica: &mut Replica<H>,
        env: &Env<'_>,
        out: Out<'_, H>,
    ) -> Step {
        if let Some(missed) = history.filter(|missed| leads_to(&replica.room, missed, &fresh)) {
            out(Effect::Gap(Gap::Replayed));
            return self.go_on(reads, &missed, replica, env, out);
        }
        out(Effect::Gap(Gap::Snapshot));
        self.start_over(reads, fresh, "history_gone", replica, env, out)
    }

    /// Applies the missed updates, then the buffered ones.
    fn go_on(
        &mut self,
        reads: usize,
        missed: &[Arc<Update>],
        replica: &mut Replica<H>,
        env: &Env<'_>,
        out: Out<'_, H>,
    ) -> Step {
        let buffered = replica.sync.loaded(env.now);
        let updates: Vec<_> = missed.iter().chain(&buffered).cloned().collect();
        self.follow(reads, &updates, replica, env, out)
    }

    /// Replaces the replica by the room that was read, then applies the buffered updates.
    fn start_over(
        &mut self,
        reads: usize,
        fresh: Box<Room>,
        reason: &'static str,
        replica: &mut Replica<H>,
        env: &Env<'_>,
        out: Out<'_, H>,
    ) -> Step {
        let mut buffered = replica.sync.loaded(env.now);
        replica.replace(*fresh, reason, env, out);
        // Updates of another epoch do not count.
        let room = &replica.room;
        buffered.retain(|update| update.epoch == room.epoch || !room.exists());
        self.follow(reads, &buffered, replica, env, out)
    }

    /// Applies the updates that were buffered while the room was read.
    pub(super) fn follow(
        &mut self,
        reads: usize,
        updates: &[Arc<Update>],
        replica: &mut Replica<H>,
        env: &Env<'_>,
        out: Out<'_, H>,
    ) -> Step {
        replica.touched = true;
        replica.changed = env.now;
        for update in updates {
            if !replica.apply(update, Source::Load, env, out) {
                return self.read_room(reads, replica, env, out);
            }
        }
        let ghosts = replica.ghosts(env);
        replica.keeps_ghosts = env.returning && !ghosts.is_empty();
        if replica.keeps_ghosts {
            // The first turn after that loads the room again.
            return self.reattach(replica, env, out);
        }
        self.give_up_ghosts(ghosts, replica, env, out)
    }

    /// Releases the seats of members of this node without a connection, one after the other.
    pub(super) fn give_up_ghosts(
        &mut self,
        mut left: VecDeque<Command>,
        replica: &mut Replica<H>,
        env: &Env<'_>,
        out: Out<'_, H>,
    ) -> Step {
        match left.pop_front() {
            Some(ghost) => self.decide(Attempt::of(Purpose::Ghost { left }, ghost), replica, env, out),
            None => self.reattach(replica, env, out),
        }
    }

    /// Reattaches members that were wrongly evicted, one after the other; then the load is complete.
    pub(super) fn reattach(&mut self, replica: &mut Replica<H>, env: &Env<'_>, out: Out<'_, H>) -> Step {
        if let Some(member) = replica.evicted() {
            let purpose = Purpose::Reattach { user: member.user.clone(), conn: member.conn };
            let command = Command::Reattach(Box::new(member.clone()));
            return self.decide(Attempt::of(purpose, command), replica, env, out);
        }
        self.work(replica, env, out)
    }
}
