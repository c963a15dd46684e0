use std::{sync::Arc, time::Duration};

use tokio::{
    runtime::Handle,
    time::{Instant, sleep_until},
};

use crate::{
    account::Accounts,
    clock::Clock,
    socket::{Admission, Registry},
    telemetry::{Metrics, memory, memory_limit},
};

/// Interval of looks at the load.
const LOOK: Duration = Duration::from_millis(250);
/// Number of looks between two sweeps of the accounts.
const SWEEP: u32 = 40;
/// A node whose timers fire this late, at several looks in a row, refuses new sockets: those that it has come first.
const LATE: Duration = Duration::from_secs(1);
/// Number of late looks in a row.
const LATE_LOOKS: u32 = 4;
/// The part of the memory beyond which whoever has most bytes waiting is closed.
const SHORT: f64 = 0.8;
/// The part of the memory beyond which new sockets are refused, and the part below which they are accepted again.
const FULL: f64 = 0.92;
const FREE: f64 = 0.88;

/// Watches how busy this node is: it divides the CPU time among clients, and refuses new ones before those that are here suffer.
#[derive(Debug)]
pub(super) struct Pressure {
    pub(super) accounts: Arc<Accounts>,
    pub(super) users: Arc<Accounts>,
    pub(super) admission: Arc<Admission>,
    /// The number of HTTP connections that the node has files for, whatever sockets it has.
    pub(super) connections: usize,
    pub(super) registry: Arc<Registry>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) clock: Clock,
}

impl Pressure {
    /// Does not return.
    pub(super) async fn run(self) {
        let limit = memory_limit();
        let (mut busy, mut seen) = (now_busy(), Instant::now());
        let (mut late, mut looks) = (0, 0_u32);
        let mut next = seen + LOOK;
        loop {
            sleep_until(next).await;
            let now = Instant::now();
            let lag = now.saturating_duration_since(next);
            let (used, over) = (now_busy().saturating_sub(busy), now.saturating_duration_since(seen));
            (busy, seen, next) = (busy + used, now, now + LOOK);
            let capacity = over.saturating_mul(threads());
            self.accounts.divide_cpu(capacity, used, over);
            self.users.divide_cpu(capacity, used, over);
            self.accounts.set_connections(self.connections + self.admission.lent());
            self.metrics.cpu_used.set(used.as_secs_f64() / capacity.as_secs_f64().max(f64::EPSILON));
            self.metrics.runtime_lag.set(lag.as_secs_f64());
            let full = limit.map_or(0.0, |limit| part(memory().resident, limit));
            self.metrics.memory_used.set(full);
            if full > SHORT {
                let closed = self.registry.relieve();
                if closed > 0 {
                    tracing::warn!(
                        closed,
                        memory = full,
                        "memory is short; the sockets of the client that has most waiting were closed"
                    );
                }
            }
            late = if lag >= LATE { late + 1 } else { 0 };
            let was = self.admission.is_overloaded();
            let is = is_overloaded(was, late >= LATE_LOOKS, full);
            self.admission.overload(is);
            if is != was {
                tell(is, lag, full);
            }
            looks += 1;
            if looks.is_multiple_of(SWEEP) {
                self.accounts.sweep(self.clock.now());
                self.users.sweep(self.clock.now());
                self.metrics.clients.set(i64::try_from(self.accounts.len()).unwrap_or(i64::MAX));
            }
        }
    }
}

/// Whether new sockets are to be refused, if they were before or not.
fn is_overloaded(was: bool, late: bool, full: f64) -> bool {
    late || full > if was { FREE } else { FULL }
}

fn tell(overloaded: bool, lag: Duration, memory: f64) {
    let lag = lag.as_secs_f64();
    if overloaded {
        tracing::warn!(lag, memory, "this node has no CPU time or no memory for more clients; new ones are refused");
    } else {
        tracing::info!(lag, memory, "new clients are accepted again");
    }
}

#[allow(clippy::cast_precision_loss, reason = "a ratio")]
fn part(of: u64, all: u64) -> f64 {
    of as f64 / all.max(1) as f64
}

fn threads() -> u32 {
    u32::try_from(Handle::current().metrics().num_workers()).unwrap_or(u32::MAX)
}

/// The time that the threads of the runtime were busy since the start.
fn now_busy() -> Duration {
    let runtime = Handle::current().metrics();
    (0..runtime.num_workers()).map(|worker| runtime.worker_total_busy_duration(worker)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_node_accepts_again_when_it_is_clearly_less_full() {
        let mut overloaded = false;
        let mut told = Vec::new();
        for full in [0.5, 0.9, 0.91, 0.93, 0.91, 0.89, 0.87, 0.91] {
            overloaded = is_overloaded(overloaded, false, full);
            told.push(overloaded);
        }
        assert_eq!(told, [false, false, false, true, true, true, false, false]);
        assert!(is_overloaded(false, true, 0.1), "it is late");
    }
}
