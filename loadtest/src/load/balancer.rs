use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Result;
use tokio::sync::{Semaphore, SemaphorePermit};

/// How long a node that has refused somebody is avoided.
const AVOIDED: Duration = Duration::from_secs(1);

/// Says on which node a member comes back, as a load balancer would: of two nodes at random the one that has fewer members, and none that
/// has just refused somebody. While all have, it refuses by itself, so that a cluster that starts is asked now and then, and not by each of
/// its clients. Only so many members are on their way to a node at a time; the others wait in its queue. It knows only the members of its
/// generator.
#[derive(Debug)]
pub(super) struct Balancer {
    nodes: Mutex<Vec<Node>>,
    ways: Semaphore,
}

#[derive(Debug, Clone, Copy)]
struct Node {
    members: u32,
    avoided_until: Option<Instant>,
}

impl Balancer {
    /// For so many nodes that have no member, to which so many members may be on their way at a time.
    pub(super) fn new(nodes: usize, at_once: usize) -> Self {
        let nodes = Mutex::new(vec![Node { members: 0, avoided_until: None }; nodes]);
        Self { nodes, ways: Semaphore::new(at_once) }
    }

    /// Waits until a member may try to come in, in the order of arrival.
    pub(super) async fn queue(&self) -> Result<SemaphorePermit<'_>> {
        Ok(self.ways.acquire().await?)
    }

    fn nodes(&self) -> MutexGuard<'_, Vec<Node>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a member is on a node.
    pub(super) fn enter(&self, node: usize) {
        if let Some(node) = self.nodes().get_mut(node) {
            node.members += 1;
        }
    }

    /// Notes that a member has lost its connection to a node.
    pub(super) fn leave(&self, node: usize) {
        if let Some(node) = self.nodes().get_mut(node) {
            node.members = node.members.saturating_sub(1);
        }
    }

    /// Notes that a node has refused a member, or is not there.
    pub(super) fn refused(&self, node: usize, now: Instant) {
        if let Some(node) = self.nodes().get_mut(node) {
            node.avoided_until = Some(now + AVOIDED);
        }
    }

    /// The node to try next, if there is any; `random` are two numbers between 0 and 1.
    pub(super) fn pick(&self, now: Instant, random: [f64; 2]) -> Option<usize> {
        let nodes = self.nodes();
        let is_open = |node: &Node| node.avoided_until.is_none_or(|until| until <= now);
        let open: Vec<(usize, &Node)> = nodes.iter().enumerate().filter(|(_, node)| is_open(node)).collect();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in a short list")]
        let place = |random: f64| (random * crate::units::float(open.len() as u64)) as usize;
        let two = random.map(|random| open.get(place(random).min(open.len().saturating_sub(1))));
        two.into_iter().flatten().min_by_key(|(_, node)| node.members).map(|(place, _)| *place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_emptier_of_two_is_picked_and_none_that_refused() {
        let (balancer, now) = (Balancer::new(3, 1), Instant::now());
        assert_eq!(balancer.pick(now, [0.0, 0.99]), Some(0));
        balancer.enter(0);
        assert_eq!(balancer.pick(now, [0.0, 0.99]), Some(2));
        balancer.leave(0);
        balancer.refused(0, now);
        assert_eq!(balancer.pick(now, [0.0, 0.0]), Some(1));
        assert_eq!(balancer.pick(now + AVOIDED, [0.0, 0.0]), Some(0));
        for node in 0..3 {
            balancer.refused(node, now);
        }
        assert_eq!(balancer.pick(now, [0.5, 0.5]), None, "all have refused somebody");
    }
}
