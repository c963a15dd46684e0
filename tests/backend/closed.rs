//! What a room that was closed leaves in Redis. Whoever opens rooms leaves many of them.

use std::sync::Arc;

use tandem::{
    backend::Commit,
    room::{Action, Change, Room},
};

use crate::fixture::{Node, RedisFixture, act, broadcast, drop_socket, join, room, user};

/// Bytes of the key of a closed room, with its name.
const MARK: u64 = 256;
/// How long it stays, in ms.
const HOUR: i64 = 3_600_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_room_leaves_one_small_key_that_goes_by_itself() {
    let fixture = RedisFixture::standalone();
    let id = room(&format!("closing-{}", "x".repeat(56)));
    let mut redis = fixture.connection().await;
    // As it was in Redis before: with members, a history, and an inbox.
    let mut north = Node::subscribed(&fixture, "north", &id).await;
    for name in ["ana", "ben"] {
        assert_eq!(north.commit(&join(name, "north", true)).await, Commit::Applied);
    }
    assert_eq!(north.commit(&broadcast("ana", &"x".repeat(4_000))).await, Commit::Applied);
    assert_eq!(north.commit(&drop_socket("ben", true)).await, Commit::Applied);
    north.backend.direct(&id, &user("ben"), None, "x".repeat(4_000).into()).await.unwrap();
    let pattern = format!("{}*closing-*", fixture.config().redis_prefix);
    let keys = redis::cmd("KEYS").arg(&pattern).to_owned();
    let before: Vec<String> = keys.query_async(&mut redis).await.unwrap();
    assert_eq!(before.len(), 3, "{before:?}");

    assert_eq!(north.commit(&act("ana", Action::Kick { who: user("ben"), note: None })).await, Commit::Applied);
    assert_eq!(north.commit(&act("ana", Action::Leave)).await, Commit::Applied);
    let mut close = north.draft(&join("ana", "north", true));
    Arc::make_mut(&mut close.update).changes = vec![Change::Closed];
    close.after = Room::vacant(id.clone());
    assert_eq!(north.backend.commit(close).await.unwrap(), Commit::Applied);
    let left: Vec<String> = keys.query_async(&mut redis).await.unwrap();
    assert_eq!(left, [fixture.layout().room(&id)]);
    let bytes: u64 = redis::cmd("MEMORY").arg("USAGE").arg(&left[0]).query_async(&mut redis).await.unwrap();
    assert!(bytes <= MARK, "{bytes} bytes");
    let life: i64 = redis::cmd("PTTL").arg(&left[0]).query_async(&mut redis).await.unwrap();
    assert!((1..=HOUR).contains(&life), "{life} ms; -1 is for ever");
    println!("{bytes} bytes for {life} ms");
}
