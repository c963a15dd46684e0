//! Some stories, at each build. `cargo run --release -p sim` plays as many as one likes.
#![allow(missing_docs)]

use sim::{
    coverage::Coverage,
    judge::judge,
    plan::{Act, Plan},
    record::digest,
    world::play,
};

#[test]
fn nothing_goes_wrong() {
    for seed in 1..=8 {
        assert_eq!(judge(&play(&Plan::draw(seed))), [], "seed {seed}");
    }
}

#[test]
fn the_same_seed_is_the_same_story() {
    for seed in [1, 2] {
        assert_eq!(digest(&play(&Plan::draw(seed))), digest(&play(&Plan::draw(seed))), "seed {seed}");
    }
    assert_ne!(digest(&play(&Plan::draw(1))), digest(&play(&Plan::draw(2))));
}

#[test]
fn a_story_is_three_nodes_six_clients_two_hundred_commands_and_three_faults() {
    for seed in 1..=1_000 {
        let plan = Plan::draw(seed);
        let faults = plan.steps.iter().filter(|step| matches!(step.act, Act::Fault(_))).count();
        assert_eq!((plan.nodes.len(), plan.clients.len(), plan.steps.len() - faults), (3, 6, 200));
        assert!(faults >= 3, "seed {seed} has {faults}");
    }
}

#[test]
fn what_no_fault_has_met_is_listed() {
    let mut coverage = Coverage::default();
    let all = coverage.unmet().len();
    coverage.add(&play(&Plan::draw(1)));
    assert!(all > 200 && coverage.unmet().len() < all, "{all} {:?}", coverage.unmet());
}
