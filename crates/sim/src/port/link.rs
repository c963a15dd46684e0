//! A node's end of its connection: its requests, and what it receives.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use tandem::{
    backend::{BackendError, Membership as _, answered},
    id::RoomId,
};
use tokio::{
    sync::{Notify, mpsc},
    task::AbortHandle,
    time::{Instant, sleep, sleep_until},
};

use super::port::Port;
use crate::bus::{Bus, Down, Job, Shared, lock};

/// How often a link is probed.
const PROBE: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(super) struct Link {
    pub(super) connection: Option<Connection>,
    pub(super) rooms: BTreeSet<RoomId>,
    /// The server that it was connected to last, and until when nothing may be decided on it.
    pub(super) server: Option<u64>,
    pub(super) comparing: Option<Instant>,
}

pub(super) struct Connection {
    pub(super) generation: u64,
    pub(super) jobs: Arc<Queue>,
    pub(super) last: Instant,
    pub(super) tasks: [AbortHandle; 2],
}

/// The requests that have not arrived yet.
#[derive(Default)]
pub(super) struct Queue {
    pub(super) jobs: Mutex<VecDeque<(Instant, Job)>>,
    pub(super) more: Notify,
}

impl Drop for Connection {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Port {
    pub(super) async fn keep_link(self: &Arc<Self>) {
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
            let comparing = self.link.lock().unwrap().comparing;
            if let Some(until) = comparing {
                sleep_until(until).await;
                self.link.lock().unwrap().comparing = None;
                if !self.probe().await {
                    self.hang_up();
                    continue;
                }
            }
            self.up.set(true);
            while self.probe().await {
                sleep(PROBE).await;
            }
            self.up.set(false);
            self.hang_up();
        }
    }

    /// Connects, and subscribes to the same rooms as before. What was published meanwhile was missed.
    pub(super) async fn establish(self: &Arc<Self>) -> Result<(), BackendError> {
        sleep(Duration::from_millis(2)).await;
        if !lock(&self.bus).can_connect(&self.name) {
            return Err(unreachable());
        }
        let rooms = {
            let mut link = self.link.lock().unwrap();
            let rooms = link.rooms.clone();
            let (down, inbound) = mpsc::unbounded_channel();
            let (server, comparing) = lock(&self.bus).compares(link.server);
            (link.server, link.comparing) = (Some(server), comparing);
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
    pub(super) async fn probe(&self) -> bool {
        let name = self.name.clone();
        matches!(self.ask(move |bus| bus.hears(&name)).await, Ok(true))
    }

    /// Ends the connection. A part of what has not arrived yet may still arrive.
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
        self.up.set(false);
        self.hang_up();
    }

    pub(super) async fn hear_all(self: Arc<Self>, mut inbound: mpsc::UnboundedReceiver<(Instant, Down)>) {
        while let Some((at, what)) = inbound.recv().await {
            sleep_until(at).await;
            self.hear(what);
        }
    }

    pub(super) fn hear(self: &Arc<Self>, what: Down) {
        // A request is answered even if nobody listens any more.
        let what = match what {
            Down::Answer(answer) => return answer(),
            what => what,
        };
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
            Down::Answer(_) => {}
        }
    }
}

/// Carries the requests to the store, in order.
pub(super) async fn carry(bus: Shared, queue: Arc<Queue>) {
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

pub(super) fn unreachable() -> BackendError {
    BackendError::Unreachable("the link is cut".to_owned())
}
