//! The inbox of a member that is away, and its delivery at the resume.

use std::sync::Arc;

use serde_json::Value;
use tandem::{
    backend::Inbox,
    hub::{Hub, Outbox},
    protocol::DirectMessage,
    room::{Digest, Json, Resume, StreamPosition},
    telemetry::Metrics,
};

use tandem_testkit::process::DEADLINE;

use crate::{
    client::{Client, counting_hub, hub, joining_socket, memory, tapped_hub},
    fixture::{conn, room, user},
    hubs::{Slow, slow_hub},
};

/// Sends `count` signals of `bytes` to ben, who is away. Returns the back end, and the position that he has seen.
async fn whispered(hub: &Hub, count: usize, bytes: usize) -> StreamPosition {
    let ana = Client::join(hub, "ana").await;
    let ben = Client::join(hub, "ben").await;
    let missed = ben.seen();
    hub.disconnect(&ben.seat, true).await.unwrap();
    for number in 0..count {
        let text = format!("\"{}\"", "x".repeat(bytes));
        let data = Some(Json(serde_json::value::RawValue::from_string(text).unwrap().into()));
        let message = DirectMessage { event: number.to_string().into(), data, to: user("ben") };
        hub.send_direct_message(&ana.seat, &message).await.unwrap();
    }
    missed
}

fn events(frames: &[Value]) -> Vec<String> {
    frames.iter().filter_map(|frame| frame["event"].as_str().map(str::to_owned)).collect()
}

#[tokio::test]
async fn signals_that_do_not_fit_are_counted_and_the_member_is_told() {
    let shared = memory();
    let metrics = Arc::new(Metrics::new("north"));
    let north = counting_hub(&shared, "north", &metrics);
    let missed = whispered(&north, 10, 1_000).await;
    // Half of this is for missed updates and signals.
    let ben = Client::resume_with(&north, "ben", "ben-2", missed, 10_000).await.unwrap();
    let frames = ben.frames();
    assert_eq!((&frames[0]["type"], &frames[1]["type"]), (&"DISCONTINUITY".into(), &"ROOM_STATE".into()));
    assert_eq!(events(&frames), ["6", "7", "8", "9"], "the newest of them");
    let text = metrics.render(tandem::telemetry::Snapshot::default());
    assert!(text.contains("tandem_signals_dropped_total{why=\"outbox_full\"} 6"), "{text}");
    emptied(&north).await;
}

/// Everything that can go on has gone on. All tasks of the test are in one thread, and each needs a few rounds.
async fn settled() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

/// They do not come twice.
async fn emptied(hub: &Hub) {
    let empty = async {
        while inbox_of_ben(hub).await != Inbox::default() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, empty).await.expect("the inbox is emptied");
}

#[tokio::test]
async fn signals_of_which_nothing_shows_that_they_arrived_come_again() {
    let shared = memory();
    let north = hub(&shared, "north");
    let missed = whispered(&north, 3, 10).await;
    let first = Client::resume(&north, "ben", "ben-2", missed).await.unwrap();
    // It dies with them in its outbox.
    north.disconnect(&first.seat, true).await.unwrap();
    drop(first.outbox.take().await);
    settled().await;
    assert_eq!(inbox_of_ben(&north).await.frames.len(), 3, "nothing shows that they arrived");
    let second = Client::resume(&north, "ben", "ben-3", missed).await.unwrap();
    assert_eq!(events(&second.frames()), ["0", "1", "2"]);
    emptied(&north).await;
    north.disconnect(&second.seat, true).await.unwrap();
    let third = Client::resume(&north, "ben", "ben-4", missed).await.unwrap();
    assert_eq!(events(&third.frames()), [] as [String; 0]);
}

async fn inbox_of_ben(hub: &Hub) -> Inbox {
    hub.shared().inbox(&room("r"), &user("ben")).await.unwrap()
}

#[tokio::test]
async fn a_member_whose_inbox_has_lost_some_is_told_when_it_is_back() {
    let shared = memory();
    let metrics = Arc::new(Metrics::new("north"));
    let north = counting_hub(&shared, "north", &metrics);
    let missed = whispered(&north, 300, 10).await;
    let ben = Client::resume(&north, "ben", "ben-2", missed).await.unwrap();
    let frames = ben.frames();
    assert_eq!(frames[0]["reason"], "history_gone");
    assert_eq!(events(&frames).len(), 256);
    let text = metrics.render(tandem::telemetry::Snapshot::default());
    assert!(text.contains("tandem_signals_dropped_total{why=\"inbox_full\"} 44"), "{text}");
}

#[tokio::test]
async fn signals_stay_where_they_are_when_their_member_goes_before_it_has_them() {
    let shared = memory();
    let north = hub(&shared, "north");
    let (slow, south) = slow_hub(&shared, "slow");
    let missed = whispered(&north, 3, 10).await;
    let goes = async {
        slow.asked.notified().await;
        // Another socket of the same user, on another node, takes the seat while the first is being told.
        let outbox = Arc::new(Outbox::new(1 << 20));
        let resume = Resume {
            user: user("ben"),
            conn: conn("ben-3"),
            node: north.node().clone(),
            origin: Digest::new([7; 32]).into(),
            proof: Digest::new([2; 32]).into(),
            token: Digest::new([2; 32]),
            grant: None,
        };
        let joining_socket = joining_socket("ben-3", &outbox, Some(missed));
        let (seat, _) = north.resume(&room("r"), resume, joining_socket).await.unwrap();
        slow.answer.notify_one();
        Client { outbox, seat }
    };
    let (first, second) = tokio::join!(Client::resume(&south, "ben", "ben-2", missed), goes);
    assert_eq!(events(&second.frames()), ["0", "1", "2"]);
    assert_eq!(events(&first.unwrap().frames()), [] as [String; 0]);
}

#[tokio::test]
async fn what_comes_while_a_member_is_being_told_is_bounded_and_it_is_told() {
    let shared = memory();
    let (slow, metrics) = (Arc::new(Slow::default()), Arc::new(Metrics::new("slow")));
    let south = tapped_hub(&shared, "slow", Arc::clone(&metrics), &slow);
    let north = hub(&shared, "north");
    let ana = Client::join(&north, "ana").await;
    let ben = Client::join(&north, "ben").await;
    let missed = ben.seen();
    north.disconnect(&ben.seat, true).await.unwrap();
    let others = async {
        slow.asked.notified().await;
        for number in 0..100 {
            ana.say(&north, &number.to_string()).await;
            let message = DirectMessage { event: "psst".into(), data: None, to: user("ben") };
            north.send_direct_message(&ana.seat, &message).await.unwrap();
        }
        slow.answer.notify_one();
    };
    let (back, ()) = tokio::join!(Client::resume_with(&south, "ben", "ben-2", missed, 4_000), others);
    let frames = back.unwrap().frames();
    let types: Vec<_> = frames.iter().map(|frame| frame["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["DISCONTINUITY", "ROOM_STATE"]);
    let text = metrics.render(tandem::telemetry::Snapshot::default());
    assert!(text.contains("tandem_signals_dropped_total{why=\"held\"} 100"), "{text}");
}
