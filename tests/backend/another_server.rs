//! Redis comes back as another server, which may lack the last changes: nodes restore them before any of them decides.

use std::{sync::Arc, time::Duration};

use tandem::{
    backend::{BackendError, Commit, Due, RoomStore as _},
    id::NodeId,
};
use tandem_testkit::{process::DEADLINE, redis::Redis};
use tokio::time::{Instant, sleep};

use crate::fixture::{Node, Recorder, RedisFixture, broadcast, join, nobody, room};

#[tokio::test]
async fn nothing_is_decided_before_nodes_have_put_back_what_another_server_lacks() {
    let mut server = Redis::start();
    let fixture = RedisFixture::on(&server);
    let (north, south) = (fixture.redis("north", nobody()).await, fixture.redis("south", nobody()).await);
    let seat = async |backend: Arc<tandem::backend::RedisNode>, name: &str| {
        let replica = backend.subscribe(&room("r")).await.unwrap();
        Node { name: NodeId::parse(name).unwrap(), backend, heard: Arc::new(Recorder::default()), replica }
    };
    let mut one = seat(Arc::clone(&north), "north").await;
    assert_eq!(one.commit(&join("ana", "north", true)).await, Commit::Applied);
    let mut other = seat(Arc::clone(&south), "south").await;
    // The link of one node breaks, and the server is the same: it goes on at once.
    server.command("CLIENT KILL TYPE pubsub");
    let cut = Instant::now();
    let on = broadcast("ana", "same server");
    while !matches!(other.backend.commit(other.draft(&on)).await, Ok(Commit::Applied)) {
        assert!(cut.elapsed() < DEADLINE);
        sleep(Duration::from_millis(20)).await;
        other.replica = south.subscribe(&room("r")).await.unwrap_or(other.replica);
    }
    one.replica = north.subscribe(&room("r")).await.unwrap();

    server.kill();
    server.restart_empty();
    let begun = Instant::now();
    // The first thing that works again is to put the room back.
    let restored = one.replica.clone().reincarnated(crate::fixture::NOW + 1_000);
    let restoring = async {
        while !matches!(north.restore(&restored, None, Due::Same).await, Ok(Commit::Applied)) {
            assert!(begun.elapsed() < DEADLINE);
            sleep(Duration::from_millis(20)).await;
        }
    };
    // A node that has no copy would found the room anew.
    let founding = async {
        let empty = seat_vacant(&south);
        loop {
            match empty.backend.commit(empty.draft(&join("ben", "south", true))).await {
                Err(BackendError::Unreachable(_) | BackendError::Timeout) => {}
                Err(error) => panic!("{error:?}"),
                Ok(done) => break done,
            }
            assert!(begun.elapsed() < DEADLINE);
            sleep(Duration::from_millis(5)).await;
        }
    };
    let ((), founded) = tokio::join!(restoring, founding);
    assert_eq!(founded, Commit::Conflict, "the room was there first");
    assert!(north.until_up(DEADLINE).await);
    one.replica = north.subscribe(&room("r")).await.unwrap();
    assert_eq!(one.replica, restored);
    assert_eq!(one.commit(&broadcast("ana", "on")).await, Commit::Applied);
}

fn seat_vacant(backend: &Arc<tandem::backend::RedisNode>) -> Node {
    let name = NodeId::parse("south").unwrap();
    let replica = tandem::room::Room::vacant(room("r"));
    Node { name, backend: Arc::clone(backend) as _, heard: Arc::new(Recorder::default()), replica }
}
