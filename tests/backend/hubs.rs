//! Two hubs over one shared state: a cluster without a network.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use serde_json::Value;
use tandem::{
    backend::{BackendError, Memory},
    hub::{Hub, Outbox},
    protocol::{Code, DirectMessage},
    room::{Command, StreamPosition},
    telemetry::Metrics,
};
use tokio::sync::Notify;

use crate::{
    client::{Client, hub, joining_socket, memory, tapped_hub},
    double::{History, Taps},
    fixture::{join, room, user},
};

/// A network that delays or loses the answer about missed updates.
#[derive(Default)]
pub struct Slow {
    pub asked: Notify,
    pub answer: Notify,
    /// Answers to that question that get lost.
    pub lost: AtomicUsize,
}

#[async_trait]
impl Taps for Slow {
    async fn history(&self, read: History) -> History {
        if self.lost.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
            return Err(BackendError::Timeout);
        }
        self.asked.notify_one();
        self.answer.notified().await;
        read
    }
}

/// A hub behind such a network.
pub fn slow_hub(shared: &Arc<Memory>, name: &str) -> (Arc<Slow>, Arc<Hub>) {
    let slow = Arc::new(Slow::default());
    let hub = tapped_hub(shared, name, Arc::new(Metrics::new(name)), &slow);
    (slow, hub)
}

#[tokio::test]
async fn members_on_two_nodes_get_the_same_frames_in_the_same_order() {
    let shared = memory();
    let (north, south) = (hub(&shared, "north"), hub(&shared, "south"));
    let ana = Client::join(&north, "ana").await;
    let ben = Client::join(&south, "ben").await;
    assert_eq!(ana.types(), ["ROOM_STATE", "USER_JOINED"]);
    assert_eq!(ben.types(), ["ROOM_STATE"]);
    let talk = async |client: &Client, hub: &Hub| {
        for number in 0..100 {
            client.say(hub, &number.to_string()).await;
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(talk(&ana, &north), talk(&ben, &south));
    let (left, right) = (ana.frames(), ben.frames());
    assert_eq!(left.len(), 200);
    assert_eq!(left, right);
    assert!(left.windows(2).all(|pair| pair[0]["version"].as_u64() < pair[1]["version"].as_u64()));
}

#[tokio::test]
async fn a_member_resumes_on_another_node_and_misses_nothing() {
    let shared = memory();
    let (north, south) = (hub(&shared, "north"), hub(&shared, "south"));
    let ana = Client::join(&north, "ana").await;
    let ben = Client::join(&north, "ben").await;
    let missed = ben.seen();
    north.disconnect(&ben.seat, true).await.unwrap();
    ana.say(&north, "while away").await;
    let ben = Client::resume(&south, "ben", "ben-2", missed).await.unwrap();
    let frames = ben.frames();
    let types: Vec<_> = frames.iter().map(|frame| frame["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["RESUMED", "BROADCAST"], "but not that it was away itself");
    assert_eq!(frames[0]["replayed"], 1);
    ana.say(&north, "and after").await;
    assert_eq!(ben.types(), ["BROADCAST"]);
    assert_eq!(ana.types(), ["ROOM_STATE", "USER_JOINED", "MEMBER_AWAY", "BROADCAST", "MEMBER_BACK", "BROADCAST"]);
}

#[tokio::test]
async fn who_missed_too_much_is_told_so_and_gets_the_whole_room() {
    let shared = memory();
    let (north, south) = (hub(&shared, "north"), hub(&shared, "south"));
    let ana = Client::join(&north, "ana").await;
    let ben = Client::join(&north, "ben").await;
    let missed = ben.seen();
    north.disconnect(&ben.seat, true).await.unwrap();
    for number in 0..1_000 {
        ana.say(&north, &number.to_string()).await;
        ana.frames();
    }
    let ben = Client::resume(&south, "ben", "ben-2", missed).await.unwrap();
    let frames = ben.frames();
    assert_eq!(frames[0]["reason"], "history_gone");
    assert_eq!(frames[1]["type"], "ROOM_STATE");
    assert_eq!(frames[1]["version"], ben.seat.version());
    north.disconnect(&ana.seat, true).await.unwrap();
    let epoch = StreamPosition { epoch: 1, ..missed };
    let ana = Client::resume(&south, "ana", "ana-2", epoch).await.unwrap();
    assert_eq!(ana.frames()[0]["reason"], "epoch_changed");
}

/// While missed updates are replayed to a member, the others continue.
async fn meanwhile(epoch_is_known: bool) -> Vec<String> {
    let shared = memory();
    let north = hub(&shared, "north");
    let (slow, south) = slow_hub(&shared, "slow");
    let ana = Client::join(&north, "ana").await;
    let ben = Client::join(&south, "ben").await;
    let seen = ben.seen();
    let missed = if epoch_is_known { seen } else { StreamPosition { epoch: 1, ..seen } };
    south.disconnect(&ben.seat, true).await.unwrap();
    ana.say(&north, "before").await;
    let others = async {
        slow.asked.notified().await;
        ana.say(&north, "meanwhile").await;
        let message = DirectMessage { event: "psst".into(), data: None, to: user("ben") };
        north.send_direct_message(&ana.seat, &message).await.unwrap();
        slow.answer.notify_one();
    };
    let (back, ()) = tokio::join!(Client::resume(&south, "ben", "ben-2", missed), others);
    let frames = back.unwrap().frames();
    frames.iter().map(|frame| frame.get("event").unwrap_or(&frame["type"]).as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn what_happens_meanwhile_comes_after_what_was_missed_and_once() {
    assert_eq!(meanwhile(true).await, ["RESUMED", "before", "meanwhile", "psst"]);
    assert_eq!(meanwhile(false).await, ["DISCONTINUITY", "ROOM_STATE", "psst"], "the state has the rest");
}

#[tokio::test]
async fn who_is_given_up_by_mistake_is_told_where_it_sits_now() {
    let shared = memory();
    let (north, south) = (hub(&shared, "north"), hub(&shared, "south"));
    let ana = Client::join(&south, "ana").await;
    let outbox = Arc::new(Outbox::new(1 << 20));
    let Command::Join(request) = join("ben", "north", false) else { unreachable!() };
    let (seat, _) = north.join(&room("r"), request, joining_socket("ben", &outbox, None)).await.unwrap();
    let ben = Client { outbox, seat };
    assert!(south.reap(north.node(), vec![room("r")]).await);
    let told = async {
        let mut told = Vec::new();
        while told.len() < 3 {
            told.extend(ben.frames());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        told
    };
    let told = tokio::select! {
        () = north.run() => unreachable!("it does not end"),
        told = tokio::time::timeout(Duration::from_mins(1), told) => told.expect("it is told"),
    };
    let types: Vec<&str> = told.iter().map(|frame| frame["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["ROOM_STATE", "DISCONTINUITY", "ROOM_STATE"], "and not that it has left");
    let users = told[2]["users"].as_array().unwrap();
    let orders: Vec<_> = users.iter().map(|user| (user["userId"].as_str().unwrap(), user["order"].as_u64())).collect();
    assert_eq!(orders, [("ana", Some(0)), ("ben", Some(2))]);
    assert_eq!(ana.types(), ["ROOM_STATE", "USER_JOINED", "USER_LEFT", "USER_JOINED"]);
}

/// A node with the name of an earlier process lets clients in while it puts in order what that one has left.
#[tokio::test]
async fn what_an_earlier_process_left_goes_and_who_has_just_joined_stays() {
    let shared = memory();
    let (watcher, earlier) = (hub(&shared, "watcher"), hub(&shared, "north"));
    let ana = Client::join(&watcher, "ana").await;
    let left = Client::join(&earlier, "left").await;
    // Nobody tells its hub anything any more, as if its process had died.
    drop((earlier, left));
    let north = hub(&shared, "north");
    let fresh = Client::join(&north, "fresh").await;
    assert!(north.tidy(vec![room("r")]).await);
    assert_eq!(ana.types(), ["ROOM_STATE", "USER_JOINED", "MEMBER_AWAY", "USER_JOINED"]);
    fresh.say(&north, "here").await;
    assert_eq!(ana.types(), ["BROADCAST"]);
}

/// The frames of a member that resumes while this number of answers about missed updates is lost.
async fn after_losing(answers: usize) -> Vec<Value> {
    let shared = memory();
    let north = hub(&shared, "north");
    let (slow, south) = slow_hub(&shared, "slow");
    slow.lost.store(answers, Ordering::Relaxed);
    // Those that do not get lost are not late either.
    slow.answer.notify_one();
    let ana = Client::join(&north, "ana").await;
    let ben = Client::join(&north, "ben").await;
    let missed = ben.seen();
    north.disconnect(&ben.seat, true).await.unwrap();
    ana.say(&north, "while away").await;
    Client::resume(&south, "ben", "ben-2", missed).await.unwrap().frames()
}

#[tokio::test]
async fn what_could_not_be_read_is_not_said_to_be_gone() {
    let frames = after_losing(1).await;
    assert_eq!(
        (&frames[0]["type"], &frames[1]["event"]),
        (&"RESUMED".into(), &"while away".into()),
        "it is asked again"
    );
    let frames = after_losing(2).await;
    assert_eq!(frames[0]["reason"], "history_unavailable");
    assert_eq!(frames[1]["type"], "ROOM_STATE");
}

#[tokio::test]
async fn a_node_that_could_not_read_what_it_missed_asks_again_before_it_says_that_it_is_gone() {
    let shared = memory();
    let north = hub(&shared, "north");
    let (deaf, south) = slow_hub(&shared, "deaf");
    let ana = Client::join(&north, "ana").await;
    let ben = Client::join(&south, "ben").await;
    ben.frames();
    // It hears nothing for a while, and then that it may have missed something.
    south.shared().unsubscribe(&room("r")).await.unwrap();
    ana.say(&north, "unheard").await;
    deaf.lost.store(1, Ordering::Relaxed);
    deaf.answer.notify_one();
    south.resync_all();
    let told = async {
        let mut told = Vec::new();
        while told.is_empty() {
            told.extend(ben.types());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        told
    };
    let told = tokio::select! {
        () = south.run() => unreachable!("it does not end"),
        told = tokio::time::timeout(Duration::from_mins(1), told) => told.expect("it is told"),
    };
    assert_eq!(told, ["BROADCAST"]);
}

/// Shared state that is away, as far as the node knows.
struct Down(std::sync::atomic::AtomicBool);

#[async_trait]
impl Taps for Down {
    fn is_up(&self, up: bool) -> bool {
        up && !self.0.load(Ordering::Relaxed)
    }
}

#[tokio::test]
async fn a_seat_is_not_called_gone_while_shared_state_is_away() {
    let shared = memory();
    let down = Arc::new(Down(true.into()));
    let north = tapped_hub(&shared, "north", Arc::new(Metrics::new("north")), &down);
    let _ana = Client::join(&north, "ana").await;
    let missed = StreamPosition { epoch: 1, version: 1 };
    let away = Client::resume(&north, "ben", "ben-1", missed).await.map(|_| ()).unwrap_err();
    assert_eq!(away.code(), Code::Unavailable, "{away:?}");
    down.0.store(false, Ordering::Relaxed);
    let gone = Client::resume(&north, "ben", "ben-1", missed).await.map(|_| ()).unwrap_err();
    assert_eq!(gone.code(), Code::NotJoined, "{gone:?}");
}
