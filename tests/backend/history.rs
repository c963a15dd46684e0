//! The history of a room in Redis: the updates that a client which comes back has missed.

use tandem::backend::{RedisConnection, Retention};

use crate::{
    client::Client,
    corrupt::{Node, connection},
    fixture::RedisFixture,
};

/// What a history has: its updates, their bytes, and what the record of the room says of these.
async fn weigh(connection: &mut RedisConnection, room: &str) -> (usize, usize, Option<usize>) {
    let history = room.replace(":room:", ":history:");
    let updates: Vec<Vec<u8>> = redis::cmd("LRANGE").arg(history).arg(0).arg(-1).query_async(connection).await.unwrap();
    let said = redis::cmd("HGET").arg(room).arg("h").query_async(connection).await.unwrap();
    (updates.len(), updates.iter().map(Vec::len).sum(), said)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_history_is_bounded_in_updates_and_in_bytes() {
    let fixture = RedisFixture::standalone();
    let (mut connection, key) = connection(&fixture).await;
    let north = Node::new(&fixture, "north", None).await;
    let ana = Client::join(&north.hub, "ana").await;
    // Playback and everything else are remembered in different ways of the script.
    for number in 0..Retention::UPDATES + 40 {
        if number % 2 == 0 {
            ana.say(&north.hub, "short").await;
        } else {
            ana.play(&north.hub, number % 4 == 1).await;
        }
    }
    let (updates, bytes, said) = weigh(&mut connection, &key).await;
    assert!((Retention::UPDATES..Retention::UPDATES + 16).contains(&updates), "{updates} updates");
    assert_eq!(Some(bytes), said);
    let long = "x".repeat(60_000);
    for _ in 0..20 {
        ana.say(&north.hub, &long).await;
    }
    let (updates, bytes, said) = weigh(&mut connection, &key).await;
    assert!((60_000..=Retention::UPDATE_BYTES).contains(&bytes) && updates < 20, "{updates} updates of {bytes} bytes");
    assert_eq!(Some(bytes), said);
    // The list expires before its room does.
    let _: () = redis::cmd("DEL").arg(key.replace(":room:", ":history:")).query_async(&mut connection).await.unwrap();
    ana.say(&north.hub, "again").await;
    let (updates, bytes, said) = weigh(&mut connection, &key).await;
    assert_eq!((updates, Some(bytes)), (1, said));
}
