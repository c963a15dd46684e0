//! The store of the simulation is held against the same cases as the real back ends.
#![allow(missing_docs, clippy::unwrap_used)]

use std::{
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use sim::{
    bus::{Bus, Shared},
    chance::Dice,
    gate::Gate,
    port::Port,
    queue::Consumer,
    record::Record,
    store::Store,
};
use tandem::{
    backend::{Backend, Cluster, LedgerQueue, RoomEvents, RoomStore as _},
    id::{NodeId, RoomId},
};
use tandem_testkit::{
    conformance,
    fixture::{ClusterFixture, Fixture, NOW, long, queued_events},
    room_conformance, signal_conformance,
};
use tokio::task::JoinHandle;

/// Nodes on a network without faults.
struct Simulated {
    bus: Shared,
    running: Mutex<Vec<(NodeId, JoinHandle<()>)>>,
}

impl Default for Simulated {
    fn default() -> Self {
        let bus = Bus::new(Store::keeping(long()), Record::begin(), Dice::new(1), NOW);
        Self { bus, running: Mutex::default() }
    }
}

impl Simulated {
    async fn connect(&self, name: &str, events: Weak<dyn RoomEvents>) -> Arc<Port> {
        let number = self.running.lock().unwrap().len() as u64;
        let name = NodeId::parse(name).unwrap();
        // A later process of a name: the one before has ended, and must not come back to put its entries into the queue again.
        self.running.lock().unwrap().iter().filter(|(earlier, _)| *earlier == name).for_each(|(_, task)| task.abort());
        let lease = Duration::from_secs(1);
        let port = Port::new(name.clone(), &self.bus, events, &Arc::<Gate>::default(), Dice::new(number), lease);
        self.running.lock().unwrap().push((name, tokio::spawn(Arc::clone(&port).run())));
        assert!(port.until_up(Duration::from_secs(5)).await);
        port
    }
}

impl Drop for Simulated {
    fn drop(&mut self) {
        self.running.lock().unwrap().iter().for_each(|(_, task)| task.abort());
    }
}

impl Fixture for Simulated {
    async fn node(&self, name: &str, events: Weak<dyn RoomEvents>) -> Arc<dyn Backend> {
        self.connect(name, events).await
    }

    async fn events(&self, room: &RoomId) -> usize {
        queued_events(&mut *self.worker("auditor"), room).await
    }
}

impl ClusterFixture for Simulated {
    async fn member(&self, name: &str, events: Weak<dyn RoomEvents>) -> Arc<dyn Cluster> {
        self.connect(name, events).await
    }

    fn worker(&self, name: &str) -> Box<dyn LedgerQueue> {
        let process = name.bytes().fold(0, |sum, byte| sum * 257 + u64::from(byte));
        Box::new(Consumer::new(&self.bus, process, Dice::new(process)))
    }
}

room_conformance!(tokio::test(start_paused = true), [simulated: crate::Simulated::default()]);
signal_conformance!(tokio::test(start_paused = true), [simulated_signals: crate::Simulated::default()]);

// What is not here a story has no use for: it has no drain, no two processes of one name and no other secret.
conformance!(
    tokio::test(start_paused = true),
    membership,
    [simulated_members: crate::Simulated::default()],
    [
        a_dead_node_is_removed_unless_it_lives,
        a_node_whose_lease_runs_out_is_dead_to_the_others_and_knows_it,
        a_room_is_due_until_it_is_not,
        one_node_takes_over_the_rooms_of_a_dead_one,
        rooms_of_an_earlier_process_of_the_name_are_abandoned,
    ]
);

conformance!(tokio::test, membership, [simulated_clock: crate::Simulated::default()], [there_is_one_clock]);

conformance!(
    tokio::test(start_paused = true),
    queue,
    [simulated_queue: crate::Simulated::default()],
    [
        entries_stay_in_the_hand_of_a_worker_until_they_are_acknowledged,
        two_workers_share_the_entries,
        what_a_dead_worker_had_in_hand_is_taken_over,
        what_one_worker_has_in_hand_stays_when_another_is_done,
    ]
);
