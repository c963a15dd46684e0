use std::sync::{Arc, atomic::Ordering};

use tandem::{
    backend::{Commit, Delivery, Due},
    id::NodeId,
    room::{Action, Room, StreamPosition},
};

use crate::fixture::{Fixture, NOW, Node, act, broadcast, conn, drop_socket, join, nobody, room, texts, user};

fn applied(commit: Commit) -> bool {
    commit == Commit::Applied
}

pub async fn an_unknown_room_is_vacant(fixture: &impl Fixture) {
    let north = Node::subscribed(fixture, "north", &room("r")).await;
    assert!(!north.replica.exists());
    assert_eq!(north.backend.history(&room("r"), 1, 5).await.unwrap(), None);
    assert_eq!(north.backend.direct(&room("r"), &user("ana"), None, "x".into()).await.unwrap(), Delivery::Nobody);
}

pub async fn a_commit_reaches_every_subscriber_in_order(fixture: &impl Fixture) {
    let mut north = Node::subscribed(fixture, "north", &room("r")).await;
    let south = Node::subscribed(fixture, "south", &room("r")).await;
    assert!(applied(north.commit(&join("ana", "north", false)).await));
    for event in ["one", "two", "three"] {
        assert!(applied(north.commit(&broadcast("ana", event)).await));
    }
    let expected = [(0, 2), (2, 3), (3, 4), (4, 5)];
    assert_eq!(north.heard.versions(4).await, expected, "the node that committed hears it the same way");
    assert_eq!(south.heard.versions(4).await, expected);
    let late = Node::subscribed(fixture, "late", &room("r")).await;
    assert_eq!(late.replica, north.replica);
}

pub async fn a_socket_is_asked_on_its_own_node(fixture: &impl Fixture) {
    let north = Node::subscribed(fixture, "north", &room("r")).await;
    let south = Node::subscribed(fixture, "south", &room("r")).await;
    let asks = |node: &'static str| {
        let backend = &north.backend;
        async move { backend.answers(&NodeId::parse(node).unwrap(), &room("r"), &user("ana"), conn("ana")).await.unwrap() }
    };
    assert_eq!(asks("south").await, Some(true));
    assert_eq!(asks("north").await, Some(true), "itself, if need be");
    south.heard.empty.store(true, Ordering::Relaxed);
    assert_eq!(asks("south").await, Some(false), "it is not there");
    assert_eq!(asks("nowhere").await, None, "a dead node does not say");
}

pub async fn a_stale_commit_changes_nothing_and_tells_how_the_room_is(fixture: &impl Fixture) {
    let mut north = Node::subscribed(fixture, "north", &room("r")).await;
    north.commit(&join("ana", "north", false)).await;
    let mut south = Node::subscribed(fixture, "south", &room("r")).await;
    north.commit(&broadcast("ana", "first")).await;
    assert!(!applied(south.commit(&join("ben", "south", false)).await));
    assert_eq!(
        south.heard.updates.lock().unwrap().len(),
        1,
        "what was first is here before the conflict is, and nothing else"
    );
    assert_eq!(south.replica, north.replica, "read anew it is the fresh room");
    assert!(applied(south.commit(&join("ben", "south", false)).await), "decided again it goes through");
}

pub async fn of_two_founders_one_wins(fixture: &impl Fixture) {
    let mut north = Node::subscribed(fixture, "north", &room("r")).await;
    let mut south = Node::subscribed(fixture, "south", &room("r")).await;
    assert!(applied(north.commit(&join("ana", "north", false)).await));
    assert!(!applied(south.commit(&join("ben", "south", false)).await));
    assert!(applied(south.commit(&join("ben", "south", false)).await));
    assert_eq!(south.replica.host, Some(user("ana")));
    assert_eq!(south.replica.members.len(), 2);
}

pub async fn a_room_that_was_closed_begins_anew(fixture: &impl Fixture) {
    let mut north = Node::subscribed(fixture, "north", &room("r")).await;
    north.commit(&join("ana", "north", false)).await;
    let old = north.draft(&broadcast("ana", "late"));
    north.commit(&act("ana", Action::Leave)).await;
    let mut close = north.draft(&join("ana", "north", false));
    Arc::make_mut(&mut close.update).changes = vec![tandem::room::Change::Closed];
    close.after = Room::vacant(room("r"));
    assert!(applied(north.backend.commit(close).await.unwrap()));
    let fresh = north.backend.subscribe(&room("r")).await.unwrap();
    assert!(!fresh.exists());
    assert!(!applied(north.backend.commit(old).await.unwrap()), "what was decided on the old room is void");
    north.replica = fresh;
    assert!(applied(north.commit(&join("ben", "north", false)).await));
    assert_eq!(north.replica.version, 2);
    let mut stranger = north.draft(&broadcast("ben", "x"));
    Arc::make_mut(&mut stranger.update).epoch += 1;
    assert!(!applied(north.backend.commit(stranger).await.unwrap()), "another incarnation");
}

pub async fn nothing_comes_after_unsubscribing(fixture: &impl Fixture) {
    let mut north = Node::subscribed(fixture, "north", &room("r")).await;
    let south = Node::subscribed(fixture, "south", &room("r")).await;
    north.commit(&join("ana", "north", false)).await;
    assert_eq!(south.heard.versions(1).await, [(0, 2)]);
    south.backend.unsubscribe(&room("r")).await.unwrap();
    north.commit(&broadcast("ana", "x")).await;
    north.heard.versions(2).await;
    // Whatever was still to come would have come before this.
    let mut south = Node { replica: south.backend.subscribe(&room("r")).await.unwrap(), ..south };
    south.commit(&broadcast("ana", "y")).await;
    assert_eq!(south.heard.versions(2).await, [(0, 2), (3, 4)]);
}

pub async fn racing_nodes_never_skip_or_repeat_a_version(fixture: &impl Fixture) {
    const NODES: usize = 4;
    const EACH: usize = 50;
    let mut founder = Node::subscribed(fixture, "n0", &room("r")).await;
    founder.commit(&join("u0", "n0", false)).await;
    let mut tasks = tokio::task::JoinSet::new();
    // Nodes take a while to connect, and the first would be through before the last begins.
    let all_in = Arc::new(tokio::sync::Barrier::new(NODES));
    for number in 0..NODES {
        let name = format!("n{}", number + 1);
        let all_in = Arc::clone(&all_in);
        let mut node = Node::subscribed(fixture, &name, &room("r")).await;
        tasks.spawn(async move {
            let me = format!("u{}", number + 1);
            while !applied(node.commit(&join(&me, &name, false)).await) {}
            all_in.wait().await;
            let mut conflicts = 0;
            for number in 0..EACH {
                while !applied(node.commit(&broadcast(&me, &number.to_string())).await) {
                    conflicts += 1;
                }
                tokio::task::yield_now().await;
            }
            (node, conflicts)
        });
    }
    let mut conflicts = 0;
    let mut nodes = vec![founder];
    while let Some(done) = tasks.join_next().await {
        let (node, lost) = done.unwrap();
        conflicts += lost;
        nodes.push(node);
    }
    assert!(conflicts > 0, "they did race");
    for node in &nodes {
        let last = 2 + (NODES + NODES * EACH) as u64;
        node.heard.until(|| node.heard.updates.lock().unwrap().iter().any(|update| update.version() == last)).await;
        let versions = node.heard.versions(0).await;
        assert!(versions.windows(2).all(|pair| pair[0].1 == pair[1].0), "{versions:?}");
        assert_eq!(versions.last().unwrap().1, last);
    }
}

pub async fn history_is_complete_or_absent(fixture: &impl Fixture) {
    let mut north = Node::subscribed(fixture, "north", &room("r")).await;
    north.commit(&join("ana", "north", true)).await;
    for event in ["one", "two", "three"] {
        north.commit(&broadcast("ana", event)).await;
    }
    let epoch = north.replica.epoch;
    let versions = async |epoch, after| {
        let history = north.backend.history(&room("r"), epoch, after).await.unwrap();
        history.map(|updates| updates.iter().map(|update| update.version()).collect::<Vec<_>>())
    };
    assert_eq!(versions(epoch, 3).await, Some(vec![4, 5]));
    assert_eq!(versions(epoch, 5).await, Some(vec![]));
    assert_eq!(versions(epoch, 6).await, None, "a version that never was");
    assert_eq!(versions(epoch + 1, 3).await, None, "another incarnation");
    for number in 0..2_000 {
        north.commit(&broadcast("ana", &number.to_string())).await;
    }
    let after = async |version| north.backend.history(&room("r"), epoch, version).await.unwrap();
    assert!(after(3).await.is_none(), "it is bounded");
    assert_eq!(after(north.replica.version - 10).await.unwrap().len(), 10);
}

pub async fn a_code_belongs_to_one_room_until_it_expires(fixture: &impl Fixture) {
    let north = fixture.node("north", nobody()).await;
    let south = fixture.node("south", nobody()).await;
    assert!(north.claim_code("abc", &room("r"), NOW + 10, NOW).await.unwrap());
    assert!(south.claim_code("abc", &room("r"), NOW + 20, NOW).await.unwrap(), "again, for longer");
    assert!(!south.claim_code("abc", &room("other"), NOW + 99, NOW + 15).await.unwrap());
    assert_eq!(north.resolve_code("abc", NOW + 19).await.unwrap(), Some(room("r")));
    assert_eq!(north.resolve_code("abc", NOW + 20).await.unwrap(), None);
    assert!(north.claim_code("abc", &room("other"), NOW + 99, NOW + 20).await.unwrap());
    assert_eq!(south.resolve_code("abc", NOW + 21).await.unwrap(), Some(room("other")));
    assert_eq!(south.resolve_code("never", NOW).await.unwrap(), None);
}

pub async fn entries_reach_the_ledger_once_and_only_when_committed(fixture: &impl Fixture) {
    let mut north = Node::subscribed(fixture, "north", &room("r")).await;
    north.commit(&join("ana", "north", false)).await;
    let proposal = north.draft(&broadcast("ana", "x"));
    assert!(applied(north.backend.commit(proposal.clone()).await.unwrap()));
    assert!(!applied(north.backend.commit(proposal).await.unwrap()), "the same again is stale");
    assert_eq!(fixture.events(&room("r")).await, 3, "ROOM_CREATED, USER_JOINED, BROADCAST");
}

pub async fn a_room_that_was_lost_is_put_back_once(fixture: &impl Fixture) {
    let mut north = Node::subscribed(fixture, "north", &room("r")).await;
    let south = Node::subscribed(fixture, "south", &room("r")).await;
    north.commit(&join("ana", "north", true)).await;
    north.commit(&broadcast("ana", "one")).await;
    let kept = Room { epoch: north.replica.epoch + 1, ..north.replica.clone() };
    let restore = async |found| north.backend.restore(&kept, found, Due::Never).await.unwrap();
    assert_eq!(restore(None).await, Commit::Conflict, "it is not lost");
    let found = |epoch, version| Some(StreamPosition { epoch, version });
    assert_eq!(restore(found(kept.epoch - 1, kept.version - 1)).await, Commit::Conflict, "nor behind");
    let found = found(kept.epoch - 1, kept.version);
    assert_eq!(restore(found).await, Commit::Applied);
    assert_eq!(restore(found).await, Commit::Conflict, "once");
    south.heard.until(|| !south.heard.stale.lock().unwrap().is_empty()).await;
    assert_eq!(south.heard.stale.lock().unwrap().first(), Some(&room("r")), "the others are told to read it anew");
    assert_eq!(south.backend.subscribe(&room("r")).await.unwrap(), kept);
    assert_eq!(
        north.backend.history(&room("r"), kept.epoch, kept.version - 1).await.unwrap(),
        None,
        "nothing led there"
    );
    assert_eq!(north.backend.history(&room("r"), kept.epoch, kept.version).await.unwrap(), Some(Vec::new()));
}

pub async fn five_hundred_members_fit_into_a_room(fixture: &impl Fixture) {
    let mut north = Node::subscribed(fixture, "north", &room("r")).await;
    for number in 0..500 {
        assert!(applied(north.commit(&join(&format!("user-{number}"), "north", true)).await));
    }
    let late = Node::subscribed(fixture, "late", &room("r")).await;
    assert_eq!(late.replica, north.replica, "in the order in which they came");
    let kept = Room { epoch: north.replica.epoch + 1, ..north.replica.clone() };
    let found = Some(north.replica.position());
    assert_eq!(north.backend.restore(&kept, found, Due::Same).await.unwrap(), Commit::Applied);
    assert_eq!(late.backend.subscribe(&room("r")).await.unwrap(), kept);
}

pub async fn names_of_any_kind_do_not_run_into_each_other(fixture: &impl Fixture) {
    let odd = ["a:b", "a", "{0}", "a}:room:b", "\u{e9} \u{2602}", "room", "v"];
    for name in odd {
        let mut north = Node::subscribed(fixture, "north", &room(name)).await;
        assert!(applied(north.commit(&join(name, "north", true)).await), "{name}");
        assert!(applied(north.commit(&drop_socket(name, true)).await), "{name}");
        assert_eq!(north.backend.direct(&room(name), &user(name), None, name.into()).await.unwrap(), Delivery::Kept);
    }
    for name in odd {
        let north = Node::subscribed(fixture, "south", &room(name)).await;
        assert_eq!(north.replica.members.keys().collect::<Vec<_>>(), [&user(name)]);
        let inbox = north.backend.inbox(&room(name), &user(name)).await.unwrap();
        assert_eq!(texts(&inbox), [name]);
    }
}
