use proptest::prelude::*;

use crate::{
    judge,
    op::{Op, op},
    world::World,
};

fn told(ops: &[Op]) -> World {
    let mut world = World::new();
    // Each node has a member.
    for (user, node) in [(0, 0), (1, 1), (2, 2)] {
        world.step(&Op::Join { user, node, modern: user > 0 });
        world.calm();
    }
    for op in ops {
        world.step(op);
    }
    world.calm();
    world
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, max_shrink_iters: 20_000, ..ProptestConfig::default() })]

    /// Messages are late, lost, repeated and out of order, answers do not come, turns break off and nodes crash. The store keeps what it has.
    #[test]
    fn everybody_is_told_just_what_happened(ops in prop::collection::vec(op(false), 1..120)) {
        let world = told(&ops);
        judge::in_order(&world);
        judge::agree(&world);
        judge::complete(&world, true);
        judge::acknowledged(&world);
        judge::signals_in_order(&world);
    }

    /// In addition, the store loses its last updates, or everything.
    #[test]
    fn whoever_missed_something_for_good_is_told_so(ops in prop::collection::vec(op(true), 1..120)) {
        let world = told(&ops);
        judge::in_order(&world);
        judge::agree(&world);
        judge::complete(&world, false);
    }
}
