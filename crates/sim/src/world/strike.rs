use std::{sync::atomic::Ordering, time::Duration};

use super::world::{World, name};
use crate::{
    bus::lock,
    node::Node,
    plan::{FOR_GOOD, Fault},
    record::Event,
};

impl World {
    /// Begins a fault. Returns how long it lasts, in milliseconds, if it has to be ended.
    pub(super) fn strike(&mut self, fault: Fault) -> Option<(u64, Fault)> {
        let bus = &self.deployment.bus;
        match fault {
            Fault::Cut { node, .. } => {
                lock(bus).cut_off.insert(name(node));
                if let Some(node) = self.node(node) {
                    node.port.is_cut();
                }
            }
            Fault::Deaf { node } => {
                lock(bus).deafen(&name(node));
                return None;
            }
            Fault::Slow { node, .. } => {
                lock(bus).slow.insert(name(node));
            }
            Fault::Kill { node, during } => {
                let dead = self.nodes.lock().unwrap().insert(node, None).flatten()?;
                dead.kill();
                self.record.add(Event::Died { node: dead.name.clone() });
                if during == FOR_GOOD {
                    return None;
                }
            }
            Fault::Pause { node, .. } => {
                let node = self.node(node)?;
                node.gate.shut();
                self.record.add(Event::Paused { node: node.name.clone() });
            }
            Fault::Away { .. } => {
                lock(bus).away = true;
                self.cut_all();
            }
            Fault::FallBack { back } => {
                lock(bus).away = true;
                self.cut_all();
                lock(bus).fall_back(Duration::from_millis(back));
                return Some((self.dice.between(20, 1_500), Fault::Away { during: 0 }));
            }
            Fault::LoseAll => {
                lock(bus).away = true;
                self.cut_all();
                lock(bus).lose_all();
                return Some((self.dice.between(20, 1_500), Fault::Away { during: 0 }));
            }
            Fault::Ledger { .. } => self.ledger.away.store(true, Ordering::Relaxed),
            Fault::Worker { .. } => self.worker.take()?.abort(),
        }
        Some((fault.during(), fault))
    }

    pub(super) fn cut_all(&self) {
        let nodes: Vec<_> = self.nodes.lock().unwrap().values().flatten().cloned().collect();
        nodes.iter().for_each(|node| node.port.is_cut());
        lock(&self.deployment.bus).disconnect_all();
    }

    pub(super) fn mend(&mut self, fault: Fault) {
        match fault {
            Fault::Cut { node, .. } => {
                lock(&self.deployment.bus).cut_off.remove(&name(node));
            }
            Fault::Slow { node, .. } => {
                lock(&self.deployment.bus).slow.remove(&name(node));
            }
            Fault::Kill { node, .. } => {
                if self.node(node).is_none() {
                    self.start(node);
                }
            }
            Fault::Pause { node, .. } => {
                if let Some(node) = self.node(node) {
                    self.wake(&node);
                }
            }
            Fault::Away { .. } => lock(&self.deployment.bus).away = false,
            Fault::Ledger { .. } => self.ledger.away.store(false, Ordering::Relaxed),
            Fault::Worker { .. } => {
                if self.worker.is_none() {
                    self.start_worker();
                }
            }
            Fault::Deaf { .. } | Fault::FallBack { .. } | Fault::LoseAll => {}
        }
    }

    fn wake(&self, node: &Node) {
        node.gate.open();
        self.record.add(Event::Woke { node: node.name.clone() });
    }

    pub(super) fn heal(&mut self) {
        {
            let mut bus = lock(&self.deployment.bus);
            bus.cut_off.clear();
            bus.slow.clear();
            bus.away = false;
        }
        self.mend(Fault::Ledger { during: 0 });
        self.mend(Fault::Worker { during: 0 });
        for number in 0..self.plan.nodes.len() {
            match self.node(number) {
                Some(node) => self.wake(&node),
                None if self.plan.dies_for_good(number) => {}
                None => self.start(number),
            }
        }
    }
}
