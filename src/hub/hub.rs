use std::sync::Arc;

use dashmap::DashMap;
use futures_util::{StreamExt as _, stream};

use super::{
    HubError, LocalRoom, Schedule,
    local::{Context, Local, Phase, is_for},
    seat::{Arrival, Held, Kind, Membership, Missed},
};
use crate::{
    backend::{Backend, Commit, Sink},
    clock::{Clock, Millis},
    id::{ConnId, NodeId, RoomId, UserId},
    ledger::{Entry, events},
    limit::PinThrottle,
    protocol::{Frame, ServerFrame, Stamp, announce, encode},
    room::{Action, Command, Join, Policy, Refusal, Resume, Room, Update, decide, next_due},
    telemetry::Metrics,
};

/// How often a command is decided anew because others changed the room meanwhile.
const TRIES: usize = 16;
/// A member that has not reported its position for this long is not watching.
const WATCHING: Millis = 10_000;
/// How long a room that could not do what was due waits for its next try.
const RETRY: Millis = 1_000;
/// Rooms whose time has come that are looked after at once.
const TICKS: usize = 64;

/// All rooms of a node.
pub struct Hub {
    parts: Parts,
    rooms: DashMap<RoomId, Arc<LocalRoom>>,
    schedule: Schedule,
    pins: PinThrottle,
    pub(super) signals: super::signal::SignalIds,
}

/// What a hub is made of.
#[allow(missing_docs, reason = "each is its own name")]
pub struct Parts {
    pub node: NodeId,
    pub clock: Clock,
    pub policy: Policy,
    pub backend: Arc<dyn Backend>,
    pub metrics: Arc<Metrics>,
    pub ping_interval: Millis,
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub").field("node", &self.parts.node).field("rooms", &self.rooms.len()).finish_non_exhaustive()
    }
}

impl Hub {
    /// A hub that hears from its backend.
    pub fn new(parts: Parts) -> Arc<Self> {
        let hub = Arc::new(Self {
            rooms: DashMap::new(),
            schedule: Schedule::default(),
            pins: PinThrottle::default(),
            signals: super::signal::SignalIds::random(),
            parts,
        });
        hub.parts.backend.attach(Arc::clone(&hub) as Arc<dyn Sink>);
        hub
    }

    pub(super) fn now(&self) -> Millis {
        self.parts.clock.now()
    }

    /// This node.
    pub fn node(&self) -> &NodeId {
        &self.parts.node
    }

    pub(super) fn backend(&self) -> &dyn Backend {
        &*self.parts.backend
    }

    /// Rooms that this node takes part in.
    pub fn len(&self) -> usize {
        self.rooms.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rooms.is_empty()
    }

    /// Shows every room, one at a time.
    pub fn inspect(&self, mut look: impl FnMut(&Room, usize)) {
        for room in self.all() {
            let local = room.local();
            look(&local.replica, local.seats.len());
        }
    }

    fn all(&self) -> Vec<Arc<LocalRoom>> {
        self.rooms.iter().map(|room| Arc::clone(&room)).collect()
    }

    fn context(&self) -> Context<'_> {
        Context { node: &self.parts.node, ping_interval: self.parts.ping_interval, now: self.now() }
    }

    /// Looks after a room that survived a restart, until somebody comes or its grace is over.
    pub async fn adopt(&self, room: &RoomId) -> Result<(), HubError> {
        let room = self.open(room);
        let mut phase = room.turn.lock().await;
        self.enliven(&room, &mut phase).await
    }

    /// Lets somebody in. The answer, ROOM_STATE, goes through the outbox of `arrival`.
    pub async fn join(&self, id: &RoomId, join: Join, arrival: Arrival) -> Result<(Membership, u64), HubError> {
        self.enter(id, arrival, &join.user.clone(), Command::Join(join)).await
    }

    /// Lets somebody back into its seat: RESUMED and what it missed, or DISCONTINUITY and ROOM_STATE.
    pub async fn resume(&self, id: &RoomId, resume: Resume, arrival: Arrival) -> Result<(Membership, u64), HubError> {
        self.enter(id, arrival, &resume.user.clone(), Command::Resume(resume)).await
    }

    async fn enter(
        &self,
        id: &RoomId,
        arrival: Arrival,
        user: &UserId,
        command: Command,
    ) -> Result<(Membership, u64), HubError> {
        let conn = arrival.conn;
        loop {
            let room = self.open(id);
            let mut phase = room.turn.lock().await;
            if *phase == Phase::Retired {
                continue;
            }
            let entered = match self.enliven(&room, &mut phase).await {
                Ok(()) => {
                    room.local().arrivals.push(arrival);
                    self.admit(&room, &command).await
                }
                Err(error) => Err(error),
            };
            match &entered {
                Ok(version) => self.catch_up(&room, user, conn, *version).await,
                Err(_) => room.local().arrivals.retain(|arrival| arrival.conn != conn),
            }
            self.settle(&room, &mut phase).await;
            drop(phase);
            return entered.map(|version| (Membership { room, user: user.clone(), conn }, version));
        }
    }

    fn open(&self, id: &RoomId) -> Arc<LocalRoom> {
        Arc::clone(&self.rooms.entry(id.clone()).or_insert_with(|| Arc::new(LocalRoom::new(id.clone()))))
    }

    async fn admit(&self, room: &LocalRoom, command: &Command) -> Result<u64, HubError> {
        let tries_pin = matches!(command, Command::Join(join) if room.local().replica.compares_pin(join));
        if tries_pin {
            self.pins.check(&room.id, self.now()).map_err(|retry_after| HubError::PinLocked { retry_after })?;
        }
        let admitted = self.commit(room, command).await;
        if tries_pin && matches!(admitted, Err(HubError::Refused(Refusal::InvalidPin))) {
            self.pins.miss(&room.id, self.now());
        }
        admitted
    }

    /// Tells a resuming member what it missed. Its seat holds back whatever happens meanwhile.
    async fn catch_up(&self, room: &LocalRoom, user: &UserId, conn: ConnId, version: u64) {
        let missed = {
            let mut local = room.local();
            local.seat(user, conn).and_then(|seat| seat.held.as_ref()).and_then(|held| held.arrival.missed)
        };
        let Some(Missed { epoch, version: after }) = missed else { return };
        let history = self.backend().history(&room.id, epoch, after).await;
        let inbox = self.backend().inbox(&room.id, user).await;
        let mut local = room.local();
        let Some(Held { arrival, frames: mut held }) = local.seat(user, conn).and_then(|seat| seat.held.take()) else {
            return;
        };
        let context = self.context();
        let mut frames = Vec::new();
        if let Ok(Some(updates)) = history {
            let replayed = replay(&updates, user, after, version);
            frames.push(encode(&ServerFrame::Resumed {
                version,
                epoch,
                replayed: replayed.len(),
                resume_token: arrival.token.as_deref().unwrap_or_default(),
                session: conn,
                server_time: context.now,
                ice_servers: &arrival.ice_servers,
            }));
            frames.extend(replayed);
            self.parts.metrics.resumed.replayed();
        } else {
            let reason = if local.replica.epoch == epoch { "history_gone" } else { "epoch_changed" };
            frames.push(encode(&ServerFrame::Discontinuity { reason }));
            frames.push(local.snapshot(&arrival, context));
            // The snapshot has them already.
            held.retain(|(_, kind)| *kind == Kind::Direct);
            self.parts.metrics.resumed.snapshot();
        }
        match inbox {
            Ok(signals) => frames.extend(signals),
            Err(error) => tracing::warn!(room = %room.id, %error, "signals kept for a member could not be read"),
        }
        if let Some(seat) = local.seat(user, conn) {
            for frame in frames {
                seat.push(&frame, Kind::Direct);
            }
            for (frame, kind) in held {
                seat.push(&frame, kind);
            }
        }
    }

    /// Does what a member asks for. The version that resulted.
    pub async fn act(&self, seat: &Membership, action: Action) -> Result<u64, HubError> {
        if let Action::Heartbeat { .. } = action {
            let now = self.now();
            if let Some(seat) = seat.room.local().seat(&seat.user, seat.conn) {
                seat.nudge.heard(now);
            }
        }
        self.submit(&seat.room, &Command::Act { user: seat.user.clone(), conn: seat.conn, action }).await
    }

    /// A socket is gone.
    pub async fn disconnect(&self, seat: &Membership, keep_seat: bool) -> Result<(), HubError> {
        let command = Command::Disconnect { user: seat.user.clone(), conn: seat.conn, keep_seat };
        self.submit(&seat.room, &command).await.map(|_| ())
    }

    /// A member says where its player is. What the room needs to know of that is little, and seldom.
    pub async fn report(&self, seat: &Membership, position: f64, playing: bool) -> Result<(), HubError> {
        let now = self.now();
        let mut actions = Vec::new();
        {
            let mut local = seat.room.local();
            let local = &mut *local;
            let Some(place) = local.seats.get_mut(&seat.user).filter(|place| place.conn == seat.conn) else {
                return Err(Refusal::NotJoined.into());
            };
            place.reported = Some(now);
            let host = local.replica.is_host(&seat.user);
            if host && !place.modern && place.nudge.is_due(now) {
                let reminder = ServerFrame::HostChanged {
                    host_user_id: &seat.user,
                    epoch: local.replica.epoch,
                    version: local.replica.version,
                    timestamp: now,
                };
                place.push(&encode(&reminder), Kind::Direct);
            }
            if local.replica.members.get(&seat.user).is_some_and(|member| !member.watching) {
                actions.push(Action::Watching { watching: true });
            }
            let report = Action::Report { position, playing };
            if host && wanted(local, seat, &report, &self.parts.policy, now) {
                actions.push(report);
            }
        }
        for action in actions {
            self.act(seat, action).await?;
        }
        Ok(())
    }

    /// SYNC_RESPONSE for a member.
    pub fn sync(&self, seat: &Membership, respect_auto_play: bool) -> Result<Frame, HubError> {
        let now = self.now();
        let mut local = seat.room.local();
        if local.seat(&seat.user, seat.conn).is_none() {
            return Err(Refusal::NotJoined.into());
        }
        let room = &local.replica;
        // A host that is told the room's url may be led back to the page that it is just leaving.
        let url = if room.is_host(&seat.user) { None } else { Some(room.url.as_deref().unwrap_or_default()) };
        Ok(encode(&ServerFrame::SyncResponse {
            from_user_id: "server",
            current_time: room.timeline.position_at(now),
            is_playing: room.timeline.playing,
            url,
            respect_auto_play,
            timeline: (&room.timeline).into(),
            timestamp: now,
        }))
    }

    /// Gives everybody who knows what to do with it something of this node's own.
    pub fn tell_modern(&self, frame: impl Fn(&UserId) -> Frame) {
        for room in self.all() {
            for (user, seat) in room.local().seats.iter_mut().filter(|(_, seat)| seat.modern) {
                seat.push(&frame(user), Kind::Direct);
            }
        }
    }

    /// Does what rooms have to do by themselves, for ever.
    pub async fn run(&self) {
        loop {
            let due = self.schedule.next(&self.parts.clock).await;
            let ticks = stream::iter(due).for_each_concurrent(TICKS, |(at, id)| async move {
                let Some(room) = self.rooms.get(&id).map(|room| Arc::clone(&room)) else { return };
                {
                    let mut local = room.local();
                    if local.scheduled == Some(at) {
                        local.scheduled = None;
                    }
                }
                if let Err(error) = self.tick(&room).await {
                    tracing::warn!(room = %id, %error, "a room could not do what was due, it is tried again");
                    let mut local = room.local();
                    let again = Some(self.now() + RETRY);
                    self.schedule.set(&id, local.scheduled, again);
                    local.scheduled = again;
                }
            });
            ticks.await;
        }
    }

    async fn tick(&self, room: &Arc<LocalRoom>) -> Result<(), HubError> {
        let mut phase = room.turn.lock().await;
        if *phase != Phase::Live {
            return Ok(());
        }
        loop {
            let before = room.local().replica.version;
            if self.commit(room, &Command::Tick).await? == before {
                break;
            }
        }
        self.forget_idle_watchers(room).await?;
        self.settle(room, &mut phase).await;
        self.reschedule(room);
        Ok(())
    }

    async fn forget_idle_watchers(&self, room: &LocalRoom) -> Result<(), HubError> {
        let now = self.now();
        let idle: Vec<_> = {
            let mut local = room.local();
            let stale = |at: Millis| now.saturating_sub(at) >= WATCHING;
            let idle = local.seats.iter_mut().filter(|(_, seat)| seat.reported.is_some_and(stale));
            idle.map(|(user, seat)| {
                seat.reported = None;
                (user.clone(), seat.conn)
            })
            .collect()
        };
        for (user, conn) in idle {
            self.commit(room, &Command::Act { user, conn, action: Action::Watching { watching: false } }).await?;
        }
        Ok(())
    }

    async fn submit(&self, room: &Arc<LocalRoom>, command: &Command) -> Result<u64, HubError> {
        let mut phase = room.turn.lock().await;
        if *phase != Phase::Live {
            return Err(Refusal::NotJoined.into());
        }
        let done = self.commit(room, command).await;
        self.settle(room, &mut phase).await;
        done
    }

    /// Decides on the replica and commits; when others were first, decides again. The caller holds the room's turn.
    async fn commit(&self, room: &LocalRoom, command: &Command) -> Result<u64, HubError> {
        for _ in 0..TRIES {
            let now = self.now();
            let (update, entry) = {
                let local = room.local();
                let before = &local.replica;
                let draft = decide(before, command, &self.parts.policy, now)?;
                if draft.changes.is_empty() {
                    return Ok(before.version);
                }
                let epoch = if before.exists() { before.epoch } else { draft.after.epoch };
                let update =
                    Update { room: room.id.clone(), epoch, base: before.version, at: now, changes: draft.changes };
                let audited = events(&update, &self.parts.node);
                let entry = Entry::new(&update, audited, &draft.after);
                (update, entry)
            };
            let version = update.version();
            match self.backend().commit(update, entry).await? {
                Commit::Applied => return Ok(version),
                Commit::Conflict(fresh) => {
                    self.parts.metrics.commit_conflicts.inc();
                    room.local().replica = fresh;
                }
            }
        }
        Err(HubError::Contended)
    }

    async fn enliven(&self, room: &LocalRoom, phase: &mut Phase) -> Result<(), HubError> {
        if *phase == Phase::New {
            let fresh = self.backend().subscribe(&room.id).await?;
            room.local().replica = fresh;
            *phase = Phase::Live;
            self.reschedule(room);
        }
        Ok(())
    }

    /// Lets go of a room that has nobody here, unless it is this node's to close it.
    async fn settle(&self, room: &LocalRoom, phase: &mut Phase) {
        {
            let local = room.local();
            let empty_here = local.seats.is_empty() && local.arrivals.is_empty();
            let others = !local.replica.members.is_empty() && !self.is_home(&local.replica);
            if !empty_here || (local.replica.exists() && !others) {
                return;
            }
        }
        *phase = Phase::Retired;
        self.rooms.remove(&room.id);
        self.unschedule(room);
        if let Err(error) = self.backend().unsubscribe(&room.id).await {
            tracing::warn!(room = %room.id, %error, "a room could not be left");
        }
    }

    /// Whether members that are away were last on this node: then it looks after the room.
    fn is_home(&self, room: &Room) -> bool {
        room.members.values().any(|member| member.node == self.parts.node)
    }

    fn unschedule(&self, room: &LocalRoom) {
        let mut local = room.local();
        self.schedule.set(&room.id, local.scheduled.take(), None);
    }

    fn reschedule(&self, room: &LocalRoom) {
        self.place(&mut room.local());
    }

    fn place(&self, local: &mut Local) {
        let due = next_due(&local.replica, &self.parts.policy);
        let idle = local.seats.values().filter_map(|seat| seat.reported).min().map(|at| at + WATCHING);
        let next = match (due, idle) {
            (Some(due), Some(idle)) => Some(due.min(idle)),
            (due, idle) => due.or(idle),
        };
        self.schedule.set(&local.replica.id, local.scheduled, next);
        local.scheduled = next;
    }
}

/// Whether the room would take the host's report as news.
fn wanted(local: &Local, seat: &Membership, report: &Action, policy: &Policy, now: Millis) -> bool {
    let command = Command::Act { user: seat.user.clone(), conn: seat.conn, action: report.clone() };
    decide(&local.replica, &command, policy, now).is_ok_and(|draft| !draft.changes.is_empty())
}

/// The room frames that `user` would have got between two versions.
fn replay(updates: &[Arc<Update>], user: &UserId, after: u64, until: u64) -> Vec<Frame> {
    let mut frames = Vec::new();
    for update in updates {
        for (version, change) in (update.base + 1..).zip(&update.changes) {
            if version <= after || version >= until {
                continue;
            }
            let stamp = Stamp { epoch: update.epoch, version, timestamp: update.at };
            announce(change, stamp, |audience, frame| {
                if is_for(audience, user, true) {
                    frames.push(encode(&frame));
                }
            });
        }
    }
    frames
}

impl Sink for Hub {
    fn update(&self, update: &Arc<Update>) {
        let Some(room) = self.rooms.get(&update.room).map(|room| Arc::clone(&room)) else { return };
        let mut local = room.local();
        if local.update(update, self.context()) {
            self.place(&mut local);
        } else {
            tracing::debug!(room = %update.room, base = update.base, have = local.replica.version, "an update does not fit");
        }
    }

    fn signal(&self, room: &RoomId, to: &UserId, frame: Frame) {
        let Some(room) = self.rooms.get(room).map(|room| Arc::clone(&room)) else { return };
        if let Some(seat) = room.local().seats.get_mut(to) {
            seat.push(&frame, Kind::Direct);
        }
    }
}
