use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    nudge::Nudge,
    seat::{Arrival, Held, Kind, Seat},
};
use crate::{
    clock::{Clock, Millis},
    config::IceConfig,
    id::{ConnId, NodeId, RoomId, UserId},
    protocol::{Audience, Close, Frame, IceServer, RoomState, RoomStateParts, ServerFrame, Stamp, announce, encode},
    room::{Change, LeftReason, Member, Room, StreamPosition, Update},
    telemetry::{Gap, Metrics, Share},
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
    /// Updates may have been missed, or members of this node are not as they should be: when to look.
    pub(super) doubt: Option<Millis>,
    /// The version that this node last decided on, and when: whose an update is that comes from shared state.
    pub(super) own: Option<(u64, Millis)>,
    /// Members that are away and were last here.
    away: Share,
    /// While the room is being read, what is heard meanwhile waits here.
    catching: Option<Vec<Arc<Update>>>,
    /// Members that were taken for gone while their sockets live, as they were.
    pub(super) contested: Vec<Member>,
}

/// What became of an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// It is in.
    Applied,
    /// It was in already, or waits until the room has been read.
    Known,
    /// Something is missing before it.
    Gap,
}

/// Updates that may wait while a room is being read. Past that it is read once more.
const CATCHING: usize = 4_096;

/// What is the same in every room of a node.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) node: &'a NodeId,
    pub(super) ping_interval: Millis,
    pub(super) ice: &'a IceConfig,
    pub(super) metrics: &'a Metrics,
    pub(super) clock: Clock,
    pub(super) now: Millis,
}

impl LocalRoom {
    pub(super) fn new(id: RoomId, metrics: &Metrics) -> Self {
        let local = Local {
            replica: Room::vacant(id.clone()),
            seats: HashMap::new(),
            arrivals: Vec::new(),
            scheduled: None,
            doubt: None,
            catching: None,
            contested: Vec::new(),
            own: None,
            away: Share::new(&metrics.away, 0),
        };
        Self { id, turn: tokio::sync::Mutex::new(Phase::New), state: Mutex::new(local) }
    }

    /// Short and never across an await. After a panic under it the room is read again ([`super::Hub::distrust`]), so the lock is used on.
    pub(super) fn local(&self) -> MutexGuard<'_, Local> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Local {
    /// Whether `user` sits here on `conn`.
    pub(super) fn seat(&mut self, user: &UserId, conn: ConnId) -> Option<&mut Seat> {
        self.seats.get_mut(user).filter(|seat| seat.conn == conn)
    }

    /// Takes an update in, or keeps it for later while the room is being read.
    pub(super) fn hear(&mut self, update: &Arc<Update>, context: Context<'_>) -> Fit {
        let Some(catching) = &mut self.catching else { return self.update(update, context) };
        if catching.len() >= CATCHING {
            catching.clear();
            context.metrics.gaps.inc(Gap::Noticed);
            self.doubt = Some(context.now);
        }
        catching.push(Arc::clone(update));
        Fit::Known
    }

    /// From now on updates wait.
    pub(super) fn begin_catching(&mut self) {
        self.catching.get_or_insert_default();
    }

    /// What has waited.
    pub(super) fn end_catching(&mut self) -> Vec<Arc<Update>> {
        self.catching.take().unwrap_or_default()
    }

    /// Whether the replica has come as far as this position.
    pub(super) fn knows(&self, position: StreamPosition) -> bool {
        let is = self.replica.position();
        self.replica.exists() && is.epoch == position.epoch && is.version >= position.version
    }

    /// Into the replica, and out to the seats.
    pub(super) fn update(&mut self, update: &Update, context: Context<'_>) -> Fit {
        let ended = !self.replica.exists() && update.changes.last() == Some(&Change::Closed);
        if ended || self.knows(update.position()) {
            return Fit::Known;
        }
        let follows =
            update.base == self.replica.version && (!self.replica.exists() || update.epoch == self.replica.epoch);
        if !follows {
            return Fit::Gap;
        }
        for (version, change) in (update.base + 1..).zip(&update.changes) {
            self.contest(change, context);
            self.replica.apply(change, update.at);
            self.seat_arrival(change, context);
            self.tell(change, Stamp { epoch: update.epoch, version, timestamp: update.at });
            self.unseat(change);
        }
        if update.changes.iter().any(moves) {
            self.count_away(context);
        }
        Fit::Applied
    }

    /// A socket that is given up gives its seat back before that is decided. So if there still is one, others decided, and they are wrong.
    fn contest(&mut self, change: &Change, context: Context<'_>) {
        let (Change::Away { user, .. }
        | Change::Left { user, reason: LeftReason::Disconnected | LeftReason::Expired, .. }) = change
        else {
            return;
        };
        let Some(member) = self.replica.members.get(user) else { return };
        if self.seats.get(user).is_some_and(|seat| seat.conn == member.conn) {
            self.contested.push(member.clone());
            self.doubt = Some(context.now);
        }
    }

    /// Another room in place of this one: whoever sits here is told that it missed something, and how things are now.
    pub(super) fn adopt(&mut self, fresh: Room, reason: &'static str, context: Context<'_>) {
        let old = std::mem::replace(&mut self.replica, fresh);
        let here = |user: &UserId, conn: ConnId| {
            self.replica.members.get(user).is_some_and(|member| member.conn == conn && member.present())
        };
        // Who has another socket by now sits elsewhere; who has none is contested.
        let moved =
            |user: &UserId, conn: ConnId| self.replica.members.get(user).is_some_and(|member| member.conn != conn);
        self.seats.retain(|user, seat| !moved(user, seat.conn));
        // Another room of this name, with another PIN, is not theirs to come back to.
        let same = self.replica.exists() && self.replica.pin == old.pin;
        let contested = &mut self.contested;
        self.seats.retain(|user, seat| {
            let member = old.members.get(user).filter(|member| member.conn == seat.conn);
            match member {
                _ if here(user, seat.conn) => true,
                Some(member) if same => {
                    contested.push(member.clone());
                    true
                }
                _ => {
                    seat.outbox.close(Close::SeatLost);
                    false
                }
            }
        });
        let room = &self.replica;
        for (user, seat) in &mut self.seats {
            start_over(seat, room, user, reason, context);
        }
        self.count_away(context);
    }

    /// Those whose seats this node keeps for them.
    fn count_away(&mut self, context: Context<'_>) {
        let members = self.replica.members.values();
        let away = members.filter(|member| !member.present() && member.node == *context.node).count();
        self.away.set(i64::try_from(away).unwrap_or(i64::MAX));
    }

    /// A newcomer on this node gets its seat, and the room as it is now.
    fn seat_arrival(&mut self, change: &Change, context: Context<'_>) {
        let (Change::Joined { member, .. } | Change::Rejoined { member, .. } | Change::Back { member, .. }) = change
        else {
            return;
        };
        let Some(index) = self.arrivals.iter().position(|arrival| arrival.conn == member.conn) else {
            match self.seats.get_mut(&member.user).filter(|seat| seat.conn == member.conn) {
                Some(seat) if matches!(change, Change::Joined { .. }) => {
                    // Its place was given up meanwhile, and it has another one.
                    start_over(seat, &self.replica, &member.user, "history_gone", context);
                }
                Some(_) => {}
                None => self.seat_elsewhere(member, context),
            }
            return;
        };
        let arrival = self.arrivals.swap_remove(index);
        if self.arrivals.is_empty() {
            self.arrivals = Vec::new();
        }
        let mut seat = Seat {
            conn: arrival.conn,
            modern: arrival.modern,
            features: arrival.features,
            nudge: Nudge::new(context.now),
            // Whether it still watches is seen from now on.
            reported: member.watching.then_some(context.now),
            held: None,
            outbox: Arc::clone(&arrival.outbox),
            present: Share::new(&context.metrics.present, 1),
        };
        if arrival.missed.is_some() {
            seat.held = Some(Box::new(Held::new(arrival)));
        } else {
            seat.push(&self.snapshot(&arrival, &member.user, context), Kind::Direct);
        }
        self.seats.insert(member.user.clone(), seat);
    }

    /// The answer to somebody's coming did not come. If its seat did all the same, the version at which it has it.
    pub(super) fn give_up(&mut self, user: &UserId, conn: ConnId) -> Option<u64> {
        let waiting = self.arrivals.len();
        self.arrivals.retain(|arrival| arrival.conn != conn);
        let seated = waiting == self.arrivals.len() && self.seat(user, conn).is_some();
        seated.then_some(self.replica.version)
    }

    /// A seat was taken by a socket that is not about to take one here.
    fn seat_elsewhere(&mut self, member: &Member, context: Context<'_>) {
        self.seats.remove(&member.user);
        if member.node == *context.node {
            // It gave up waiting for the answer.
            self.doubt = Some(context.now);
        }
    }

    /// ROOM_STATE for `arrival`.
    pub(super) fn snapshot(&self, arrival: &Arrival, user: &UserId, context: Context<'_>) -> Frame {
        let ice_servers = context.ice.for_user(user, &context.clock);
        let token = arrival.token.as_deref();
        whole(&self.replica, arrival.conn, arrival.features, token, &ice_servers, context)
    }

    /// Each frame is written once, and only if somebody here gets it.
    fn tell(&mut self, change: &Change, stamp: Stamp) {
        // Who is contested has not left.
        let spared = match change {
            Change::Left { user, .. } if self.is_contested(user) => Some(user),
            _ => None,
        };
        let seats = &mut self.seats;
        announce(change, stamp, |audience, frame| {
            let mut written: Option<Frame> = None;
            let told = |user: &UserId, seat: &Seat| Some(user) != spared && is_for(audience, user, seat.modern);
            for (_, seat) in seats.iter_mut().filter(|(user, seat)| told(user, seat)) {
                seat.push(written.get_or_insert_with(|| encode(&frame)), Kind::Room);
            }
        });
    }

    fn is_contested(&self, user: &UserId) -> bool {
        self.contested.iter().any(|member| member.user == *user)
    }

    fn unseat(&mut self, change: &Change) {
        match change {
            Change::Left { user, reason, .. } if !self.is_contested(user) => {
                if let (Some(seat), LeftReason::Kicked { .. }) = (self.seats.remove(user), reason) {
                    seat.outbox.close(Close::Kicked);
                }
            }
            Change::Closed => self.seats.clear(),
            _ => {}
        }
    }
}

/// Whether it changes who is here or away.
fn moves(change: &Change) -> bool {
    matches!(
        change,
        Change::Joined { .. }
            | Change::Rejoined { .. }
            | Change::Back { .. }
            | Change::Away { .. }
            | Change::Left { .. }
            | Change::Closed
    )
}

/// What a seat was told so far does not lead to how things are now.
fn start_over(seat: &mut Seat, room: &Room, user: &UserId, reason: &'static str, context: Context<'_>) {
    if seat.modern {
        seat.push(&encode(&ServerFrame::Discontinuity { reason }), Kind::Direct);
    }
    let ice_servers = context.ice.for_user(user, &context.clock);
    let state = whole(room, seat.conn, seat.features, None, &ice_servers, context);
    seat.push(&state, Kind::Direct);
}

/// ROOM_STATE.
fn whole(
    room: &Room,
    session: ConnId,
    features: &[&'static str],
    resume_token: Option<&str>,
    ice_servers: &[IceServer],
    context: Context<'_>,
) -> Frame {
    let parts = RoomStateParts {
        node: context.node,
        session,
        features,
        resume_token,
        ping_interval: context.ping_interval,
        ice_servers,
        now: context.now,
    };
    encode(&ServerFrame::RoomState(RoomState::new(room, &parts)))
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
