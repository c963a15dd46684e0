//! The cluster agent of a node: it renews the lease, reaps dead nodes, runs overdue rooms, and keeps new clients away while shared state
//! cannot be reached.

use std::{sync::Arc, time::Duration};

use prometheus_client::metrics::gauge::Gauge;
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval, sleep},
};

use super::timekeeper::Timekeeper;
use crate::{
    account::{Accounts, LedgerLoad},
    backend::{BackendError, Backlog, Cluster, DeploymentError, Renewal},
    clock::{Clock, Millis},
    hub::Hub,
    id::NodeId,
    limit::Entries,
    socket::Admission,
    telemetry::Metrics,
};

/// How long shared state may be unreachable before new clients are refused.
const READY_GRACE: Duration = Duration::from_secs(3);
/// Interval of readiness checks.
const LOOK: Duration = Duration::from_millis(100);
/// Interval of searches for overdue rooms.
const OVERDUE_EVERY: Duration = Duration::from_secs(1);
/// How long the node of a room has for what is due, in ms, before other nodes run it.
const OVERDUE_AFTER: Millis = 1_500;
/// Interval of checks of the ledger queue.
const LEDGER_EVERY: Duration = Duration::from_secs(2);
/// Interval at which a node registers its rooms again.
const REFRESH_EVERY: Duration = Duration::from_mins(1);
/// Number of registrations after which the expiry of its rooms is extended.
const EXTEND_EVERY: u64 = 10;
/// Pause between two attempts to join the deployment.
const RETRY: Duration = Duration::from_millis(200);
/// How long a process waits until another one with its name has ended: longer than a drain.
const HANDOVER: Duration = Duration::from_secs(20);
/// How long the seats that an earlier process has left are kept for clients that come back, unless the lease is shorter.
const COMING_BACK: Duration = Duration::from_secs(10);
/// Number of renewals within one lease.
const RENEWALS: u32 = 5;

/// The cluster agent of a node: it renews the lease, reaps dead nodes, runs overdue rooms, and keeps new clients away while shared state
/// cannot be reached.
pub struct ClusterAgent {
    parts: AgentParts,
    timekeeper: Timekeeper,
}

/// The parts of a [`ClusterAgent`].
#[allow(missing_docs, reason = "the others are their own names")]
pub struct AgentParts {
    pub cluster: Arc<dyn Cluster>,
    pub hub: Arc<Hub>,
    pub admission: Arc<Admission>,
    pub metrics: Arc<Metrics>,
    pub clock: Clock,
    /// The fingerprints of the secret; two while it is being changed.
    pub fingerprints: Vec<String>,
    pub lease: Duration,
    /// Maximum number of entries in a partition of the ledger queue.
    pub stream_max: usize,
    /// The number of partitions, for each of which that is the limit.
    pub partitions: u16,
    /// The accounts among which the ledger's queue is divided.
    pub accounts: Vec<Arc<Accounts>>,
}

impl std::fmt::Debug for ClusterAgent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClusterAgent").field("node", self.parts.hub.node()).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for AgentParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AgentParts").field("node", self.hub.node()).finish_non_exhaustive()
    }
}

impl ClusterAgent {
    /// An agent that does nothing before [`ClusterAgent::run`].
    pub fn new(parts: AgentParts) -> Self {
        let (metrics, cluster) = (Arc::clone(&parts.metrics), Some(Arc::clone(&parts.cluster)));
        Self { timekeeper: Timekeeper { clock: parts.clock, metrics, cluster }, parts }
    }

    /// Returns only if this node cannot be part of the deployment.
    pub async fn run(self) -> DeploymentError {
        if let Err(error) = self.take_part().await {
            return error;
        }
        let (dead, died) = watch::channel(Vec::new());
        let rest = async {
            tokio::join!(
                self.readiness(),
                self.inherit(),
                self.reap(died),
                self.overdue(),
                self.ledger(),
                self.refresh(),
                self.timekeeper.run()
            )
        };
        tokio::select! {
            // In a fixed order, so that simulations are reproducible.
            biased;
            usurped = self.renew(&dead) => usurped,
            // These tasks do not end.
            _ = rest => DeploymentError::NameTaken,
        }
    }

    async fn take_part(&self) -> Result<(), DeploymentError> {
        loop {
            self.parts.cluster.until_up(Duration::MAX).await;
            match self.parts.cluster.check_deployment(&self.parts.fingerprints).await {
                Ok(()) => break,
                Err(DeploymentError::Backend(error)) => {
                    tracing::debug!(%error, "the settings of the deployment could not be read from Redis");
                    sleep(RETRY).await;
                }
                Err(error) => return Err(error),
            }
        }
        loop {
            match self.take_name().await {
                Ok(()) => {
                    self.parts.hub.keep_seats(true);
                    return Ok(());
                }
                Err(error) => tracing::debug!(%error, "the name of this node could not be claimed"),
            }
            sleep(RETRY).await;
        }
    }

    /// Takes over the name from an earlier process. One that still runs notices this and drains; its members stay its own until it has ended.
    async fn take_name(&self) -> Result<(), BackendError> {
        // Before any time stamp is made.
        self.timekeeper.take_over().await?;
        self.parts.cluster.take_name().await?;
        let patience = Instant::now() + HANDOVER;
        while self.parts.cluster.namesakes().await? > 1 && Instant::now() < patience {
            sleep(RETRY).await;
        }
        Ok(())
    }

    /// Gives up the seats that an earlier process with this name has left. Most of them are of clients that are on their way back and take
    /// them again, so they come first: after a restart of all nodes there is CPU for nothing else.
    async fn inherit(&self) {
        sleep(COMING_BACK.min(self.parts.lease)).await;
        self.parts.hub.keep_seats(false);
        loop {
            match self.tidy().await {
                Ok(true) => return,
                Ok(false) => tracing::debug!("not all seats of an earlier process could be given up"),
                Err(error) => tracing::debug!(%error, "the rooms of an earlier process could not be read"),
            }
            sleep(RETRY).await;
        }
    }

    /// Gives up seats of this node without a socket, in rooms that are registered for it but are not on it. Returns whether that succeeded
    /// in all of them.
    async fn tidy(&self) -> Result<bool, BackendError> {
        let rooms = self.parts.cluster.abandoned_rooms().await?;
        Ok(self.parts.hub.tidy(rooms).await)
    }

    async fn readiness(&self) {
        let mut away: Option<Instant> = None;
        loop {
            if self.parts.cluster.is_up() && self.parts.cluster.is_accepting() {
                away = None;
                if self.parts.admission.is_paused() {
                    self.parts.admission.pause(false);
                    tracing::info!("shared state can be used again; new clients are accepted");
                }
            } else if away.get_or_insert_with(Instant::now).elapsed() > READY_GRACE && !self.parts.admission.is_paused()
            {
                self.parts.admission.pause(true);
                tracing::warn!("shared state cannot be reached, or refuses commands; new clients are refused");
            }
            sleep(LOOK).await;
        }
    }

    /// Renews the lease, and finds nodes whose leases have expired. After an outage of Redis, in which no node could renew, all of them get
    /// another lease.
    async fn renew(&self, dead: &watch::Sender<Vec<NodeId>>) -> DeploymentError {
        let mut quiet = Instant::now() + self.parts.lease;
        let mut first = true;
        let mut every = interval(self.parts.lease / RENEWALS);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            match self.parts.cluster.renew().await {
                Ok(renewal) if renewal.usurped => return DeploymentError::NameTaken,
                Ok(Renewal { outdated: Some(written), .. }) => return DeploymentError::Outdated { written },
                Ok(renewal) => {
                    if renewal.lost && !first {
                        self.parts.metrics.lease_lost.inc();
                        tracing::warn!("this node's lease had run out; its rooms are read again");
                        self.parts.hub.resync_all();
                        if let Err(error) = self.parts.cluster.announce_rooms().await {
                            tracing::debug!(%error, "rooms could not be announced again");
                        }
                    }
                    first = false;
                    if Instant::now() >= quiet {
                        dead.send_replace(renewal.dead);
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, "the lease could not be renewed");
                    quiet = Instant::now() + self.parts.lease;
                }
            }
        }
    }

    async fn reap(&self, mut died: watch::Receiver<Vec<NodeId>>) {
        // The sender lives as long as `self`.
        while died.changed().await.is_ok() {
            let dead = died.borrow_and_update().clone();
            for node in dead {
                if let Err(error) = self.reap_one(&node).await {
                    tracing::debug!(%node, %error, "the rooms of a dead node could not be taken over");
                }
            }
        }
    }

    async fn reap_one(&self, node: &NodeId) -> Result<(), BackendError> {
        if !self.parts.cluster.take_over(node).await? {
            return Ok(());
        }
        let rooms = self.parts.cluster.rooms_of(node).await?;
        tracing::warn!(dead = %node, rooms = rooms.len(), "a node is dead; its members' seats are given up");
        if self.parts.hub.reap(node, rooms).await {
            self.parts.cluster.remove_node(node).await?;
        }
        Ok(())
    }

    async fn overdue(&self) {
        loop {
            sleep(OVERDUE_EVERY).await;
            if !self.parts.cluster.is_up() {
                continue;
            }
            let Ok(rooms) = self.parts.cluster.overdue(self.parts.clock.now().saturating_sub(OVERDUE_AFTER)).await
            else {
                continue;
            };
            for (room, due) in self.parts.hub.run_overdue(rooms).await {
                if let Err(error) = self.parts.cluster.set_due(&room, due).await {
                    tracing::debug!(%room, %error, "the due time of a room could not be stored");
                }
            }
        }
    }

    /// Drops retained entries that a worker has taken, and logs early if no worker takes any.
    async fn ledger(&self) {
        let mut said = 0;
        loop {
            sleep(LEDGER_EVERY).await;
            let Ok(backlog) = self.parts.cluster.poll_backlog().await else { continue };
            let Backlog { entries, bytes, most_bytes, own } = backlog;
            let number = (self.parts.stream_max as u64).saturating_mul(self.parts.partitions.into());
            let capacity = Entries { number, bytes: most_bytes };
            let load = LedgerLoad { capacity, used: Entries { number: entries, bytes }, own };
            self.parts.accounts.iter().for_each(|accounts| accounts.divide_ledger(load));
            let set = |gauge: &Gauge, value: u64| {
                gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
            };
            set(&self.parts.metrics.stream_entries, entries);
            set(&self.parts.metrics.stream_bytes, bytes);
            set(&self.parts.metrics.stream_bytes_max, most_bytes);
            // In tenths of the limits of the queue and of one partition, so that the log line comes long before either is full.
            let tenths = |is: u64, most: u64| is.saturating_mul(10) / most.max(1);
            let tenths = tenths(entries, self.parts.stream_max as u64).max(tenths(bytes, most_bytes));
            if tenths > said {
                let most = self.parts.stream_max;
                tracing::warn!(
                    entries,
                    most,
                    bytes,
                    most_bytes,
                    "the ledger's queue grows; check that a worker is running"
                );
            }
            said = tenths;
        }
    }

    async fn refresh(&self) {
        for minute in 1_u64.. {
            sleep(REFRESH_EVERY).await;
            let long = async {
                if minute.is_multiple_of(EXTEND_EVERY) { self.parts.cluster.extend_rooms().await } else { Ok(()) }
            };
            if let Err(error) = tokio::try_join!(self.parts.cluster.announce_rooms(), self.tidy(), long) {
                tracing::debug!(%error, "rooms could not be refreshed");
            }
        }
    }
}
