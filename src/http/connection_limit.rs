use std::{
    collections::BTreeMap,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::timeout};

use super::pulse::Pulse;
use crate::{socket::Admission, telemetry::HttpMetrics};

/// Number of waiting connections that are compared to find the one that has waited longest.
const GLANCE: usize = 64;

/// Pause after which another connection is closed for the next, when the one before was about to ask after all.
const PAUSE: Duration = Duration::from_millis(20);

/// The HTTP connections that are not WebSockets. Their number is bounded, or they would take the file descriptors of everything else; at
/// the bound an idle one is closed for the next. While none is idle, the next waits in the kernel's queue: a crowd that comes at once is
/// served in its order, and nobody of it is closed before its request was read.
#[derive(Debug)]
pub(super) struct ConnectionLimit {
    most: usize,
    /// The sockets, whose free places may be borrowed.
    sockets: Option<Arc<Admission>>,
    /// A place has become free.
    freed: Notify,
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
    pub(super) fn new(most: usize, sockets: Option<Arc<Admission>>, metrics: HttpMetrics) -> Arc<Self> {
        Arc::new(Self { most, sockets, freed: Notify::new(), connections: Mutex::default(), metrics })
    }

    fn connections(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Pulse>>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Maximum number of connections. A crowd that comes to an empty node is as many HTTP connections at first as it will be sockets.
    pub(super) fn most(&self) -> usize {
        self.most + self.sockets.as_ref().map_or(0, |sockets| sockets.lent())
    }

    /// Waits for a place. Returns the number of connections that were asked to make room, or nothing if there was a place.
    pub(super) async fn room(&self) -> Option<u64> {
        let mut shed = None;
        loop {
            let mut freed = pin!(self.freed.notified());
            freed.as_mut().enable();
            let full = {
                let connections = self.connections();
                (connections.len() >= self.most()).then(|| Self::shed_of(&connections))
            };
            let Some(one) = full else { return shed };
            *shed.get_or_insert_default() += u64::from(one);
            let _ = timeout(PAUSE, freed).await;
        }
    }

    /// Adds a connection, and returns whether another one was asked to make room for it: one of HTTP/2, whose last socket has ended, is here
    /// already and does not wait.
    pub(super) fn enter(self: &Arc<Self>, pulse: Arc<Pulse>) -> (ConnectionSlot, bool) {
        let mut connections = self.connections();
        let shed = connections.len() >= self.most() && Self::shed_of(&connections);
        let number = connections.last_key_value().map_or(0, |(last, _)| last + 1);
        connections.insert(number, pulse);
        self.metrics.connections.inc();
        (ConnectionSlot { number, limit: Arc::clone(self) }, shed)
    }

    /// Asks the longest idle one among the oldest connections to make room. Returns whether there was one.
    pub(super) fn shed(&self) -> bool {
        Self::shed_of(&self.connections())
    }

    fn shed_of(connections: &BTreeMap<u64, Arc<Pulse>>) -> bool {
        let waiting = connections.values().filter_map(|pulse| Some((pulse.waits_since()?, pulse)));
        let Some((_, pulse)) = waiting.take(GLANCE).min_by_key(|(since, _)| *since) else { return false };
        pulse.shed();
        true
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.limit.connections().remove(&self.number);
        self.limit.metrics.connections.dec();
        self.limit.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_one_that_waits_longest_makes_room() {
        let limit = ConnectionLimit::new(3, None, HttpMetrics::default());
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
        assert_eq!(limit.metrics.connections.get(), 1);
        let last = pulses[3].asked();
        assert!(!limit.shed(), "nobody waits");
        drop((first, last));
    }

    #[tokio::test(start_paused = true)]
    async fn newcomers_wait_while_everybody_is_being_answered() {
        let sockets = Admission::new(2);
        let limit = ConnectionLimit::new(1, Some(sockets), HttpMetrics::default());
        assert_eq!(limit.room().await, None);
        let pulses: Vec<_> = (0..2).map(|_| Arc::new(Pulse::new())).collect();
        let mut places: Vec<_> = pulses.iter().map(|pulse| limit.enter(Arc::clone(pulse)).0).collect();
        let asked = pulses[0].asked();
        let mut room = Box::pin(limit.room());
        // It is asked to make room, and had a request of its own on the way.
        assert!(timeout(PAUSE / 2, &mut room).await.is_err());
        assert!(pulses[1].waits_since().is_none());
        let other = pulses[1].asked();
        assert!(timeout(10 * PAUSE, &mut room).await.is_err(), "nobody waits");
        drop(asked);
        assert!(timeout(10 * PAUSE, &mut room).await.is_err(), "nobody has gone");
        assert!(pulses[0].waits_since().is_none(), "it is asked to make room");
        places.remove(0);
        assert_eq!(room.await, Some(2));
        drop(other);
    }
}
