//! Handles a refused JOIN or RESUME.

use super::{
    commit::{Attempt, Purpose, attempted},
    effect::{Env, Failure},
    replica::{Out, Replica},
    turn::{Job, Step, Turn},
};
use crate::room::{Command, Refusal};

impl<H> Turn<'_, H> {
    pub(super) fn not_admitted(
        &mut self,
        failure: Failure,
        replica: &mut Replica<H>,
        env: &Env<'_>,
        out: Out<'_, H>,
    ) -> Step {
        let (Job::Enter(command), Some((user, conn))) = (self.job, self.job.entrant()) else {
            return self.finish(Err(failure), replica, env);
        };
        // If the answer to the commit was lost, the seat may exist all the same.
        if replica.joining.take().is_none() && replica.handle(user, conn).is_some() {
            return self.welcome(replica.room.version, replica, env);
        }
        let Failure::Refused(refusal) = failure else { return self.finish(Err(failure), replica, env) };
        if let (Refusal::SeatHeld, Some(held)) = (refusal, replica.room.members.get(user)) {
            let (node, conn) = (held.node.clone(), held.conn);
            return self.finish(Err(Failure::SeatHeld { node, conn }), replica, env);
        }
        // A waiting JOIN is refused repeatedly, but recorded once. A wrong PIN is counted each time, before the answer, so that guessing on
        // many connections and nodes is slowed down as a whole.
        let counts = refusal == Refusal::InvalidPin;
        let recorded = matches!(command, Command::Join(join) if join.again) && !counts;
        match attempted(command, refusal, &replica.room).filter(|_| !recorded) {
            Some(attempt) => {
                let purpose = Purpose::Record { of: refusal.into(), required: counts };
                self.decide(Attempt::of(purpose, attempt), replica, env, out)
            }
            None => self.finish(Err(refusal.into()), replica, env),
        }
    }
}
