//! A connection whose seat another one of the same user has taken: it gets the seat back when the other one turns out to be dead.

use std::{sync::Arc, time::Duration};

use tandem::{hub::Hub, room::Action};
use tandem_testkit::process::DEADLINE;

use crate::{
    client::{Client, hub, memory},
    fixture::{conn, room, user},
};

struct Scene {
    north: Arc<Hub>,
    south: Arc<Hub>,
    /// Somebody else, who looks on.
    ben: Client,
    old: Client,
    new: Client,
}

/// Ana is on a node, and a RESUME that she gave up takes her seat on another one.
async fn taken() -> Scene {
    let shared = memory();
    let (north, south) = (hub(&shared, "north"), hub(&shared, "south"));
    let ben = Client::join(&north, "ben").await;
    let old = Client::join(&north, "ana").await;
    let new = Client::resume(&south, "ana", "ana-2", old.seen()).await.unwrap();
    assert_eq!(holder(&south).await, (conn("ana-2"), true));
    // It is not closed, and gets nothing.
    ben.say(&north, "on").await;
    assert_eq!(old.types(), [] as [String; 0]);
    ben.frames();
    Scene { north, south, ben, old, new }
}

/// The connection that has ana's seat, and whether she is present.
async fn holder(hub: &Hub) -> (tandem::id::ConnId, bool) {
    let room = hub.shared().subscribe(&room("r")).await.unwrap();
    let member = &room.members[&user("ana")];
    (member.conn, member.present())
}

async fn until(what: impl AsyncFn() -> bool) {
    let waits = async {
        while !what().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, waits).await.expect("it comes to that");
}

#[tokio::test]
async fn it_gets_the_seat_back_when_the_other_one_has_died() {
    let Scene { north, south, ben, old, new } = taken().await;
    let (timer, hub) = (Arc::clone(&north), Arc::clone(&north));
    let timer = tokio::spawn(async move { timer.run().await });
    south.disconnect(&new.seat, true).await.unwrap();
    let frames = std::sync::Mutex::new(Vec::new());
    until(async || {
        // It is asked for a sign of life, and answers.
        frames.lock().unwrap().extend(old.frames());
        holder(&hub).await == (conn("ana"), true)
    })
    .await;
    ben.say(&north, "again").await;
    let mut frames = frames.into_inner().unwrap();
    frames.extend(old.frames());
    let types: Vec<_> = frames.iter().map(|frame| frame["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["DISCONTINUITY", "ROOM_STATE", "BROADCAST"], "it starts anew, and goes on");
    assert_eq!(ben.types(), ["MEMBER_AWAY", "MEMBER_BACK", "BROADCAST"]);
    timer.abort();
}

#[tokio::test]
async fn it_does_not_when_it_is_dead_itself() {
    let Scene { north, south, old, new, .. } = taken().await;
    let (timer, hub) = (Arc::clone(&north), Arc::clone(&north));
    let timer = tokio::spawn(async move { timer.run().await });
    south.disconnect(&new.seat, true).await.unwrap();
    // What it was asked is read and thrown away.
    until(async || old.outbox.take().await.prompt.is_some()).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(holder(&hub).await, (conn("ana-2"), false), "the seat is kept for who comes back");
    timer.abort();
}

#[tokio::test]
async fn it_does_not_when_its_member_has_left() {
    let Scene { north, south, ben, old, new } = taken().await;
    south.act(&new.seat, Action::Leave).await.unwrap();
    until(async || ben.types().contains(&"USER_LEFT".to_owned())).await;
    assert!(old.outbox.try_take().is_none(), "nobody asks it");
    let room = north.shared().subscribe(&room("r")).await.unwrap();
    assert!(!room.members.contains_key(&user("ana")));
}
