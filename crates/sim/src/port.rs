//! A node's door to the store: what `backend/redis` is in production, on the network of [`crate::bus`].

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use async_trait::async_trait;
use tandem::{
    backend::{
        BackendError, Backlog, Commit, Delivery, DeploymentError, Due, Inbox, LedgerFeed, Membership, Proposal,
        Renewal, RoomEvents, RoomStore, ShortCodes, SignalBus, answered,
    },
    clock::{Clock, Look, Millis},
    id::{ConnId, NodeId, RoomId, UserId},
    ledger::Entry,
    protocol::Frame,
    room::{Room, StreamPosition, Update},
};
use tokio::{
    sync::{Notify, mpsc, oneshot, watch},
    task::AbortHandle,
    time::{Instant, sleep, sleep_until, timeout},
};

use crate::{
    bus::{Bus, Down, Job, Shared, Stray, lock},
    chance::Dice,
    gate::Gate,
    record::Event,
    store::Kept,
};

/// `REDIS_TIMEOUT_SECONDS`.
const TIMEOUT: Duration = Duration::from_secs(2);
/// How often a link is probed.
const PROBE: Duration = Duration::from_secs(1);
/// How long another node has to ask a socket for a sign of life.
const ASKED: Duration = Duration::from_secs(4);
const HOPS: u8 = 3;
/// How long a node has for the rooms of a dead one, in ms.
const CLAIM: Millis = 10_000;

pub struct Port {
    pub name: NodeId,
    bus: Shared,
    events: Weak<dyn RoomEvents>,
    gate: Arc<Gate>,
    link: Mutex<Link>,
    up: watch::Sender<bool>,
    strays: mpsc::UnboundedSender<Stray>,
    waiting_strays: Mutex<Option<mpsc::UnboundedReceiver<Stray>>>,
    /// Entries of this node that the worker has not taken yet.
    retained: Mutex<BTreeMap<u64, Arc<Entry>>>,
    dice: Mutex<Dice>,
    lease: Millis,
}

#[derive(Default)]
struct Link {
    connection: Option<Connection>,
    rooms: BTreeSet<RoomId>,
}

struct Connection {
    generation: u64,
    jobs: Arc<Queue>,
    last: Instant,
    tasks: [AbortHandle; 2],
}

/// What was asked and has not arrived.
#[derive(Default)]
struct Queue {
    jobs: Mutex<VecDeque<(Instant, Job)>>,
    more: Notify,
}

impl Drop for Connection {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Port {
    pub fn new(
        name: NodeId,
        bus: &Shared,
        events: Weak<dyn RoomEvents>,
        gate: &Arc<Gate>,
        dice: Dice,
        lease: Duration,
    ) -> Arc<Self> {
        let (strays, waiting_strays) = mpsc::unbounded_channel();
        Arc::new(Self {
            name,
            bus: Arc::clone(bus),
            events,
            gate: Arc::clone(gate),
            link: Mutex::default(),
            up: watch::Sender::new(false),
            strays,
            waiting_strays: Mutex::new(Some(waiting_strays)),
            retained: Mutex::default(),
            dice: Mutex::new(dice),
            lease: u64::try_from(lease.as_millis()).unwrap_or_default(),
        })
    }

    fn sink(&self) -> Option<Arc<dyn RoomEvents>> {
        self.events.upgrade()
    }

    /// Asks the store for something: sent now, done when it arrives, answered when that comes back.
    async fn ask<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Bus) -> T + Send + 'static,
    ) -> Result<T, BackendError> {
        let answer = {
            let mut link = self.link.lock().unwrap();
            let Some(connection) = &mut link.connection else { return Err(unreachable()) };
            let (answer, answered) = oneshot::channel();
            let (name, generation) = (self.name.clone(), connection.generation);
            let job = move |bus: &mut Bus| {
                let value = act(bus);
                let reply = Down::Answer(Box::new(move || drop(answer.send(value))));
                if bus.is_connected(&name, generation) {
                    bus.send(&name, reply);
                }
            };
            let delay = lock(&self.bus).delay(&self.name);
            connection.last = connection.last.max(Instant::now() + delay);
            connection.jobs.jobs.lock().unwrap().push_back((connection.last, Box::new(job)));
            connection.jobs.more.notify_one();
            answered
        };
        match timeout(TIMEOUT, answer).await {
            Ok(answer) => answer.map_err(|_| unreachable()),
            Err(_) => Err(BackendError::Timeout),
        }
    }

    /// Keeps the link, for ever: connects, and when the connection has ended or lies, connects anew.
    pub async fn run(self: Arc<Self>) {
        let strays = self.waiting_strays.lock().unwrap().take();
        tokio::join!(self.keep_link(), async {
            if let Some(strays) = strays {
                self.send_strays(strays).await;
            }
        });
    }

    async fn keep_link(self: &Arc<Self>) {
        let mut wait = 50;
        loop {
            if self.establish().await.is_err() {
                self.hang_up();
                let pause = self.dice.lock().unwrap().between(wait / 2, wait);
                sleep(Duration::from_millis(pause)).await;
                wait = (wait * 2).min(2_000);
                continue;
            }
            wait = 50;
            self.up.send_replace(true);
            while self.probe().await {
                sleep(PROBE).await;
            }
            self.up.send_replace(false);
            self.hang_up();
        }
    }

    /// Connects and listens to everything that was listened to before. Whatever was said meanwhile was missed.
    async fn establish(self: &Arc<Self>) -> Result<(), BackendError> {
        sleep(Duration::from_millis(2)).await;
        if !lock(&self.bus).can_connect(&self.name) {
            return Err(unreachable());
        }
        let rooms = {
            let mut link = self.link.lock().unwrap();
            let rooms = link.rooms.clone();
            let (down, inbound) = mpsc::unbounded_channel();
            let generation = lock(&self.bus).connect(&self.name, rooms.clone(), down);
            let jobs = Arc::<Queue>::default();
            let hears = tokio::spawn(self.gate.through(Arc::clone(self).hear_all(inbound)));
            let carries = tokio::spawn(carry(Arc::clone(&self.bus), Arc::clone(&jobs)));
            let tasks = [hears.abort_handle(), carries.abort_handle()];
            link.connection = Some(Connection { generation, jobs, last: Instant::now(), tasks });
            rooms
        };
        if let Some(sink) = self.sink() {
            rooms.iter().for_each(|room| sink.stale(room));
        }
        self.announce_rooms().await?;
        self.append_lost().await
    }

    /// Whether the link answers and hears.
    async fn probe(&self) -> bool {
        let name = self.name.clone();
        matches!(self.ask(move |bus| bus.hears(&name)).await, Ok(true))
    }

    /// The connection is no more: of what has not arrived yet a part still may.
    pub fn hang_up(&self) {
        let connection = self.link.lock().unwrap().connection.take();
        let Some(connection) = connection else { return };
        let mut bus = lock(&self.bus);
        if bus.is_connected(&self.name, connection.generation) {
            bus.disconnect(&self.name);
        }
        let jobs = std::mem::take(&mut *connection.jobs.jobs.lock().unwrap());
        let arrive = self.dice.lock().unwrap().index(jobs.len() + 1);
        if !bus.away {
            jobs.into_iter().take(arrive).for_each(|(_, job)| job(&mut bus));
        }
    }

    /// The network or the store ended the connection, and the node notices at once.
    pub fn is_cut(&self) {
        self.up.send_replace(false);
        self.hang_up();
    }

    async fn hear_all(self: Arc<Self>, mut inbound: mpsc::UnboundedReceiver<(Instant, Down)>) {
        while let Some((at, what)) = inbound.recv().await {
            sleep_until(at).await;
            self.hear(what);
        }
    }

    fn hear(self: &Arc<Self>, what: Down) {
        let Some(sink) = self.sink() else { return };
        match what {
            Down::Update(update) => {
                if !sink.knows(&update.room, update.position()) {
                    sink.update(&update);
                }
            }
            Down::Replaced(room, point) => {
                if !sink.knows(&room, point) {
                    sink.stale(&room);
                }
            }
            Down::Signal(stray) => {
                if !sink.signal(&stray.room, &stray.to, &stray.frame) {
                    let _ = self.strays.send(stray);
                }
            }
            Down::Ask { room, user, conn, from, answer } => {
                let (port, asked) = (Arc::clone(self), sink.ask(&room, &user, conn));
                tokio::spawn(self.gate.through(async move {
                    let answers = answered(asked).await;
                    let reply = move |bus: &mut Bus| {
                        bus.send(&from, Down::Answer(Box::new(move || answer.send(answers).map_or((), |()| ()))));
                    };
                    let _ = port.ask(reply).await;
                }));
            }
            Down::Answer(answer) => answer(),
        }
    }

    async fn send(&self, stray: Stray, at: Option<NodeId>) -> Result<Delivery, BackendError> {
        let Some(node) = at else { return Box::pin(self.send_on(stray)).await };
        let sent = stray.clone();
        if self.ask(move |bus| bus.send(&node, Down::Signal(sent))).await? {
            return Ok(Delivery::Sent);
        }
        match self.keep(stray, true).await? {
            Kept::Nobody => Ok(Delivery::Nobody),
            Kept::Yes | Kept::At(_) => Ok(Delivery::Kept),
        }
    }

    async fn send_on(&self, stray: Stray) -> Result<Delivery, BackendError> {
        match self.keep(stray.clone(), stray.hops >= HOPS).await? {
            Kept::Yes => Ok(Delivery::Kept),
            Kept::Nobody => Ok(Delivery::Nobody),
            Kept::At(node) => self.send(Stray { hops: stray.hops + 1, ..stray }, Some(node)).await,
        }
    }

    async fn keep(&self, stray: Stray, wherever: bool) -> Result<Kept, BackendError> {
        self.ask(move |bus| bus.store.keep(&stray.room, &stray.to, &stray.frame, wherever)).await
    }

    async fn send_strays(&self, mut strays: mpsc::UnboundedReceiver<Stray>) {
        while let Some(stray) = strays.recv().await {
            if self.send_on(stray.clone()).await.is_err() && self.until_up(Duration::from_secs(5)).await {
                let _ = self.send_on(stray).await;
            }
        }
    }

    /// Puts back what the store has lost of this node's entries.
    async fn append_lost(&self) -> Result<(), BackendError> {
        let retained = self.retained.lock().unwrap().clone();
        let moved = self.ask(move |bus| {
            let mut moved = Vec::new();
            for (number, entry) in retained {
                if bus.store.queue.get(number) != Some(&entry) {
                    moved.push((number, bus.store.append(&entry), entry));
                }
            }
            moved
        });
        let moved = moved.await?;
        let mut retained = self.retained.lock().unwrap();
        for (before, _, _) in &moved {
            retained.remove(before);
        }
        retained.extend(moved.into_iter().map(|(_, now, entry)| (now, entry)));
        Ok(())
    }
}

/// Carries what was asked to the store, in order.
async fn carry(bus: Shared, queue: Arc<Queue>) {
    loop {
        let next = queue.jobs.lock().unwrap().front().map(|(at, _)| *at);
        match next {
            None => queue.more.notified().await,
            Some(at) => {
                sleep_until(at).await;
                let job = queue.jobs.lock().unwrap().pop_front();
                if let Some((_, job)) = job {
                    job(&mut lock(&bus));
                }
            }
        }
    }
}

fn unreachable() -> BackendError {
    BackendError::Unreachable("the link is cut".to_owned())
}

#[async_trait]
impl RoomStore for Port {
    fn is_up(&self) -> bool {
        *self.up.borrow()
    }

    async fn until_up(&self, within: Duration) -> bool {
        timeout(within, self.up.subscribe().wait_for(|up| *up)).await.is_ok_and(|up| up.is_ok())
    }

    async fn subscribe(&self, room: &RoomId) -> Result<Room, BackendError> {
        let (name, id) = (self.name.clone(), room.clone());
        let known = !self.link.lock().unwrap().rooms.insert(room.clone());
        if !known {
            let listen = self.ask(move |bus| {
                bus.listen(&name, &id);
                bus.store.hold(&name, [id]);
            });
            if let Err(error) = listen.await {
                self.link.lock().unwrap().rooms.remove(room);
                return Err(error);
            }
        }
        let id = room.clone();
        self.ask(move |bus| bus.store.room(&id)).await
    }

    async fn unsubscribe(&self, room: &RoomId) -> Result<(), BackendError> {
        self.link.lock().unwrap().rooms.remove(room);
        let (name, id) = (self.name.clone(), room.clone());
        self.ask(move |bus| {
            bus.ignore(&name, &id);
            bus.store.release(&name, &id);
        })
        .await
    }

    async fn commit(&self, proposal: Proposal) -> Result<Commit, BackendError> {
        let entry = proposal.entry.clone().map(Arc::new);
        let (kept, point) = (entry.clone(), proposal.update.position());
        let done = self.ask(move |bus| {
            let before = bus.store.room(&proposal.update.room).mark;
            let (done, number) = bus.store.commit(&proposal);
            if done == Commit::Applied {
                let update = Arc::clone(&proposal.update);
                let marks = (before, proposal.after.mark);
                bus.record.add(Event::Commit { update: Arc::clone(&update), marks, entry });
                bus.publish(&proposal.update.room, || Down::Update(Arc::clone(&update)));
            }
            (done, number)
        });
        let (done, number) = done.await?;
        if done == Commit::Applied {
            lock(&self.bus).record.add(Event::Known { node: self.name.clone(), point });
        }
        if let (Some(number), Some(entry)) = (number, kept) {
            self.retained.lock().unwrap().insert(number, entry);
        }
        Ok(done)
    }

    async fn restore(&self, room: &Room, found: Option<StreamPosition>, due: Due) -> Result<Commit, BackendError> {
        let (room, name, lease) = (room.clone(), self.name.clone(), self.lease);
        self.ask(move |bus| {
            let done = bus.store.restore(&room, found, due);
            if done == Commit::Applied {
                let point = room.position();
                bus.record.add(Event::Restore { room: room.id.clone(), point, mark: room.mark });
                bus.publish(&room.id, || Down::Replaced(room.id.clone(), point));
                let until = bus.now() + lease;
                for member in room.members.values().filter(|member| member.node != name) {
                    bus.store.vouch_for(&member.node, &room.id, until);
                }
            }
            done
        })
        .await
    }

    async fn history(&self, room: &RoomId, epoch: u64, after: u64) -> Result<Option<Vec<Arc<Update>>>, BackendError> {
        let room = room.clone();
        self.ask(move |bus| bus.store.history(&room, epoch, after)).await
    }

    async fn exists(&self, room: &RoomId) -> Result<bool, BackendError> {
        let room = room.clone();
        self.ask(move |bus| bus.store.room(&room).exists()).await
    }

    async fn alarm(&self, _room: &RoomId) -> Result<(), BackendError> {
        Ok(())
    }

    async fn repair(&self, _room: &Room, _due: Due) -> Result<Commit, BackendError> {
        Ok(Commit::Conflict)
    }

    async fn overdue(&self, at: Millis) -> Result<Vec<RoomId>, BackendError> {
        self.ask(move |bus| bus.store.overdue(at)).await
    }

    async fn set_due(&self, room: &RoomId, due: Option<Millis>) -> Result<(), BackendError> {
        let room = room.clone();
        self.ask(move |bus| match due {
            Some(at) => {
                bus.store.due.insert(room, at);
            }
            None => {
                bus.store.due.remove(&room);
            }
        })
        .await
    }

    async fn extend_rooms(&self) -> Result<(), BackendError> {
        Ok(())
    }
}

#[async_trait]
impl SignalBus for Port {
    async fn direct(
        &self,
        room: &RoomId,
        to: &UserId,
        at: Option<&NodeId>,
        frame: Frame,
    ) -> Result<Delivery, BackendError> {
        self.send(Stray { hops: 0, room: room.clone(), to: to.clone(), frame }, at.cloned()).await
    }

    async fn answers(
        &self,
        node: &NodeId,
        room: &RoomId,
        user: &UserId,
        conn: ConnId,
    ) -> Result<Option<bool>, BackendError> {
        let (answer, answered) = oneshot::channel();
        let (room, user, from, node) = (room.clone(), user.clone(), self.name.clone(), node.clone());
        if !self.ask(move |bus| bus.send(&node, Down::Ask { room, user, conn, from, answer })).await? {
            return Ok(None);
        }
        Ok(timeout(ASKED, answered).await.ok().and_then(Result::ok))
    }

    async fn inbox(&self, room: &RoomId, user: &UserId) -> Result<Inbox, BackendError> {
        let (room, user) = (room.clone(), user.clone());
        self.ask(move |bus| bus.store.inbox(&room, &user)).await
    }

    async fn taken(&self, room: &RoomId, user: &UserId, inbox: &Inbox) -> Result<(), BackendError> {
        let (room, user, inbox) = (room.clone(), user.clone(), inbox.clone());
        self.ask(move |bus| bus.store.take(&room, &user, &inbox)).await
    }
}

#[async_trait]
impl ShortCodes for Port {
    async fn claim_code(&self, code: &str, room: &RoomId, until: Millis, now: Millis) -> Result<bool, BackendError> {
        let (code, room) = (code.to_owned(), room.clone());
        self.ask(move |bus| bus.store.claim_code(&code, &room, until, now)).await
    }

    async fn resolve_code(&self, code: &str, now: Millis) -> Result<Option<RoomId>, BackendError> {
        let code = code.to_owned();
        self.ask(move |bus| bus.store.resolve_code(&code, now)).await
    }
}

#[async_trait]
impl Membership for Port {
    fn is_accepting(&self) -> bool {
        true
    }

    async fn check_deployment(&self, _fingerprints: &[String]) -> Result<(), DeploymentError> {
        self.ask(|_| ()).await.map_err(DeploymentError::from)
    }

    async fn take_name(&self) -> Result<(), BackendError> {
        self.ask(|_| ()).await
    }

    async fn namesakes(&self) -> Result<u64, BackendError> {
        // An earlier process of this name is dead when the next one starts.
        self.ask(|_| 1).await
    }

    async fn renew(&self) -> Result<Renewal, BackendError> {
        let (name, lease) = (self.name.clone(), self.lease);
        let renewed = self.ask(move |bus| {
            let now = bus.now();
            bus.store.renew(&name, lease, now)
        });
        let (lost, mut dead) = renewed.await?;
        dead.retain(|node| *node != self.name);
        Ok(Renewal { lost, usurped: false, outdated: None, dead })
    }

    async fn leave(&self) -> Result<(), BackendError> {
        Ok(())
    }

    async fn take_over(&self, dead: &NodeId) -> Result<bool, BackendError> {
        let dead = dead.clone();
        self.ask(move |bus| {
            let now = bus.now();
            bus.store.claim(&dead, now + CLAIM, now)
        })
        .await
    }

    async fn rooms_of(&self, node: &NodeId) -> Result<Vec<RoomId>, BackendError> {
        let node = node.clone();
        self.ask(move |bus| bus.store.held(&node)).await
    }

    async fn abandoned_rooms(&self) -> Result<Vec<RoomId>, BackendError> {
        let mut rooms = self.rooms_of(&self.name).await?;
        let link = self.link.lock().unwrap();
        rooms.retain(|room| !link.rooms.contains(room));
        Ok(rooms)
    }

    async fn announce_rooms(&self) -> Result<(), BackendError> {
        let (name, rooms) = (self.name.clone(), self.link.lock().unwrap().rooms.clone());
        self.ask(move |bus| bus.store.hold(&name, rooms)).await
    }

    async fn remove_node(&self, dead: &NodeId) -> Result<(), BackendError> {
        let dead = dead.clone();
        self.ask(move |bus| {
            let now = bus.now();
            bus.store.bury(&dead, now);
        })
        .await
    }

    async fn read_clock(&self, clock: &Clock) -> Result<Look, BackendError> {
        let before = clock.count();
        let said = self.ask(|bus| i64::try_from(bus.now()).unwrap_or(i64::MAX / 1_000) * 1_000).await?;
        Ok(Look { before, said, after: clock.count() })
    }
}

#[async_trait]
impl LedgerFeed for Port {
    async fn poll_backlog(&self) -> Result<Backlog, BackendError> {
        let retained: Vec<u64> = self.retained.lock().unwrap().keys().copied().collect();
        let (gone, entries) = self
            .ask(move |bus| {
                let queue = &bus.store.queue;
                let gone: Vec<u64> = retained.into_iter().filter(|number| !queue.contains(*number)).collect();
                (gone, queue.len())
            })
            .await?;
        for number in gone {
            self.retained.lock().unwrap().remove(&number);
        }
        Ok(Backlog { entries, bytes: 0, most_bytes: 1 })
    }
}
