use tandem::{
    backend::{Commit, Delivery},
    room::Action,
};

use crate::fixture::{Fixture, NOW, Node, act, broadcast, drop_socket, join, room, user};

fn applied(commit: &Commit) -> bool {
    matches!(commit, Commit::Applied)
}

pub async fn an_unknown_room_is_vacant(fixture: &impl Fixture) {
    let north = Node::subscribed(fixture, "north", &room("r")).await;
    assert!(!north.replica.exists());
    assert_eq!(north.backend.history(&room("r"), 1, 5).await.unwrap(), None);
    assert_eq!(north.backend.direct(&room("r"), &user("ana"), "x".into()).await.unwrap(), Delivery::Nobody);
}

pub async fn a_commit_reaches_every_subscriber_in_order(fixture: &impl Fixture) {
    let mut north = Node::subscribed(fixture, "north", &room("r")).await;
    let south = Node::subscribed(fixture, "south", &room("r")).await;
    assert!(applied(&north.commit(&join("ana", "north", false)).await));
    for event in ["one", "two", "three"] {
        assert!(applied(&north.commit(&broadcast("ana", event)).await));
    }
    let expected = [(0, 2), (2, 3), (3, 4), (4, 5)];
    assert_eq!(north.versions(), expected, "the node that committed hears it the same way");
    assert_eq!(south.versions(), expected);
    let late = Node::subscribed(fixture, "late", &room("r")).await;
    assert_eq!(late.replica, north.replica);
}

pub async fn a_stale_commit_changes_nothing_and_tells_how_the_room_is(fixture: &impl Fixture) {
    let mut north = Node::subscribed(fixture, "north", &room("r")).await;
    north.commit(&join("ana", "north", false)).await;
    let mut south = Node::subscribed(fixture, "south", &room("r")).await;
    north.commit(&broadcast("ana", "first")).await;
    let heard = south.versions().len();
    assert!(!applied(&south.commit(&join("ben", "south", false)).await));
    assert_eq!(south.replica, north.replica, "the conflict brings the fresh room");
    assert_eq!(south.versions().len(), heard, "and nothing was published");
    assert!(applied(&south.commit(&join("ben", "south", false)).await), "decided again it goes through");
}

pub async fn of_two_founders_one_wins(fixture: &impl Fixture) {
    let mut north = Node::subscribed(fixture, "north", &room("r")).await;
    let mut south = Node::subscribed(fixture, "south", &room("r")).await;
    assert!(applied(&north.commit(&join("ana", "north", false)).await));
    assert!(!applied(&south.commit(&join("ben", "south", false)).await));
    assert!(applied(&south.commit(&join("ben", "south", false)).await));
    assert_eq!(south.replica.host, Some(user("ana")));
    assert_eq!(south.replica.members.len(), 2);
}

pub async fn a_room_that_was_closed_begins_anew(fixture: &impl Fixture) {
    let mut north = Node::subscribed(fixture, "north", &room("r")).await;
    north.commit(&join("ana", "north", false)).await;
    let (old, _) = north.draft(&broadcast("ana", "late"));
    north.commit(&act("ana", Action::Leave)).await;
    let (mut close, _) = north.draft(&join("ana", "north", false));
    close.changes = vec![tandem::room::Change::Closed];
    assert!(applied(&north.backend.commit(close, None).await.unwrap()));
    let fresh = north.backend.subscribe(&room("r")).await.unwrap();
    assert!(!fresh.exists());
    assert!(!applied(&north.backend.commit(old, None).await.unwrap()), "what was decided on the old room is void");
    north.replica = fresh;
    assert!(applied(&north.commit(&join("ben", "north", false)).await));
    assert_eq!(north.replica.version, 2);
    let mut stranger = north.draft(&broadcast("ben", "x")).0;
    stranger.epoch += 1;
    assert!(!applied(&north.backend.commit(stranger, None).await.unwrap()), "another incarnation");
}

pub async fn nothing_comes_after_unsubscribing(fixture: &impl Fixture) {
    let mut north = Node::subscribed(fixture, "north", &room("r")).await;
    let south = Node::subscribed(fixture, "south", &room("r")).await;
    north.commit(&join("ana", "north", false)).await;
    south.backend.unsubscribe(&room("r")).await.unwrap();
    north.commit(&broadcast("ana", "x")).await;
    assert_eq!(south.versions(), [(0, 2)]);
}

pub async fn racing_nodes_never_skip_or_repeat_a_version(fixture: &impl Fixture) {
    const NODES: usize = 4;
    const EACH: usize = 50;
    let mut founder = Node::subscribed(fixture, "n0", &room("r")).await;
    founder.commit(&join("u0", "n0", false)).await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..NODES {
        let name = format!("n{}", number + 1);
        let mut node = Node::subscribed(fixture, &name, &room("r")).await;
        tasks.spawn(async move {
            let me = format!("u{}", number + 1);
            while !applied(&node.commit(&join(&me, &name, false)).await) {}
            let mut conflicts = 0;
            for number in 0..EACH {
                while !applied(&node.commit(&broadcast(&me, &number.to_string())).await) {
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
        let versions = node.versions();
        assert!(versions.windows(2).all(|pair| pair[0].1 == pair[1].0), "{versions:?}");
        assert_eq!(versions.last().unwrap().1, 2 + (NODES + NODES * EACH) as u64);
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

pub async fn a_signal_reaches_the_node_of_its_target(fixture: &impl Fixture) {
    let mut north = Node::subscribed(fixture, "north", &room("r")).await;
    north.commit(&join("ana", "north", false)).await;
    let mut south = Node::subscribed(fixture, "south", &room("r")).await;
    south.commit(&join("ben", "south", false)).await;
    for number in 0..5 {
        let sent = north.backend.direct(&room("r"), &user("ben"), number.to_string().into()).await.unwrap();
        assert_eq!(sent, Delivery::Sent);
    }
    let heard = south.heard.signals.lock().unwrap().clone();
    assert_eq!(heard, ["0", "1", "2", "3", "4"].map(|text| (user("ben"), text.to_owned())));
    assert!(north.heard.signals.lock().unwrap().is_empty());
    assert_eq!(north.backend.direct(&room("r"), &user("cem"), "x".into()).await.unwrap(), Delivery::Nobody);
    assert_eq!(north.backend.direct(&room("other"), &user("ben"), "x".into()).await.unwrap(), Delivery::Nobody);
}

pub async fn signals_for_one_that_is_away_wait_in_order_and_once(fixture: &impl Fixture) {
    let mut north = Node::subscribed(fixture, "north", &room("r")).await;
    north.commit(&join("ana", "north", true)).await;
    north.commit(&drop_socket("ana", true)).await;
    for number in 0..3 {
        let kept = north.backend.direct(&room("r"), &user("ana"), number.to_string().into()).await.unwrap();
        assert_eq!(kept, Delivery::Kept);
    }
    let inbox = north.backend.inbox(&room("r"), &user("ana")).await.unwrap();
    assert_eq!(inbox.iter().map(axum::extract::ws::Utf8Bytes::as_str).collect::<Vec<_>>(), ["0", "1", "2"]);
    assert!(north.backend.inbox(&room("r"), &user("ana")).await.unwrap().is_empty());
    for number in 0..10_000 {
        north.backend.direct(&room("r"), &user("ana"), number.to_string().into()).await.unwrap();
    }
    let inbox = north.backend.inbox(&room("r"), &user("ana")).await.unwrap();
    assert!(inbox.len() <= 1_000, "it is bounded: {}", inbox.len());
    assert_eq!(inbox.last().unwrap().as_str(), "9999", "and the newest stay");
}

pub async fn an_inbox_goes_with_its_member(fixture: &impl Fixture) {
    let mut north = Node::subscribed(fixture, "north", &room("r")).await;
    north.commit(&join("ana", "north", true)).await;
    north.commit(&join("ben", "north", true)).await;
    north.commit(&drop_socket("ben", true)).await;
    north.backend.direct(&room("r"), &user("ben"), "x".into()).await.unwrap();
    north.commit(&act("ana", Action::Kick { who: user("ben"), note: None })).await;
    assert!(north.backend.inbox(&room("r"), &user("ben")).await.unwrap().is_empty());
}

pub async fn a_code_belongs_to_one_room_until_it_expires(fixture: &impl Fixture) {
    let north = fixture.node("north");
    let south = fixture.node("south");
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
    let (update, entry) = north.draft(&broadcast("ana", "x"));
    assert!(applied(&north.backend.commit(update.clone(), entry.clone()).await.unwrap()));
    assert!(!applied(&north.backend.commit(update, entry).await.unwrap()), "the same again is stale");
    assert_eq!(fixture.events(&room("r")), 3, "ROOM_CREATED, USER_JOINED, BROADCAST");
}
