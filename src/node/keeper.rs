//! What a node of a cluster does beside serving its sockets: it says that it lives, looks after the rooms of those that do not, and sees
//! to it that nobody is sent here while shared state cannot be reached.

use std::{sync::Arc, time::Duration};

use prometheus_client::metrics::gauge::Gauge;
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval, sleep},
};

use super::timekeeper::Timekeeper;
use crate::{
    backend::{Backend as _, BackendError, Backlog, RedisNode, StartError},
    clock::{Clock, Millis},
    hub::Hub,
    id::NodeId,
    socket::Admission,
    telemetry::Metrics,
};

/// How long shared state may be away before new clients are sent elsewhere.
const READY_GRACE: Duration = Duration::from_secs(3);
/// How often readiness is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// How often rooms are looked for whose node has not done what was due,
const OVERDUE_EVERY: Duration = Duration::from_secs(1);
/// and how long their own node has for it, in ms.
const OVERDUE_AFTER: Millis = 1_500;
/// How often what is known of the ledger's streams is brought up to date.
const LEDGER_EVERY: Duration = Duration::from_secs(2);
/// How often it is said again which rooms are held,
const REFRESH_EVERY: Duration = Duration::from_mins(1);
/// and, every so many times, that they must not expire.
const KEEP_EVERY: u64 = 10;
/// Between two tries to take part in the deployment.
const RETRY: Duration = Duration::from_millis(200);
/// How long a process waits for another of its name to be gone: as long as a drain may take, and some more.
const HANDOVER: Duration = Duration::from_secs(20);
/// A node renews its lease this often while it lasts.
const RENEWALS: u32 = 5;

pub(super) struct Keeper {
    pub(super) redis: Arc<RedisNode>,
    pub(super) hub: Arc<Hub>,
    pub(super) admission: Arc<Admission>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) clock: Clock,
    pub(super) timekeeper: Timekeeper,
    pub(super) fingerprints: Vec<String>,
    pub(super) lease: Duration,
    pub(super) stream_max: usize,
}

impl Keeper {
    /// For ever, unless this node has no place in the deployment.
    pub(super) async fn run(self) -> StartError {
        if let Err(error) = self.take_part().await {
            return error;
        }
        let (dead, died) = watch::channel(Vec::new());
        let rest = async {
            tokio::join!(
                self.readiness(),
                self.reap(died),
                self.overdue(),
                self.ledger(),
                self.refresh(),
                self.timekeeper.keep()
            )
        };
        tokio::select! {
            usurped = self.renew(&dead) => usurped,
            // None of them ends.
            _ = rest => StartError::NameTaken,
        }
    }

    async fn take_part(&self) -> Result<(), StartError> {
        loop {
            self.redis.until_up(Duration::MAX).await;
            match self.redis.check_deployment(&self.fingerprints).await {
                Ok(()) => break,
                Err(StartError::Backend(error)) => {
                    tracing::debug!(%error, "the deployment could not be looked at");
                    sleep(RETRY).await;
                }
                Err(error) => return Err(error),
            }
        }
        loop {
            match self.take_name().await {
                Ok(true) => return Ok(()),
                Ok(false) => tracing::debug!("not all rooms that an earlier process had could be looked after"),
                Err(error) => tracing::debug!(%error, "the name could not be taken"),
            }
            sleep(RETRY).await;
        }
    }

    /// Takes over what an earlier process of this name has left behind. One that still runs learns of this, and drains: its members are its
    /// own until it is gone. Whether all is in order.
    async fn take_name(&self) -> Result<bool, BackendError> {
        // Before anything is stamped.
        self.timekeeper.take_over().await?;
        self.redis.take_name().await?;
        let patience = Instant::now() + HANDOVER;
        while self.redis.namesakes().await? > 1 && Instant::now() < patience {
            sleep(RETRY).await;
        }
        self.reap_own().await
    }

    /// Rooms that this node is said to hold, but does not: whoever is said to be there is not. Whether all of them could be looked after.
    async fn reap_own(&self) -> Result<bool, BackendError> {
        let rooms = self.redis.forgotten().await?;
        Ok(self.hub.reap(self.hub.node(), rooms).await)
    }

    async fn readiness(&self) {
        let mut away: Option<Instant> = None;
        loop {
            if self.redis.is_up() && self.redis.is_obeyed() {
                away = None;
                if self.admission.is_paused() {
                    self.admission.pause(false);
                    tracing::info!("new clients are welcome");
                }
            } else if away.get_or_insert_with(Instant::now).elapsed() > READY_GRACE && !self.admission.is_paused() {
                self.admission.pause(true);
                tracing::warn!("shared state is away, or refuses: new clients are refused");
            }
            sleep(LOOK).await;
        }
    }

    /// Says that this node lives, and finds out who does not. While Redis was away nobody could say so: then all get another lease.
    async fn renew(&self, dead: &watch::Sender<Vec<NodeId>>) -> StartError {
        let mut quiet = Instant::now() + self.lease;
        let mut first = true;
        let mut every = interval(self.lease / RENEWALS);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            match self.redis.renew().await {
                Ok(renewal) if renewal.usurped => return StartError::NameTaken,
                Ok(renewal) => {
                    if renewal.lost && !first {
                        self.metrics.lease_lost.inc();
                        tracing::warn!("this node's lease had run out, its rooms are read anew");
                        self.hub.doubt_all();
                        if let Err(error) = self.redis.hold_all().await {
                            tracing::debug!(%error, "rooms could not be held again");
                        }
                    }
                    first = false;
                    if Instant::now() >= quiet {
                        dead.send_replace(renewal.dead);
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, "the lease could not be renewed");
                    quiet = Instant::now() + self.lease;
                }
            }
        }
    }

    async fn reap(&self, mut died: watch::Receiver<Vec<NodeId>>) {
        // The sender lives as long as this.
        while died.changed().await.is_ok() {
            let dead = died.borrow_and_update().clone();
            for node in dead {
                if let Err(error) = self.reap_one(&node).await {
                    tracing::debug!(%node, %error, "a dead node's rooms could not be looked after");
                }
            }
        }
    }

    async fn reap_one(&self, node: &NodeId) -> Result<(), BackendError> {
        if !self.redis.claim(node).await? {
            return Ok(());
        }
        let rooms = self.redis.held(node).await?;
        tracing::warn!(dead = %node, rooms = rooms.len(), "a node is dead, its members' seats are given up");
        if self.hub.reap(node, rooms).await {
            self.redis.bury(node).await?;
        }
        Ok(())
    }

    async fn overdue(&self) {
        loop {
            sleep(OVERDUE_EVERY).await;
            if !self.redis.is_up() {
                continue;
            }
            let Ok(rooms) = self.redis.overdue(self.clock.now().saturating_sub(OVERDUE_AFTER)).await else { continue };
            for (room, due) in self.hub.attend(rooms).await {
                if let Err(error) = self.redis.note_due(&room, due).await {
                    tracing::debug!(%room, %error, "when a room is due could not be noted");
                }
            }
        }
    }

    /// Forgets what the worker has taken, and says early when nobody takes anything.
    async fn ledger(&self) {
        let mut said = 0;
        loop {
            sleep(LEDGER_EVERY).await;
            let Ok(Backlog { entries, bytes, most_bytes }) = self.redis.settle_ledger().await else { continue };
            let set = |gauge: &Gauge, value: u64| {
                gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
            };
            set(&self.metrics.stream_entries, entries);
            set(&self.metrics.stream_bytes, bytes);
            set(&self.metrics.stream_bytes_max, most_bytes);
            // In tenths of what there may be, and of what one partition may hold: long before any of them is full.
            let tenths = |is: u64, most: u64| is.saturating_mul(10) / most.max(1);
            let tenths = tenths(entries, self.stream_max as u64).max(tenths(bytes, most_bytes));
            if tenths > said {
                let most = self.stream_max;
                tracing::warn!(entries, most, bytes, most_bytes, "the ledger's queue grows: is a worker running?");
            }
            said = tenths;
        }
    }

    async fn refresh(&self) {
        for minute in 1_u64.. {
            sleep(REFRESH_EVERY).await;
            let long =
                async { if minute.is_multiple_of(KEEP_EVERY) { self.redis.refresh_rooms().await } else { Ok(()) } };
            if let Err(error) = tokio::try_join!(self.redis.hold_all(), self.reap_own(), long) {
                tracing::debug!(%error, "rooms could not be refreshed");
            }
        }
    }
}
