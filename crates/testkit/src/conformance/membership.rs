use std::{sync::Arc, time::Duration};

use tandem::{
    backend::{Cluster, Commit, DeploymentError, Due, RoomEvents},
    clock::Clock,
    id::NodeId,
};

use crate::fixture::{ClusterFixture, NOW, Node, Recorder, join, nobody, room};

fn node(name: &str) -> NodeId {
    NodeId::parse(name).unwrap()
}

/// Renews the lease of `node` until `other` is dead to it.
async fn until_dead(node: &dyn Cluster, other: &NodeId) {
    let dead = async {
        while !node.renew().await.unwrap().dead.contains(other) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), dead).await.expect("a lease runs out");
}

pub async fn a_node_whose_lease_runs_out_is_dead_to_the_others_and_knows_it(fixture: &impl ClusterFixture) {
    let (north, south) = (fixture.member("north", nobody()).await, fixture.member("south", nobody()).await);
    assert!(north.renew().await.unwrap().lost, "it never had one");
    let again = north.renew().await.unwrap();
    assert!(!again.lost && !again.usurped && again.dead.is_empty(), "{again:?}");
    until_dead(&*south, &node("north")).await;
    assert!(north.renew().await.unwrap().lost);
    assert_eq!(south.renew().await.unwrap().dead, [], "it lives again");
}

pub async fn one_node_takes_over_the_rooms_of_a_dead_one(fixture: &impl ClusterFixture) {
    let [north, south, west] = ["north", "south", "west"].map(|name| fixture.member(name, nobody()));
    let (north, south, west) = (north.await, south.await, west.await);
    for name in ["a", "b"] {
        north.subscribe(&room(name)).await.unwrap();
    }
    let mut rooms = south.rooms_of(&node("north")).await.unwrap();
    rooms.sort_unstable();
    assert_eq!(rooms, [room("a"), room("b")]);
    assert!(south.take_over(&node("north")).await.unwrap());
    assert!(!west.take_over(&node("north")).await.unwrap(), "one has its turn");
    assert!(west.take_over(&node("south")).await.unwrap(), "for each dead node");
    north.unsubscribe(&room("b")).await.unwrap();
    assert_eq!(south.rooms_of(&node("north")).await.unwrap(), [room("a")]);
}

pub async fn a_dead_node_is_removed_unless_it_lives(fixture: &impl ClusterFixture) {
    let (north, south) = (fixture.member("north", nobody()).await, fixture.member("south", nobody()).await);
    north.subscribe(&room("r")).await.unwrap();
    north.renew().await.unwrap();
    south.remove_node(&node("north")).await.unwrap();
    assert_eq!(south.rooms_of(&node("north")).await.unwrap(), [room("r")], "it lives");
    until_dead(&*south, &node("north")).await;
    south.remove_node(&node("north")).await.unwrap();
    assert_eq!(south.rooms_of(&node("north")).await.unwrap(), []);
    assert_eq!(south.renew().await.unwrap().dead, [], "and is forgotten");
    north.announce_rooms().await.unwrap();
    assert_eq!(south.rooms_of(&node("north")).await.unwrap(), [room("r")], "it lived after all");
}

pub async fn a_node_that_leaves_holds_nothing_and_is_not_dead(fixture: &impl ClusterFixture) {
    let [north, south, west] = ["north", "south", "west"].map(|name| fixture.member(name, nobody()));
    let (north, south, west) = (north.await, south.await, west.await);
    north.subscribe(&room("r")).await.unwrap();
    north.renew().await.unwrap();
    west.renew().await.unwrap();
    north.leave().await.unwrap();
    assert_eq!(south.rooms_of(&node("north")).await.unwrap(), []);
    // The other lease was renewed later.
    until_dead(&*south, &node("west")).await;
    assert_eq!(south.renew().await.unwrap().dead, [node("west")]);
}

pub async fn the_newer_process_has_the_name(fixture: &impl ClusterFixture) {
    let heard = [Arc::new(Recorder::default()), Arc::new(Recorder::default())];
    let [one, two] = heard.each_ref().map(|heard| Arc::downgrade(heard) as std::sync::Weak<dyn RoomEvents>);
    let first = fixture.member("north", one).await;
    first.take_name().await.unwrap();
    assert!(!first.renew().await.unwrap().usurped);
    assert_eq!(first.namesakes().await.unwrap(), 1);
    let second = fixture.member("north", two).await;
    assert_eq!(second.namesakes().await.unwrap(), 2);
    second.take_name().await.unwrap();
    assert!(first.renew().await.unwrap().usurped);
    assert!(!second.renew().await.unwrap().usurped);
}

pub async fn rooms_of_an_earlier_process_of_the_name_are_abandoned(fixture: &impl ClusterFixture) {
    let first = fixture.member("north", nobody()).await;
    first.subscribe(&room("r")).await.unwrap();
    assert_eq!(first.abandoned_rooms().await.unwrap(), []);
    let second = fixture.member("north", nobody()).await;
    assert_eq!(second.abandoned_rooms().await.unwrap(), [room("r")]);
    second.subscribe(&room("r")).await.unwrap();
    assert_eq!(second.abandoned_rooms().await.unwrap(), []);
}

pub async fn nodes_of_another_secret_are_refused(fixture: &impl ClusterFixture) {
    let north = fixture.member("north", nobody()).await;
    let fits = async |prints: &[&str]| {
        let prints: Vec<String> = prints.iter().map(|print| (*print).to_owned()).collect();
        match north.check_deployment(&prints).await {
            Ok(()) => true,
            Err(DeploymentError::Mismatch(_)) => false,
            Err(error) => panic!("{error}"),
        }
    };
    assert!(fits(&["old"]).await, "the first decides");
    assert!(!fits(&["other"]).await);
    assert!(fits(&["new", "old"]).await, "one that knows both");
    assert!(fits(&["new"]).await);
    assert!(!fits(&["old"]).await, "the last word was the new one alone");
}

pub async fn a_room_is_due_until_it_is_not(fixture: &impl ClusterFixture) {
    let mut north = Node::subscribed(fixture, "north", &room("r")).await;
    let member = fixture.member("south", nobody()).await;
    let overdue = async |at| member.overdue(at).await.unwrap();
    let mut proposal = north.draft(&join("ana", "north", true));
    proposal.due = Due::At(NOW + 10);
    north.replica = proposal.after.clone();
    assert_eq!(north.backend.commit(proposal).await.unwrap(), Commit::Applied);
    assert_eq!(overdue(NOW + 9).await, []);
    assert_eq!(overdue(NOW + 10).await, [room("r")]);
    member.set_due(&room("r"), Some(NOW + 20)).await.unwrap();
    assert_eq!(overdue(NOW + 19).await, []);
    assert_eq!(overdue(NOW + 20).await, [room("r")]);
    member.set_due(&room("r"), None).await.unwrap();
    assert_eq!(overdue(NOW + 99).await, []);
    member.set_due(&room("r"), Some(NOW)).await.unwrap();
    let mut proposal = north.draft(&join("ben", "north", true));
    proposal.due = Due::Same;
    north.replica = proposal.after.clone();
    north.backend.commit(proposal).await.unwrap();
    assert_eq!(overdue(NOW).await, [room("r")], "as before");
    let mut proposal = north.draft(&join("cem", "north", true));
    proposal.due = Due::Never;
    north.backend.commit(proposal).await.unwrap();
    assert_eq!(overdue(NOW + 99).await, []);
}

pub async fn there_is_one_clock(fixture: &impl ClusterFixture) {
    let (north, south) = (fixture.member("north", nobody()).await, fixture.member("south", nobody()).await);
    let clock = Clock::system();
    let (first, second) = (north.read_clock(&clock).await.unwrap(), south.read_clock(&clock).await.unwrap());
    assert!(first.before <= first.after && first.after <= second.before && second.before <= second.after);
    assert!(first.said <= second.said);
    // The time that one reads from the other is between the question and the answer.
    assert!(second.said - first.said <= second.after - first.before + 1_000, "{first:?} {second:?}");
}
