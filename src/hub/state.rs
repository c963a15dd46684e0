use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use dashmap::DashMap;
use tokio::sync::oneshot;

use super::{
    HubError, LocalRoom, Schedule,
    local::{Context, Fit, Local, Phase},
    seat::Kind,
    signal::SignalIds,
    tick::RETRY,
    waiting::Waiting,
};
use crate::{
    backend::{Backend, BackendError, Commit, Due, Faults, Losses, Proposal, RoomEvents},
    clock::{Clock, Millis},
    config::IceConfig,
    id::{ConnId, NodeId, RoomId, UserId},
    ledger::{Archive, Entry, events},
    limit::Throttle,
    protocol::{ClientFrameType, Frame},
    room::{Attempt, Command, Policy, Refusal, Room, StreamPosition, Update, decide, next_due},
    telemetry::{Gap, Metrics},
};

/// How often a command is decided anew because others changed the room meanwhile. Each time costs a round trip, and somebody else's change
/// got in: sixteen were too few for a node that is slower than the others while hundreds of changes of one room are under way.
const TRIES: usize = 100;
/// How many of these in a row may find the replica as it was: more of them only put off that the room is read anew.
const BLIND: u32 = 16;

/// All rooms of a node.
pub struct Hub {
    pub(super) parts: Parts,
    pub(super) rooms: DashMap<RoomId, Arc<LocalRoom>>,
    pub(super) schedule: Schedule,
    pub(super) signals: SignalIds,
    backend: Arc<dyn Backend>,
    faults: Faults,
    pub(super) waiting: Waiting,
    /// For the log lines about the ledger.
    pub(super) recalls: Throttle,
    pub(super) losses: Losses,
}

/// What a hub is made of.
#[allow(missing_docs, reason = "each is its own name")]
pub struct Parts {
    pub node: NodeId,
    pub clock: Clock,
    pub policy: Policy,
    pub metrics: Arc<Metrics>,
    pub ping_interval: Millis,
    pub ice: IceConfig,
    /// Where rooms are looked for that shared state does not know.
    pub archive: Option<Arc<dyn Archive>>,
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub").field("node", &self.parts.node).field("rooms", &self.rooms.len()).finish_non_exhaustive()
    }
}

impl Hub {
    /// A hub over the state that `connect` leads to, which tells the hub what happens.
    pub fn new(parts: Parts, connect: impl FnOnce(Weak<dyn RoomEvents>) -> Arc<dyn Backend>) -> Arc<Self> {
        Arc::new_cyclic(|hub: &Weak<Self>| Self {
            backend: connect(Weak::clone(hub) as Weak<dyn RoomEvents>),
            rooms: DashMap::new(),
            schedule: Schedule::default(),
            signals: SignalIds::random(),
            faults: Faults::new(Arc::clone(&parts.metrics)),
            waiting: Waiting::default(),
            recalls: Throttle::new(1, 1),
            losses: Losses::new(Arc::clone(&parts.metrics)),
            parts,
        })
    }

    pub(super) fn now(&self) -> Millis {
        self.parts.clock.now()
    }

    /// This node.
    pub fn node(&self) -> &NodeId {
        &self.parts.node
    }

    /// Others go on changing a room faster than this node can follow.
    pub(super) fn contended(&self, room: &RoomId) -> HubError {
        let error = BackendError::Contended(format!("room {room}").into());
        self.faults.note(&error);
        error.into()
    }

    /// What only this node is at fault for; what shared state is, the back end says itself.
    pub(super) fn note(&self, error: &BackendError) {
        if let BackendError::Full = error {
            self.faults.note(error);
        }
    }

    /// The state that the rooms of this hub are kept in.
    pub fn shared(&self) -> &Arc<dyn Backend> {
        &self.backend
    }

    pub(super) fn backend(&self) -> &dyn Backend {
        &*self.backend
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

    pub(super) fn all(&self) -> Vec<Arc<LocalRoom>> {
        self.rooms.iter().map(|room| Arc::clone(&room)).collect()
    }

    pub(super) fn context(&self) -> Context<'_> {
        Context {
            node: &self.parts.node,
            ping_interval: self.parts.ping_interval,
            ice: &self.parts.ice,
            metrics: &self.parts.metrics,
            clock: self.parts.clock,
            now: self.now(),
        }
    }

    /// Looks after a room that survived a restart, until somebody comes or its grace is over.
    pub async fn adopt(&self, room: &RoomId) -> Result<(), HubError> {
        let room = self.open(room);
        let mut phase = room.turn.lock().await;
        self.enliven(&room, &mut phase).await
    }

    pub(super) fn open(&self, id: &RoomId) -> Arc<LocalRoom> {
        Arc::clone(
            &self.rooms.entry(id.clone()).or_insert_with(|| Arc::new(LocalRoom::new(id.clone(), &self.parts.metrics))),
        )
    }

    pub(super) async fn submit(&self, room: &Arc<LocalRoom>, command: &Command) -> Result<u64, HubError> {
        let mut phase = room.turn.lock().await;
        if *phase != Phase::Live {
            return Err(Refusal::NotJoined.into());
        }
        self.enliven(room, &mut phase).await?;
        let done = self.commit(room, command).await;
        if let Err(HubError::Refused(refusal)) = done
            && let Err(error) = self.note_refusal(room, command, refusal).await
        {
            tracing::warn!(room = %room.id, %error, "a refusal is missing in the ledger");
        }
        self.settle(room, &mut phase).await;
        done
    }

    /// Takes down in the room that `command` was refused.
    pub(super) async fn note_refusal(
        &self,
        room: &LocalRoom,
        command: &Command,
        refusal: Refusal,
    ) -> Result<(), HubError> {
        let (user, conn, origin, what) = match command {
            Command::Join(join) => (&join.user, join.conn, join.origin.now, ClientFrameType::Join),
            Command::Resume(resume) => (&resume.user, resume.conn, resume.origin.now, ClientFrameType::Resume),
            Command::Act { user, conn, action } => {
                let origin = room.local().replica.members.get(user).map(|member| member.origin);
                let Some(origin) = origin else { return Ok(()) };
                (user, *conn, origin, ClientFrameType::of_action(action))
            }
            _ => return Ok(()),
        };
        let attempt = Attempt { user: user.clone(), conn, origin, what: what.as_str().into(), refusal };
        self.commit(room, &Command::Refused(attempt)).await.map(|_| ())
    }

    /// Decides on the replica and commits; when others were first, decides again. The caller holds the room's turn.
    pub(super) async fn commit(&self, room: &LocalRoom, command: &Command) -> Result<u64, HubError> {
        let mut blind = 0;
        for _ in 0..TRIES {
            let now = self.now();
            let proposal = {
                let mut local = room.local();
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
                let due = due_after(Some(before), &draft.after, &self.parts.policy);
                local.own = Some((update.base, update.at));
                Proposal { update: Arc::new(update), after: draft.after, due, entry }
            };
            let update = Arc::clone(&proposal.update);
            // Whether it was made is not known: the room is looked at before it is let go of.
            match self.backend().commit(proposal).await.inspect_err(|_| self.doubt(room))? {
                Commit::Applied => {
                    self.hear(room, &update);
                    return Ok(update.version());
                }
                Commit::Conflict => {
                    self.parts.metrics.commit_conflicts.inc();
                    // Others' updates are here before the conflict is. Where they are not, something is on its way, or lost.
                    if room.local().replica.version == update.base {
                        if blind == BLIND {
                            break;
                        }
                        tokio::time::sleep(Duration::from_millis(1 << blind.min(5))).await;
                        blind += 1;
                    } else {
                        blind = 0;
                    }
                }
            }
        }
        self.doubt(room);
        Err(self.contended(&room.id))
    }

    /// The one way of an update into a room of this node: from shared state, and from the answer to this node's own commit. Whichever
    /// comes first counts.
    fn hear(&self, room: &LocalRoom, update: &Arc<Update>) {
        let mut local = room.local();
        match local.hear(update, self.context()) {
            // The second of the two: nothing is new.
            Fit::Known => return,
            // What this node decided itself is measured from the frame's arrival.
            Fit::Applied if local.own == Some((update.base, update.at)) => {}
            Fit::Applied => {
                let age = self.now().saturating_sub(update.at);
                self.parts.metrics.relay_remote.observe(Duration::from_millis(age));
            }
            Fit::Gap => {
                self.parts.metrics.gaps.inc(Gap::Noticed);
                local.doubt = Some(self.now());
            }
        }
        self.place(&mut local);
        drop(local);
        self.waiting.hear(update);
    }

    /// The room is looked at again soon.
    pub(super) fn doubt(&self, room: &LocalRoom) {
        let mut local = room.local();
        local.doubt = Some(self.now() + RETRY);
        self.place(&mut local);
    }

    /// A bug has struck while `room` was in hand: it is read again before anything else is decided in it.
    pub fn distrust(&self, room: &RoomId) {
        if let Some(room) = self.rooms.get(room).map(|room| Arc::clone(&room)) {
            self.doubt(&room);
        }
    }

    /// Makes sure that updates reach the replica, and that none is missing.
    pub(super) async fn enliven(&self, room: &LocalRoom, phase: &mut Phase) -> Result<(), HubError> {
        if *phase == Phase::New || room.local().doubt.is_some() {
            let read = self.refresh(room).await;
            if *phase == Phase::New && read.is_err() {
                // There is nothing here yet that could be wrong.
                room.local().doubt = None;
            }
            read?;
            *phase = Phase::Live;
            self.reschedule(room);
        }
        Ok(())
    }

    /// Lets go of a room that has nobody here, unless it is this node's to close it.
    pub(super) async fn settle(&self, room: &LocalRoom, phase: &mut Phase) {
        if !self.is_left(&room.local()) {
            return;
        }
        *phase = Phase::Retired;
        self.unschedule(room);
        if let Err(error) = self.backend().unsubscribe(&room.id).await {
            tracing::warn!(room = %room.id, %error, "a room could not be left");
        }
        // Last: whoever opens it anew subscribes anew, and that must not be undone by the above.
        self.rooms.remove(&room.id);
    }

    /// Whether nothing of a room is here any more, and its end is not this node's to see to.
    pub(super) fn is_left(&self, local: &Local) -> bool {
        let empty_here = local.seats.is_empty() && local.arrivals.is_empty() && local.doubt.is_none();
        let others = !local.replica.members.is_empty() && !self.is_home(&local.replica);
        empty_here && (!local.replica.exists() || others)
    }

    /// Whether members that are away were last on this node: then it looks after the room.
    fn is_home(&self, room: &Room) -> bool {
        room.members.values().any(|member| member.node == self.parts.node)
    }
}

/// When `after` has something to do by itself, if that is another moment than it was.
pub(super) fn due_after(before: Option<&Room>, after: &Room, policy: &Policy) -> Due {
    let due = next_due(after, policy);
    match due {
        _ if before.is_some_and(|before| next_due(before, policy) == due) => Due::Same,
        Some(at) => Due::At(at),
        None => Due::Never,
    }
}

impl RoomEvents for Hub {
    fn knows(&self, room: &RoomId, position: StreamPosition) -> bool {
        self.rooms.get(room).is_none_or(|room| room.local().knows(position))
    }

    fn update(&self, update: &Arc<Update>) {
        if let Some(room) = self.rooms.get(&update.room).map(|room| Arc::clone(&room)) {
            self.hear(&room, update);
        }
    }

    fn stale(&self, room: &RoomId) {
        if let Some(room) = self.rooms.get(room).map(|room| Arc::clone(&room)) {
            let mut local = room.local();
            local.doubt = Some(self.now());
            self.place(&mut local);
        }
    }

    fn ask(&self, room: &RoomId, user: &UserId, conn: ConnId) -> Option<oneshot::Receiver<()>> {
        let room = self.rooms.get(room).map(|room| Arc::clone(&room))?;
        let mut local = room.local();
        local.seat(user, conn).map(|seat| seat.outbox.ask())
    }

    fn signal(&self, room: &RoomId, to: &UserId, frame: &Frame) -> bool {
        let Some(room) = self.rooms.get(room).map(|room| Arc::clone(&room)) else { return false };
        let mut local = room.local();
        local.seats.get_mut(to).map(|seat| seat.push(frame, Kind::Direct)).is_some()
    }
}
