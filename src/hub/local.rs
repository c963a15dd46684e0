use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    nudge::Nudge,
    seat::{Arrival, Held, Kind, Seat},
};
use crate::{
    clock::Millis,
    id::{ConnId, NodeId, RoomId, UserId},
    protocol::{Audience, Close, Frame, RoomState, RoomStateParts, ServerFrame, Stamp, announce, encode},
    room::{Change, LeftReason, Room, Update},
};

/// A room as this node has it: a replica of the room itself, and the seats of the members whose sockets are here.
#[derive(Debug)]
pub struct LocalRoom {
    /// Its name.
    pub id: RoomId,
    /// Whoever decides about this room on this node holds it from deciding until committed. Fair, so that each socket's commands
    /// stay in order.
    pub(super) turn: tokio::sync::Mutex<Phase>,
    state: Mutex<Local>,
}

/// Whether updates reach the replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Not yet.
    New,
    /// They do.
    Live,
    /// No longer; whoever still holds it must get the room anew.
    Retired,
}

#[derive(Debug)]
pub(super) struct Local {
    pub(super) replica: Room,
    pub(super) seats: HashMap<UserId, Seat>,
    pub(super) arrivals: Vec<Arrival>,
    /// Where the room stands in the schedule.
    pub(super) scheduled: Option<Millis>,
}

/// What is the same in every room of a node.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) node: &'a NodeId,
    pub(super) ping_interval: Millis,
    pub(super) now: Millis,
}

impl LocalRoom {
    pub(super) fn new(id: RoomId) -> Self {
        let local =
            Local { replica: Room::vacant(id.clone()), seats: HashMap::new(), arrivals: Vec::new(), scheduled: None };
        Self { id, turn: tokio::sync::Mutex::new(Phase::New), state: Mutex::new(local) }
    }

    /// Short and never across an await. A panic under it cannot leave a replica that is worse than a restart.
    pub(super) fn local(&self) -> MutexGuard<'_, Local> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Local {
    /// Whether `user` sits here on `conn`.
    pub(super) fn seat(&mut self, user: &UserId, conn: ConnId) -> Option<&mut Seat> {
        self.seats.get_mut(user).filter(|seat| seat.conn == conn)
    }

    /// Takes an update in: into the replica, and out to the seats. False when it does not follow the replica's version.
    pub(super) fn update(&mut self, update: &Update, context: Context<'_>) -> bool {
        let follows =
            update.base == self.replica.version && (!self.replica.exists() || update.epoch == self.replica.epoch);
        if !follows {
            return false;
        }
        for (version, change) in (update.base + 1..).zip(&update.changes) {
            self.replica.apply(change, update.at);
            self.seat_arrival(change, context);
            self.tell(change, Stamp { epoch: update.epoch, version, timestamp: update.at });
            self.unseat(change);
        }
        true
    }

    /// A newcomer on this node gets its seat, and the room as it is now.
    fn seat_arrival(&mut self, change: &Change, context: Context<'_>) {
        let (Change::Joined { member, .. } | Change::Rejoined { member, .. } | Change::Back { member, .. }) = change
        else {
            return;
        };
        let Some(index) = self.arrivals.iter().position(|arrival| arrival.conn == member.conn) else {
            // On another node now.
            self.seats.remove(&member.user);
            return;
        };
        let arrival = self.arrivals.swap_remove(index);
        if self.arrivals.is_empty() {
            self.arrivals = Vec::new();
        }
        let mut seat = Seat {
            conn: arrival.conn,
            modern: arrival.modern,
            nudge: Nudge::new(context.now),
            // Whether it still watches is seen from now on.
            reported: member.watching.then_some(context.now),
            held: None,
            outbox: Arc::clone(&arrival.outbox),
        };
        if arrival.missed.is_some() {
            seat.held = Some(Box::new(Held { arrival, frames: Vec::new() }));
        } else {
            seat.push(&self.snapshot(&arrival, context), Kind::Direct);
        }
        self.seats.insert(member.user.clone(), seat);
    }

    /// ROOM_STATE for `arrival`.
    pub(super) fn snapshot(&self, arrival: &Arrival, context: Context<'_>) -> Frame {
        let parts = RoomStateParts {
            node: context.node,
            session: arrival.conn,
            features: arrival.features,
            resume_token: arrival.token.as_deref(),
            ping_interval: context.ping_interval,
            ice_servers: &arrival.ice_servers,
            now: context.now,
        };
        encode(&ServerFrame::RoomState(RoomState::new(&self.replica, &parts)))
    }

    /// Each frame is written once, and only if somebody here gets it.
    fn tell(&mut self, change: &Change, stamp: Stamp) {
        let seats = &mut self.seats;
        announce(change, stamp, |audience, frame| {
            let kind = if matches!(frame, ServerFrame::HostHeartbeat { .. }) { Kind::Fleeting } else { Kind::Room };
            let mut written: Option<Frame> = None;
            for (_, seat) in seats.iter_mut().filter(|(user, seat)| is_for(audience, user, seat.modern)) {
                seat.push(written.get_or_insert_with(|| encode(&frame)), kind);
            }
        });
    }

    fn unseat(&mut self, change: &Change) {
        match change {
            Change::Left { user, reason, .. } => {
                if let (Some(seat), LeftReason::Kicked { .. }) = (self.seats.remove(user), reason) {
                    seat.outbox.close(Close::Kicked);
                }
            }
            Change::Away { user, .. } => {
                self.seats.remove(user);
            }
            Change::Closed => self.seats.clear(),
            _ => {}
        }
    }
}

/// Whether `user`, of the first generation or `modern`, is of the audience.
pub(super) fn is_for(audience: Audience<'_>, user: &UserId, modern: bool) -> bool {
    match audience {
        Audience::All => true,
        Audience::AllBut(other) => other != user,
        Audience::FirstGeneration => !modern,
        Audience::FirstGenerationMember(member) => !modern && member == user,
    }
}
