use std::sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering};

use super::{Hub, Outbox};
use crate::{
    account::Hold,
    clock::Millis,
    id::{RoomId, UserId},
    replica::{Env, Replica},
    telemetry::{GaugeGuard, Metrics},
};

/// A room on this node.
#[derive(Debug)]
pub struct LocalRoom {
    /// The id of the room.
    pub id: RoomId,
    /// The turn: held from a decision until it is committed. It is fair, so that the commands of each socket stay in order.
    pub(super) turn: tokio::sync::Mutex<()>,
    state: Mutex<Local>,
    /// Its place in the account of the client that was the first to enter it on this node.
    _hold: Option<Hold>,
}

/// The handle of a connection.
pub(super) type Connection = Arc<Outbox>;

#[derive(Debug)]
pub(super) struct Local {
    pub(super) replica: Replica<Connection>,
    /// The time of the room in the schedule.
    scheduled: Option<Millis>,
    /// The number of members that are connected to this node.
    present: GaugeGuard,
    /// The number of members that are away and were last on this node.
    away: GaugeGuard,
}

impl LocalRoom {
    pub(super) fn new(id: RoomId, metrics: &Metrics, hold: Option<Hold>) -> Self {
        let local = Local {
            replica: Replica::new(id.clone()),
            scheduled: None,
            present: GaugeGuard::new(&metrics.present, 0),
            away: GaugeGuard::new(&metrics.away, 0),
        };
        Self { id, turn: tokio::sync::Mutex::default(), state: Mutex::new(local), _hold: hold }
    }

    /// Held briefly, and never across an await. After a panic under it the room is loaded again ([`Hub::resync_after_panic`]), so poisoning
    /// is ignored.
    fn local(&self) -> MutexGuard<'_, Local> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the replica.
    pub(super) fn look<R>(&self, look: impl FnOnce(&Replica<Connection>) -> R) -> R {
        look(&self.local().replica)
    }
}

impl Hub {
    /// Runs `work` with the room locked.
    pub(super) fn within<R>(&self, room: &LocalRoom, work: impl FnOnce(&mut Local, &Env<'_>) -> R) -> R {
        let parts = &self.parts;
        let ice = |user: &UserId| parts.ice.for_user(user, &parts.clock);
        let env = Env {
            node: &parts.node,
            policy: &parts.policy,
            ping_interval: parts.ping_interval,
            ice: &ice,
            returning: self.returning.load(Ordering::Relaxed),
            now: parts.clock.now(),
        };
        work(&mut room.local(), &env)
    }

    /// Sets the time of the room in the schedule from its replica.
    pub(super) fn place(&self, local: &mut Local, env: &Env<'_>) {
        local.present.set(count(local.replica.sessions()));
        local.away.set(count(local.replica.away()));
        let next = local.replica.timeout(env);
        self.schedule.set(&local.replica.room().id, local.scheduled, next);
        local.scheduled = next;
    }

    /// Records that the timer has removed the room from the schedule.
    pub(super) fn unscheduled(room: &LocalRoom, at: Millis) {
        room.local().scheduled.take_if(|scheduled| *scheduled == at);
    }

    /// Puts the room back into the schedule.
    pub(super) fn reschedule(&self, room: &LocalRoom) {
        self.within(room, |local, env| self.place(local, env));
    }

    /// Delays the next attempt of a room whose timer failed.
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
