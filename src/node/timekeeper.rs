//! Steers the clock of this node towards the one that it follows: that of Redis in a cluster, so that all nodes stamp alike, and that of
//! the system on a single node.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};

use crate::{
    backend::{BackendError, Cluster},
    clock::{Bounds, Clock, Sightings},
    telemetry::{Against, Metrics},
};

/// Interval of readings of the other clocks.
const EVERY: Duration = Duration::from_secs(1);
/// Number of readings at the start, before any client is accepted; the quickest answer counts.
const FIRST_LOOKS: usize = 5;
/// A difference in seconds that is logged, until it is less than half of that.
const LARGE: f64 = 1.0;
/// Minimum interval between two such log lines.
const AGAIN: Duration = Duration::from_mins(10);

pub(super) struct Timekeeper {
    pub(super) clock: Clock,
    pub(super) metrics: Arc<Metrics>,
    /// `None` on a single node.
    pub(super) cluster: Option<Arc<dyn Cluster>>,
}

impl Timekeeper {
    /// Sets the clock to the time of Redis. Only before any client is accepted; later the clock never leaps.
    pub(super) async fn take_over(&self) -> Result<(), BackendError> {
        let Some(cluster) = &self.cluster else { return Ok(()) };
        let mut sightings = Sightings::default();
        let mut bounds = sightings.add(cluster.read_clock(&self.clock).await?);
        for _ in 1..FIRST_LOOKS {
            bounds = sightings.add(cluster.read_clock(&self.clock).await?);
        }
        let seconds = self.clock.behind(bounds);
        self.clock.jump(bounds);
        if seconds.abs() >= LARGE {
            tracing::warn!(
                seconds,
                "the clock of Redis is ahead of this node's system clock; the node follows the clock of Redis"
            );
        }
        Ok(())
    }

    /// Steers the clock. Does not return.
    pub(super) async fn run(&self) {
        let (mut system, mut redis) = (Watched::default(), Watched::default());
        loop {
            sleep(EVERY).await;
            let bounds = system.sightings.add(self.clock.look_at_system());
            self.note(Against::System, bounds, &mut system.told);
            let Some(cluster) = &self.cluster else {
                self.clock.follow(bounds);
                continue;
            };
            // While Redis is unreachable its link logs that, and the clock runs on.
            if let Ok(look) = cluster.read_clock(&self.clock).await {
                let bounds = redis.sightings.add(look);
                self.note(Against::Redis, bounds, &mut redis.told);
                self.clock.follow(bounds);
            }
        }
    }

    /// Records the difference to another clock, and logs a large one.
    fn note(&self, against: Against, bounds: Bounds, told: &mut Option<Instant>) {
        let seconds = self.clock.behind(bounds);
        self.metrics.clock_offset(against, seconds);
        if seconds.abs() < LARGE / 2.0 && told.take().is_some() {
            tracing::info!(against = against.as_str(), "the clocks agree again");
        }
        if seconds.abs() < LARGE || told.is_some_and(|told| told.elapsed() < AGAIN) {
            return;
        }
        *told = Some(Instant::now());
        if against == Against::System && self.cluster.is_some() {
            tracing::warn!(
                seconds,
                "this node's system clock is ahead of the clock of Redis; the node follows the clock of Redis"
            );
        } else {
            tracing::warn!(
                against = against.as_str(),
                seconds,
                "the clock that this node goes by was set: the node makes up for as many seconds by running up to 5 % faster or slower; a restart takes them over at once"
            );
        }
    }
}

/// The readings of another clock.
#[derive(Default)]
struct Watched {
    sightings: Sightings,
    /// When a large difference was last logged.
    told: Option<Instant>,
}
