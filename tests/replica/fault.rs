//! What each fault does to the nodes, their links and the store.

use tandem::replica::Request;

use crate::{
    node::{Message, Node},
    op::Fault,
    store::Push,
    world::World,
};

impl World {
    pub fn fault(&mut self, fault: &Fault) {
        let is_push = |message: &Message| matches!(message, Message::Push(Push::Update(_) | Push::Stale));
        match fault {
            Fault::LosePushes { node } => {
                let inbound = &mut self.nodes[*node].inbound;
                if inbound.iter().any(is_push) {
                    inbound.retain(|message| !is_push(message));
                    inbound.push_back(Message::Push(Push::Stale));
                }
            }
            Fault::LoseOne { node } => {
                let inbound = &mut self.nodes[*node].inbound;
                let point = |message: &Message| match message {
                    Message::Push(Push::Update(update)) => Some((update.epoch, update.version())),
                    _ => None,
                };
                // Only if a later update shows the gap.
                let newest = inbound.iter().filter_map(point).max();
                let old = |message: &Message| point(message).is_some_and(|point| Some(point) < newest);
                if let Some(place) = inbound.iter().position(old) {
                    inbound.remove(place);
                }
            }
            Fault::Repeat { node } => {
                let inbound = &mut self.nodes[*node].inbound;
                if let Some(Message::Push(push)) = inbound.front() {
                    let again = push.clone();
                    inbound.push_back(Message::Push(again));
                }
            }
            Fault::Reorder { node } => {
                let inbound = &mut self.nodes[*node].inbound;
                if inbound.len() > 1 && is_push(&inbound[0]) && is_push(&inbound[1]) {
                    inbound.swap(0, 1);
                }
            }
            Fault::Overtake { node } => {
                let inbound = &mut self.nodes[*node].inbound;
                if let Some(place) = inbound.iter().position(|message| matches!(message, Message::Answer(_))) {
                    let answer = inbound.remove(place).unwrap();
                    inbound.push_front(answer);
                }
            }
            Fault::Late { node } => {
                if let Some(request) = self.nodes[*node].late.pop_front() {
                    let nodes = &mut self.nodes;
                    self.store.serve(*node, request, |to, push| nodes[to].inbound.push_back(Message::Push(push)));
                }
            }
            Fault::Break { node, done } => {
                if *done {
                    self.serve(*node, |_| None);
                }
                if self.nodes[*node].running.take().is_some() {
                    // Nobody waits for an answer that is under way.
                    self.nodes[*node].inbound.retain(|message| !matches!(message, Message::Answer(_)));
                    self.with(*node, |node, env, _| node.replica.abandon(env.now));
                    if self.nodes[*node].replica.is_retired() {
                        self.reopen(*node);
                    }
                    self.begin_next(*node);
                }
            }
            Fault::Crash { node } => {
                self.connected.retain(|_, client| self.clients[*client].node != *node);
                self.nodes[*node] = Node::new();
                // The new process has no subscriptions.
                self.store.serve(*node, Request::Leave, |_, _| {});
            }
            Fault::Forget { updates } => {
                // A failover of the store breaks its links, so what is under way does not arrive.
                for node in &mut self.nodes {
                    node.late.clear();
                }
                let nodes = &mut self.nodes;
                self.store.forget(usize::from(*updates));
                for node in nodes {
                    node.inbound.push_back(Message::Push(Push::Cut));
                }
            }
        }
    }
}
