use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::pulse::Pulse;
use crate::telemetry::HttpMetrics;

/// Number of waiting connections that are compared to find the one that has waited longest.
const GLANCE: usize = 64;

/// The HTTP connections that are not WebSockets. Their number is bounded, or they would take the file descriptors of everything else; beyond
/// the bound an idle one is closed for the next.
#[derive(Debug)]
pub(super) struct ConnectionLimit {
    most: usize,
    connections: Mutex<BTreeMap<u64, Arc<Pulse>>>,
    metrics: HttpMetrics,
}

/// A connection's place, which is freed when this is dropped.
#[derive(Debug)]
pub(super) struct ConnectionSlot {
    number: u64,
    limit: Arc<ConnectionLimit>,
}

impl ConnectionLimit {
    pub(super) fn new(most: usize, metrics: HttpMetrics) -> Arc<Self> {
        Arc::new(Self { most, connections: Mutex::default(), metrics })
    }

    fn connections(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Pulse>>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a connection, and returns whether another one was closed for it.
    pub(super) fn enter(self: &Arc<Self>, pulse: Arc<Pulse>) -> (ConnectionSlot, bool) {
        let mut connections = self.connections();
        let shed = connections.len() >= self.most && self.shed_of(&connections);
        let number = connections.last_key_value().map_or(0, |(last, _)| last + 1);
        connections.insert(number, pulse);
        self.metrics.connections.inc();
        (ConnectionSlot { number, limit: Arc::clone(self) }, shed)
    }

    /// Ends the longest idle one among the oldest connections. Returns whether there was one.
    pub(super) fn shed(&self) -> bool {
        self.shed_of(&self.connections())
    }

    fn shed_of(&self, connections: &BTreeMap<u64, Arc<Pulse>>) -> bool {
        let waiting = connections.values().filter_map(|pulse| Some((pulse.waits_since()?, pulse)));
        let Some((_, pulse)) = waiting.take(GLANCE).min_by_key(|(since, _)| *since) else { return false };
        pulse.shed();
        self.metrics.shed.inc();
        true
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.limit.connections().remove(&self.number);
        self.limit.metrics.connections.dec();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_one_that_waits_longest_makes_room() {
        let limit = ConnectionLimit::new(3, HttpMetrics::default());
        let pulses: Vec<_> = (0..4).map(|_| Arc::new(Pulse::new())).collect();
        let mut places = Vec::new();
        for pulse in &pulses[..3] {
            places.push(limit.enter(Arc::clone(pulse)));
        }
        assert!(places.iter().all(|(_, shed)| !shed));
        tokio::time::advance(Duration::from_secs(1)).await;
        // The first is being answered; the second has just been answered.
        let first = pulses[0].asked();
        drop(pulses[1].asked());
        let (_fourth, shed) = limit.enter(Arc::clone(&pulses[3]));
        assert!(shed && pulses[2].waits_since().is_none() && pulses[1].waits_since().is_some());
        assert_eq!(limit.metrics.connections.get(), 4);
        places.clear();
        assert_eq!((limit.metrics.connections.get(), limit.metrics.shed.get()), (1, 1));
        let last = pulses[3].asked();
        assert!(!limit.shed(), "nobody waits");
        drop((first, last));
    }
}
