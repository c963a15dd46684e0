//! What the histories of all rooms in memory take together.

use std::{collections::HashMap, sync::Arc, sync::Weak};

use proptest::prelude::*;
use tandem::{
    backend::{Backend, Memory, MemoryLedger, MemoryNode, Retention, RoomEvents},
    id::NodeId,
    ledger::LocalTokens,
    room::{Command, Json},
    telemetry::Metrics,
};

use crate::fixture::{Fixture, Node, act, broadcast, drop_socket, join, room};

/// The bound of these tests: a few rooms reach it.
const BYTES: usize = 20_000;

/// A single node within the bound.
struct Bounded {
    shared: Arc<Memory>,
    metrics: Arc<Metrics>,
    node: std::sync::OnceLock<Arc<MemoryNode>>,
}

impl Bounded {
    fn new(bytes: usize) -> Self {
        let retention = Retention::default().with_bytes(bytes);
        let shared = Memory::single(retention, MemoryLedger::None, 100, LocalTokens::in_memory());
        Self { shared, metrics: Arc::new(Metrics::new("north")), node: std::sync::OnceLock::new() }
    }

    fn said(&self) -> usize {
        usize::try_from(self.metrics.history_bytes.get()).unwrap()
    }
}

impl Fixture for Bounded {
    async fn node(&self, name: &str, events: Weak<dyn RoomEvents>) -> Arc<dyn Backend> {
        let connect = || self.shared.connect(NodeId::parse(name).unwrap(), events, Some(Arc::clone(&self.metrics)));
        let node: Arc<MemoryNode> = Arc::clone(self.node.get_or_init(connect));
        node
    }

    async fn events(&self, _: &tandem::id::RoomId) -> usize {
        0
    }
}

/// What the history of a room weighs, and how many of its last updates are there.
async fn kept(node: &Node) -> (usize, usize) {
    let replica = &node.replica;
    for after in 0..replica.version {
        if let Some(updates) = node.backend.history(&replica.id, replica.epoch, after).await.unwrap() {
            let ends: Vec<_> = updates.iter().map(|update| (update.base, update.version())).collect();
            assert!(ends.windows(2).all(|pair| pair[0].1 == pair[1].0), "a gap: {ends:?}");
            return (updates.iter().map(|update| update.weight()).sum(), updates.len());
        }
    }
    (0, 0)
}

fn long(length: usize) -> Command {
    let data = Json(serde_json::value::to_raw_value(&"x".repeat(length)).unwrap().into());
    act("ana", tandem::room::Action::Broadcast { event: "e".into(), data: Some(data) })
}

#[derive(Debug, Clone)]
enum Step {
    Say(usize),
    Leave,
    Come { resumable: bool },
    Stale,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..8_000_usize).prop_map(Step::Say),
        1 => Just(Step::Leave),
        2 => any::<bool>().prop_map(|resumable| Step::Come { resumable }),
        1 => Just(Step::Stale),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn the_bound_holds_over_all_rooms(steps in proptest::collection::vec((0..6_usize, step()), 1..120)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(play(&steps));
    }
}

async fn play(steps: &[(usize, Step)]) {
    let fixture = Bounded::new(BYTES);
    let mut rooms = HashMap::new();
    for (place, step) in steps {
        if !rooms.contains_key(place) {
            let mut node = Node::subscribed(&fixture, "north", &room(&place.to_string())).await;
            node.commit(&join("ana", "north", true)).await;
            rooms.insert(*place, node);
        }
        let node = rooms.get_mut(place).unwrap();
        match step {
            Step::Say(length) if node.replica.exists() && !node.replica.members.is_empty() => {
                node.commit(&long(*length)).await;
            }
            Step::Leave if !node.replica.members.is_empty() => {
                node.commit(&drop_socket("ana", false)).await;
            }
            Step::Come { resumable } if node.replica.members.is_empty() => {
                node.commit(&join("ana", "north", *resumable)).await;
            }
            // It changes nothing, so that it takes no bytes.
            Step::Stale if !node.replica.members.is_empty() => {
                let proposal = node.draft(&broadcast("ana", "e"));
                node.commit(&broadcast("ana", "e")).await;
                node.backend.commit(proposal).await.unwrap();
            }
            _ => {}
        }
        let mut sum = 0;
        for node in rooms.values() {
            sum += kept(node).await.0;
        }
        assert_eq!(sum, fixture.said(), "after {step:?}");
        assert!(sum <= BYTES, "{sum} bytes after {step:?}");
    }
}

#[tokio::test]
async fn the_longest_history_gives_way_to_those_of_others() {
    let fixture = Bounded::new(BYTES);
    let mut nodes = Vec::new();
    for name in ["quiet", "loud", "new"] {
        let mut node = Node::subscribed(&fixture, "north", &room(name)).await;
        node.commit(&join("ana", "north", true)).await;
        nodes.push(node);
    }
    let [quiet, loud, new] = &mut nodes[..] else { panic!("three rooms") };
    quiet.commit(&long(2_000)).await;
    let before = kept(quiet).await;
    for _ in 0..100 {
        loud.commit(&long(1_000)).await;
    }
    assert_eq!(kept(quiet).await, before, "it has lost nothing");
    let (bytes, updates) = kept(loud).await;
    assert!(updates < 20 && bytes > BYTES / 3, "{updates} updates of {bytes} bytes");
    new.commit(&long(12_000)).await;
    assert_eq!(kept(new).await.1, 2, "all that was said there");
    assert!(kept(loud).await.0 < bytes);
    assert_eq!(kept(quiet).await, before, "still");
    // What fits nowhere is not kept, and neither is what comes before it.
    quiet.commit(&long(BYTES)).await;
    assert_eq!(kept(quiet).await, (0, 0));
    assert!(fixture.said() <= BYTES);
}

#[test]
fn the_bound_holds_while_many_threads_commit() {
    let fixture = Bounded::new(BYTES);
    std::thread::scope(|scope| {
        for number in 0..4 {
            let fixture = &fixture;
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    let mut node = Node::subscribed(fixture, "north", &room(&number.to_string())).await;
                    node.commit(&join("ana", "north", true)).await;
                    for length in 0..500 {
                        node.commit(&long(length * 7 % 3_000)).await;
                        let (bytes, _) = kept(&node).await;
                        assert!(bytes <= BYTES, "{bytes} bytes in one room");
                    }
                });
            });
        }
    });
    assert!((BYTES / 2..=BYTES).contains(&fixture.said()), "{} bytes", fixture.said());
}
