use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{Hub, Outbox};
use crate::{
    backend::BackendError,
    clock::Millis,
    id::{RoomId, UserId},
    replica::{Effect, Env, Failure, Gap, Loss, Out, Replica, Resumed, Source},
    telemetry::{self, GaugeGuard, Metrics},
};

/// A room that this node takes part in.
#[derive(Debug)]
pub struct LocalRoom {
    /// Its name.
    pub id: RoomId,
    /// Whoever does something in this room on this node holds it until that is committed. Fair, so that each socket's commands stay in
    /// order.
    pub(super) turn: tokio::sync::Mutex<()>,
    state: Mutex<Local>,
}

/// What a driver of a room knows a connection by.
pub(super) type Connection = Arc<Outbox>;

#[derive(Debug)]
struct Local {
    replica: Replica<Connection>,
    /// Where the room stands in the schedule.
    scheduled: Option<Millis>,
    /// Members that are connected to this node.
    present: GaugeGuard,
    /// Members that are away and were last on this node.
    away: GaugeGuard,
}

impl LocalRoom {
    pub(super) fn new(id: RoomId, metrics: &Metrics) -> Self {
        let local = Local {
            replica: Replica::new(id.clone()),
            scheduled: None,
            present: GaugeGuard::new(&metrics.present, 0),
            away: GaugeGuard::new(&metrics.away, 0),
        };
        Self { id, turn: tokio::sync::Mutex::default(), state: Mutex::new(local) }
    }

    /// Short, and never across an await. After a panic under it the room is loaded again ([`Hub::distrust`]), so the lock is used on.
    fn local(&self) -> MutexGuard<'_, Local> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the replica.
    pub(super) fn look<R>(&self, look: impl FnOnce(&Replica<Connection>) -> R) -> R {
        look(&self.local().replica)
    }
}

impl Hub {
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

    fn within<R>(&self, room: &LocalRoom, work: impl FnOnce(&mut Local, &Env<'_>) -> R) -> R {
        let parts = &self.parts;
        let ice = |user: &UserId| parts.ice.for_user(user, &parts.clock);
        let env = Env {
            node: &parts.node,
            policy: &parts.policy,
            ping_interval: parts.ping_interval,
            ice: &ice,
            now: parts.clock.now(),
        };
        work(&mut room.local(), &env)
    }

    /// Carries out what a replica wants done at once: frames go into outboxes, and what happened becomes a metric or a line in the log.
    #[allow(clippy::needless_pass_by_value, reason = "an effect is carried out once")]
    pub(super) fn carry_out(&self, effect: Effect<'_, Connection>, now: Millis) {
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

    /// The timer goes by the replica as it is now.
    fn place(&self, local: &mut Local, env: &Env<'_>) {
        local.present.set(count(local.replica.sessions()));
        local.away.set(count(local.replica.away()));
        let next = local.replica.timeout(env);
        self.schedule.set(&local.replica.room().id, local.scheduled, next);
        local.scheduled = next;
    }

    /// The timer has taken the room out of the schedule.
    pub(super) fn unscheduled(room: &LocalRoom, at: Millis) {
        room.local().scheduled.take_if(|scheduled| *scheduled == at);
    }

    /// The room goes back into the schedule.
    pub(super) fn reschedule(&self, room: &LocalRoom) {
        self.within(room, |local, env| self.place(local, env));
    }

    /// The room could not do what was due: it waits this long for its next try.
    pub(super) fn postpone(&self, room: &LocalRoom, wait: Millis) {
        self.within(room, |local, env| {
            let next = Some(env.now + wait);
            self.schedule.set(&room.id, local.scheduled, next);
            local.scheduled = next;
        });
    }
}

fn count(members: usize) -> i64 {
    i64::try_from(members).unwrap_or(i64::MAX)
}

fn unrecorded(room: &RoomId, failure: &Failure) {
    // While shared state is away that is known, and others can provoke as many of these as they like.
    if let Failure::Backend(BackendError::Unreachable(_)) = failure {
        tracing::debug!(%room, %failure, "a refusal could not be recorded in the ledger");
    } else {
        tracing::warn!(%room, %failure, "a refusal could not be recorded in the ledger");
    }
}
