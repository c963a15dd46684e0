//! The operations of a story, and how they are drawn.

use proptest::prelude::*;

use crate::name::{NODES, USERS};

/// A step of a story.
#[derive(Debug, Clone)]
pub enum Op {
    Join {
        user: u8,
        node: usize,
        modern: bool,
    },
    Resume {
        user: u8,
        node: usize,
    },
    Drop {
        user: u8,
    },
    Act {
        user: u8,
        act: Act,
    },
    Whisper {
        from: u8,
        to: u8,
    },
    Reap {
        by: usize,
        node: usize,
    },
    Pass {
        millis: u64,
    },
    /// The store carries out the request of a node.
    Serve {
        node: usize,
    },
    /// The request of a node times out. If not `done`, it did not arrive either.
    Timeout {
        node: usize,
        done: bool,
    },
    /// So many messages arrive at a node.
    Deliver {
        node: usize,
        messages: usize,
    },
    Fault(Fault),
}

#[derive(Debug, Clone)]
pub enum Fault {
    /// All updates that are under way to a node are lost, and the node learns that it missed some.
    LosePushes {
        node: usize,
    },
    /// The first update that is under way is lost, and only the gap shows it.
    LoseOne {
        node: usize,
    },
    Repeat {
        node: usize,
    },
    Reorder {
        node: usize,
    },
    /// An answer overtakes the updates before it.
    Overtake {
        node: usize,
    },
    /// A commit that has timed out arrives after all.
    Late {
        node: usize,
    },
    /// The task of a turn panics. If `done`, its request is carried out all the same.
    Break {
        node: usize,
        done: bool,
    },
    /// The node crashes, and starts again empty.
    Crash {
        node: usize,
    },
    /// The store loses its last updates, or everything if it is 255.
    Forget {
        updates: u8,
    },
}

#[derive(Debug, Clone, Copy)]
pub enum Act {
    Say,
    Leave,
    Rename,
    Play,
    Transfer(u8),
    Promote(u8),
    Kick(u8),
}

pub fn op(forgets: bool) -> impl Strategy<Value = Op> {
    let (users, nodes) = (0..USERS, 0..NODES);
    let act = prop_oneof![
        8 => Just(Act::Say),
        1 => Just(Act::Leave),
        1 => Just(Act::Rename),
        1 => Just(Act::Play),
        1 => users.clone().prop_map(Act::Transfer),
        1 => users.clone().prop_map(Act::Promote),
        1 => users.clone().prop_map(Act::Kick),
    ];
    prop_oneof![
        3 => (users.clone(), nodes.clone(), any::<bool>()).prop_map(|(user, node, modern)| Op::Join { user, node, modern }),
        3 => (users.clone(), nodes.clone()).prop_map(|(user, node)| Op::Resume { user, node }),
        2 => users.clone().prop_map(|user| Op::Drop { user }),
        14 => (users.clone(), act).prop_map(|(user, act)| Op::Act { user, act }),
        3 => (users.clone(), users).prop_map(|(from, to)| Op::Whisper { from, to }),
        1 => (nodes.clone(), nodes.clone()).prop_map(|(by, node)| Op::Reap { by, node }),
        2 => (1..2_000_u64).prop_map(|millis| Op::Pass { millis }),
        12 => nodes.clone().prop_map(|node| Op::Serve { node }),
        1 => (nodes.clone(), any::<bool>()).prop_map(|(node, done)| Op::Timeout { node, done }),
        8 => (nodes, 1..4_usize).prop_map(|(node, messages)| Op::Deliver { node, messages }),
        5 => fault(forgets).prop_map(Op::Fault),
    ]
}

fn fault(forgets: bool) -> impl Strategy<Value = Fault> {
    let nodes = 0..NODES;
    prop_oneof![
        2 => nodes.clone().prop_map(|node| Fault::LosePushes { node }),
        4 => nodes.clone().prop_map(|node| Fault::LoseOne { node }),
        2 => nodes.clone().prop_map(|node| Fault::Repeat { node }),
        2 => nodes.clone().prop_map(|node| Fault::Reorder { node }),
        2 => nodes.clone().prop_map(|node| Fault::Overtake { node }),
        1 => (nodes.clone(), any::<bool>()).prop_map(|(node, done)| Fault::Break { node, done }),
        2 => nodes.clone().prop_map(|node| Fault::Late { node }),
        1 => nodes.prop_map(|node| Fault::Crash { node }),
        if forgets { 4 } else { 0 } => prop_oneof![1..4_u8, Just(u8::MAX)].prop_map(|updates| Fault::Forget { updates }),
    ]
}
