use std::{sync::atomic::Ordering, time::Duration};

use tandem::{
    backend::{Commit, Delivery, Inbox, Retention},
    id::NodeId,
    room::Action,
};

use crate::{
    fixture::{Fixture, NOW, Node, act, broadcast, drop_socket, join, room, texts, user},
    process::DEADLINE,
};

pub async fn a_signal_reaches_the_node_of_its_target(fixture: &impl Fixture) {
    let mut north = Node::subscribed(fixture, "north", &room("r")).await;
    north.commit(&join("ana", "north", false)).await;
    let mut south = Node::subscribed(fixture, "south", &room("r")).await;
    south.commit(&join("ben", "south", false)).await;
    for number in 0..5 {
        let sent = north.backend.direct(&room("r"), &user("ben"), None, number.to_string().into()).await.unwrap();
        assert_eq!(sent, Delivery::Sent);
    }
    south.heard.until(|| south.heard.signals.lock().unwrap().len() >= 5).await;
    let heard = south.heard.signals.lock().unwrap().clone();
    assert_eq!(heard, ["0", "1", "2", "3", "4"].map(|text| (user("ben"), text.to_owned())));
    assert!(north.heard.signals.lock().unwrap().is_empty());
    assert_eq!(north.backend.direct(&room("r"), &user("cem"), None, "x".into()).await.unwrap(), Delivery::Nobody);
    assert_eq!(north.backend.direct(&room("other"), &user("ben"), None, "x".into()).await.unwrap(), Delivery::Nobody);
}

pub async fn signals_for_one_that_is_away_wait_in_order_and_once(fixture: &impl Fixture) {
    let mut north = Node::subscribed(fixture, "north", &room("r")).await;
    north.commit(&join("ana", "north", true)).await;
    north.commit(&drop_socket("ana", true)).await;
    for number in 0..3 {
        let kept = north.backend.direct(&room("r"), &user("ana"), None, number.to_string().into()).await.unwrap();
        assert_eq!(kept, Delivery::Kept);
    }
    let (id, ana) = (room("r"), user("ana"));
    let inbox = async || north.backend.inbox(&id, &ana).await.unwrap();
    let first = inbox().await;
    assert_eq!((texts(&first), first.lost), (vec!["0", "1", "2"], false));
    assert_eq!(inbox().await, first, "reading takes nothing away");
    north.backend.direct(&id, &ana, None, "3".into()).await.unwrap();
    north.backend.taken(&id, &ana, &first).await.unwrap();
    let second = inbox().await;
    assert_eq!(texts(&second), ["3"], "what has come since stays");
    north.backend.taken(&id, &ana, &first).await.unwrap();
    assert_eq!(inbox().await, second, "and what was taken is not taken twice");
    north.backend.taken(&id, &ana, &second).await.unwrap();
    assert_eq!(inbox().await, Inbox::default());
}

pub async fn an_inbox_keeps_the_newest_and_says_that_it_has_lost_some(fixture: &impl Fixture) {
    let mut north = Node::subscribed(fixture, "north", &room("r")).await;
    north.commit(&join("ana", "north", true)).await;
    north.commit(&drop_socket("ana", true)).await;
    let (id, ana) = (room("r"), user("ana"));
    let inbox = async || north.backend.inbox(&id, &ana).await.unwrap();
    let send = async |text: String| north.backend.direct(&id, &ana, None, text.into()).await.unwrap();
    for number in 0..Retention::SIGNALS {
        send(number.to_string()).await;
    }
    assert!(!inbox().await.lost, "all of them fit");
    for number in Retention::SIGNALS..2_000 {
        send(number.to_string()).await;
    }
    let kept = inbox().await;
    assert!(kept.lost);
    let newest: Vec<_> = (2_000 - Retention::SIGNALS..2_000).map(|number| number.to_string()).collect();
    assert_eq!(texts(&kept), newest);
    // While it is being handed over, older ones have to go for newer ones.
    for number in 2_000..2_010 {
        send(number.to_string()).await;
    }
    north.backend.taken(&id, &ana, &kept).await.unwrap();
    let rest = inbox().await;
    assert_eq!((texts(&rest).len(), texts(&rest)[0], rest.lost), (10, "2000", false), "they had been handed over");
    // More than can be dropped at once.
    for number in 0..300 {
        send(format!("x{number}")).await;
    }
    north.backend.taken(&id, &ana, &rest).await.unwrap();
    let rest = inbox().await;
    assert_eq!((texts(&rest).len(), rest.lost), (Retention::SIGNALS, true));
    north.backend.taken(&id, &ana, &rest).await.unwrap();
    for number in 0..6 {
        send(number.to_string().repeat(40_000)).await;
    }
    let large = inbox().await;
    assert_eq!((large.frames.len(), large.lost), (3, true), "their bytes count, too");
    assert!(texts(&large)[2].starts_with('5'));
}

/// Junk of one member does not push out what others have sent, by number or by bytes.
pub async fn an_inbox_drops_what_its_greatest_sender_has_in_it(fixture: &impl Fixture) {
    let mut north = Node::subscribed(fixture, "north", &room("r")).await;
    north.commit(&join("ana", "north", true)).await;
    north.commit(&drop_socket("ana", true)).await;
    let (id, ana) = (room("r"), user("ana"));
    let send = async |text: String| north.backend.direct(&id, &ana, None, text.into()).await.unwrap();
    let inbox = async || north.backend.inbox(&id, &ana).await.unwrap();
    let junk = |number: usize, bytes: usize| {
        format!("{{\"type\":\"BROADCAST\",\"userId\":\"eve\",\"event\":\"{number}{}\"}}", "x".repeat(bytes))
    };
    // Two who want to talk, in between.
    let mut wanted = Vec::new();
    for number in 0..900 {
        send(junk(number, 0)).await;
        if number % 100 == 50 {
            for who in ["ben", "cem"] {
                let offer = format!("{{\"type\":\"OFFER\",\"from\":\"{who}\",\"to\":\"ana\",\"sdp\":{number}}}");
                send(offer.clone()).await;
                wanted.push(offer);
            }
        }
    }
    let kept = inbox().await;
    let offers = |inbox: &Inbox| {
        texts(inbox).into_iter().filter(|text| text.contains("OFFER")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(offers(&kept), wanted, "in their order");
    assert_eq!((kept.frames.len(), kept.lost), (Retention::SIGNALS, true));
    assert_eq!(texts(&kept).last(), Some(&junk(899, 0).as_str()), "and of the junk the newest");
    for number in 0..20 {
        send(junk(number, 40_000)).await;
    }
    let large = inbox().await;
    assert_eq!(offers(&large), wanted, "by bytes, too");
    assert!((19..22).contains(&large.frames.len()), "three of the junk at most: {}", large.frames.len());
    // While it is handed over, all that was last in it goes: the rest was handed over all the same.
    for number in 1_000..1_600 {
        send(junk(number, 0)).await;
    }
    north.backend.taken(&id, &ana, &large).await.unwrap();
    let rest = inbox().await;
    assert_eq!(offers(&rest), [] as [String; 0], "not twice");
    assert!(rest.frames.len() > 200, "what is new stays: {}", rest.frames.len());
    north.backend.taken(&id, &ana, &rest).await.unwrap();
    // Somebody has the inbox handed over, and what comes then is more than it holds: that is told the next time.
    send(wanted[0].clone()).await;
    let first = inbox().await;
    assert_eq!((texts(&first).len(), first.lost), (1, false));
    for number in 0..300 {
        send(junk(number, 0)).await;
    }
    north.backend.taken(&id, &ana, &first).await.unwrap();
    let rest = inbox().await;
    assert_eq!((rest.frames.len(), rest.lost), (Retention::SIGNALS - 1, true));
    north.backend.taken(&id, &ana, &rest).await.unwrap();
    assert_eq!(inbox().await, Inbox::default());
}

/// A member that can still come back finds what it missed, however long it was away.
pub async fn what_is_missed_is_kept_for_as_long_as_the_seat(fixture: &impl Fixture) {
    const DAY: u64 = 24 * 3_600_000;
    let mut north = Node::subscribed(fixture, "north", &room("r")).await;
    north.commit(&join("ana", "north", true)).await;
    north.commit(&drop_socket("ana", true)).await;
    let (epoch, seen) = (north.replica.epoch, north.replica.version);
    north.commit(&join("ben", "north", true)).await;
    north.backend.direct(&room("r"), &user("ana"), None, "x".into()).await.unwrap();
    let late = north.draft_at(&broadcast("ben", "late"), NOW + DAY);
    assert_eq!(north.backend.commit(late).await.unwrap(), Commit::Applied);
    let history = north.backend.history(&room("r"), epoch, seen).await.unwrap().expect("nothing is gone");
    assert_eq!(history.iter().map(|update| update.version()).collect::<Vec<_>>(), [seen + 1, seen + 2]);
    assert_eq!(texts(&north.backend.inbox(&room("r"), &user("ana")).await.unwrap()), ["x"]);
    for life in fixture.lives(&room("r"), &user("ana")).await {
        assert!(life > DAY, "{life}");
    }
}

pub async fn an_inbox_goes_with_its_member(fixture: &impl Fixture) {
    let mut north = Node::subscribed(fixture, "north", &room("r")).await;
    north.commit(&join("ana", "north", true)).await;
    north.commit(&join("ben", "north", true)).await;
    north.commit(&drop_socket("ben", true)).await;
    north.backend.direct(&room("r"), &user("ben"), None, "x".into()).await.unwrap();
    north.commit(&act("ana", Action::Kick { who: user("ben"), note: None })).await;
    assert_eq!(north.backend.inbox(&room("r"), &user("ben")).await.unwrap(), Inbox::default());
}

pub async fn a_signal_finds_its_target_wherever_it_was_thought_to_be(fixture: &impl Fixture) {
    let mut north = Node::subscribed(fixture, "north", &room("r")).await;
    north.commit(&join("ana", "north", true)).await;
    let mut south = Node::subscribed(fixture, "south", &room("r")).await;
    south.commit(&join("ben", "south", true)).await;
    let west = Node::subscribed(fixture, "west", &room("r")).await;
    west.heard.empty.store(true, Ordering::Relaxed);
    let name = |name: &str| NodeId::parse(name).unwrap();
    // Rightly, wrongly, as away while it is there, and on a node that is no more.
    for (number, at) in [Some(name("south")), Some(name("west")), None, Some(name("gone"))].into_iter().enumerate() {
        let sent =
            north.backend.direct(&room("r"), &user("ben"), at.as_ref(), number.to_string().into()).await.unwrap();
        assert_ne!(sent, Delivery::Nobody);
        south.heard.until(|| south.heard.signals.lock().unwrap().len() > number).await;
    }
    let heard: Vec<_> = south.heard.signals.lock().unwrap().iter().map(|(_, text)| text.clone()).collect();
    assert_eq!(heard, ["0", "1", "2", "3"]);
    assert!(west.heard.signals.lock().unwrap().is_empty());
    assert_eq!(north.backend.inbox(&room("r"), &user("ben")).await.unwrap(), Inbox::default(), "none is kept as well");
}

/// Its socket is closed, and its node has not given up its seat yet.
pub async fn a_signal_for_one_that_is_about_to_be_away_waits(fixture: &impl Fixture) {
    let mut north = Node::subscribed(fixture, "north", &room("r")).await;
    north.commit(&join("ana", "north", true)).await;
    let mut south = Node::subscribed(fixture, "south", &room("r")).await;
    south.commit(&join("ben", "south", true)).await;
    south.heard.empty.store(true, Ordering::Relaxed);
    let at = NodeId::parse("south").unwrap();
    north.backend.direct(&room("r"), &user("ben"), Some(&at), "x".into()).await.unwrap();
    let inbox = async || north.backend.inbox(&room("r"), &user("ben")).await.unwrap();
    let kept = async {
        while texts(&inbox().await) != ["x"] {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(DEADLINE, kept).await.expect("it waits");
}
