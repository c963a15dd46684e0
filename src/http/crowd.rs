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
pub(super) struct Crowd {
    most: usize,
    members: Mutex<BTreeMap<u64, Arc<Pulse>>>,
    metrics: HttpMetrics,
}

/// A connection's place in the crowd, which is freed when this is dropped.
#[derive(Debug)]
pub(super) struct Member {
    number: u64,
    crowd: Arc<Crowd>,
}

impl Crowd {
    pub(super) fn new(most: usize, metrics: HttpMetrics) -> Arc<Self> {
        Arc::new(Self { most, members: Mutex::default(), metrics })
    }

    fn members(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Pulse>>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a connection, and returns whether another one was closed for it.
    pub(super) fn enter(self: &Arc<Self>, pulse: Arc<Pulse>) -> (Member, bool) {
        let mut members = self.members();
        let shed = members.len() >= self.most && self.shed_of(&members);
        let number = members.last_key_value().map_or(0, |(last, _)| last + 1);
        members.insert(number, pulse);
        self.metrics.connections.inc();
        (Member { number, crowd: Arc::clone(self) }, shed)
    }

    /// Ends the longest idle one among the oldest connections. Returns whether there was one.
    pub(super) fn shed(&self) -> bool {
        self.shed_of(&self.members())
    }

    fn shed_of(&self, members: &BTreeMap<u64, Arc<Pulse>>) -> bool {
        let waiting = members.values().filter_map(|pulse| Some((pulse.waits_since()?, pulse)));
        let Some((_, pulse)) = waiting.take(GLANCE).min_by_key(|(since, _)| *since) else { return false };
        pulse.shed();
        self.metrics.shed.inc();
        true
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.crowd.members().remove(&self.number);
        self.crowd.metrics.connections.dec();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_one_that_waits_longest_makes_room() {
        let crowd = Crowd::new(3, HttpMetrics::default());
        let pulses: Vec<_> = (0..4).map(|_| Arc::new(Pulse::new())).collect();
        let mut places = Vec::new();
        for pulse in &pulses[..3] {
            places.push(crowd.enter(Arc::clone(pulse)));
        }
        assert!(places.iter().all(|(_, shed)| !shed));
        tokio::time::advance(Duration::from_secs(1)).await;
        // The first is being answered; the second has just been answered.
        pulses[0].asked();
        pulses[1].answered();
        let (_fourth, shed) = crowd.enter(Arc::clone(&pulses[3]));
        assert!(shed && pulses[2].waits_since().is_none() && pulses[1].waits_since().is_some());
        assert_eq!(crowd.metrics.connections.get(), 4);
        places.clear();
        assert_eq!((crowd.metrics.connections.get(), crowd.metrics.shed.get()), (1, 1));
        pulses[3].asked();
        assert!(!crowd.shed(), "nobody waits");
    }
}
