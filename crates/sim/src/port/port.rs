use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use tandem::{
    backend::{BackendError, RoomEvents},
    clock::Millis,
    id::NodeId,
    ledger::Entry,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout},
};

use super::{
    link::{Link, unreachable},
    up::Up,
};
use crate::{
    bus::{Bus, Down, Shared, Stray, lock},
    chance::Dice,
    gate::Gate,
};

/// `REDIS_TIMEOUT_SECONDS`.
const TIMEOUT: Duration = Duration::from_secs(2);

pub struct Port {
    pub name: NodeId,
    pub(super) bus: Shared,
    pub(super) events: Weak<dyn RoomEvents>,
    pub(super) gate: Arc<Gate>,
    pub(super) link: Mutex<Link>,
    pub(super) up: Up,
    pub(super) strays: mpsc::UnboundedSender<Stray>,
    pub(super) waiting_strays: Mutex<Option<mpsc::UnboundedReceiver<Stray>>>,
    /// Entries of this node that the worker has not taken yet.
    pub(super) retained: Mutex<BTreeMap<u64, Arc<Entry>>>,
    pub(super) dice: Mutex<Dice>,
    pub(super) lease: Millis,
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
            up: Up::default(),
            strays,
            waiting_strays: Mutex::new(Some(waiting_strays)),
            retained: Mutex::default(),
            dice: Mutex::new(dice),
            lease: u64::try_from(lease.as_millis()).unwrap_or_default(),
        })
    }

    pub(super) fn sink(&self) -> Option<Arc<dyn RoomEvents>> {
        self.events.upgrade()
    }

    /// Sends a request to the store. It is carried out when it arrives, and answered when the answer has come back.
    pub(super) async fn ask<T: Send + 'static>(
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

    /// Keeps the link for ever. It connects anew when the connection has ended or no longer hears.
    pub async fn run(self: Arc<Self>) {
        let strays = self.waiting_strays.lock().unwrap().take();
        tokio::join!(self.keep_link(), async {
            if let Some(strays) = strays {
                self.send_strays(strays).await;
            }
        });
    }
}
