//! Two releases side by side, on a real Redis: the version of records that is written, and a node that cannot read it.

use std::sync::Arc;

use tandem::{
    backend::{
        BackendError, Cluster, Commit, DeploymentError, Membership as _, RedisNode, RoomStore as _,
        records::{NEWEST, ROOM},
    },
    id::NodeId,
    room::{Action, Room},
    telemetry::Metrics,
};
use tandem_testkit::process::DEADLINE;

use crate::fixture::{Node, Recorder, RedisFixture, act, broadcast, drop_socket, join, nobody, room, user};

/// The version that the next release reads.
const LATER: u8 = NEWEST + 1;

/// A node of a release that reads up to `version`.
async fn member(fixture: &RedisFixture, name: &str, version: u8) -> Arc<RedisNode> {
    let node = fixture.connect_reading(version, name, Arc::new(Metrics::new(name)), nobody());
    assert!(node.until_up(DEADLINE).await);
    node
}

async fn renew(node: &dyn Cluster) -> Option<u8> {
    node.renew().await.unwrap().outdated
}

/// The replica of a room on `node`.
async fn seat(node: &Arc<RedisNode>, name: &str) -> Node {
    let backend = Arc::clone(node) as _;
    let replica = node.subscribe(&room("r")).await.unwrap();
    Node { name: NodeId::parse(name).unwrap(), backend, heard: Arc::new(Recorder::default()), replica }
}

/// The version of the record of a room in Redis.
async fn written(fixture: &RedisFixture) -> u8 {
    let (key, mut connection) = (fixture.layout().room(&room("r")), fixture.connection().await);
    let record: Vec<u8> = redis::cmd("HGET").arg(key).arg(ROOM).query_async(&mut connection).await.unwrap();
    record[0] - b'0'
}

async fn lease_runs_out(watching: &dyn Cluster, of: &str) {
    let dead = async {
        while !watching.renew().await.unwrap().dead.contains(&NodeId::parse(of).unwrap()) {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(DEADLINE, dead).await.expect("a lease runs out");
}

#[tokio::test]
async fn nodes_of_two_releases_read_each_other_and_the_newer_version_comes_with_the_last_older_node_gone() {
    let fixture = RedisFixture::standalone();
    let old = member(&fixture, "old", NEWEST).await;
    let new = member(&fixture, "new", LATER).await;
    assert_eq!((renew(&*old).await, renew(&*new).await), (None, None));
    let mut one = seat(&new, "new").await;
    assert_eq!(one.commit(&join("ana", "new", true)).await, Commit::Applied);
    assert_eq!(written(&fixture).await, NEWEST, "the lowest of all");
    let mut two = seat(&old, "old").await;
    assert_eq!(two.replica, one.replica);
    assert_eq!(two.commit(&join("ben", "old", true)).await, Commit::Applied);
    one.replica = new.subscribe(&room("r")).await.unwrap();
    // The older one is gone without a word, and the newer ones go on.
    lease_runs_out(&*new, "old").await;
    assert_eq!(one.commit(&act("ana", Action::GuestControl { enabled: true })).await, Commit::Applied);
    assert_eq!(written(&fixture).await, LATER);
    assert_eq!(new.subscribe(&room("r")).await.unwrap(), one.replica);
    // The node was alive after all. It must not continue, nor damage records that it cannot read.
    assert_eq!(renew(&*old).await, Some(LATER));
    let error = old.subscribe(&room("r")).await.unwrap_err();
    assert!(matches!(error, BackendError::Newer { .. }), "{error:?}");
    let kept = Room { epoch: two.replica.epoch + 1, ..two.replica.clone() };
    assert!(matches!(old.repair(&kept, tandem::backend::Due::Same).await, Err(BackendError::Newer { .. })));
    assert_eq!(two.backend.commit(two.draft(&act("ben", Action::Leave))).await.unwrap(), Commit::Conflict);
    assert_eq!(renew(&*new).await, None, "the newer one lives");
    assert_eq!(new.subscribe(&room("r")).await.unwrap(), one.replica, "and so does its room");
}

#[tokio::test]
async fn an_older_release_does_not_begin_where_a_newer_one_is_alone() {
    let fixture = RedisFixture::standalone();
    let new = member(&fixture, "new", LATER).await;
    assert_eq!(renew(&*new).await, None);
    let old = member(&fixture, "old", NEWEST).await;
    let error = old.check_deployment(&["secret".to_owned()]).await.unwrap_err();
    assert!(matches!(error, DeploymentError::Outdated { written: LATER }), "{error}");
    assert_eq!(renew(&*old).await, Some(LATER), "nor is it given a lease");
    assert_eq!(new.renew().await.unwrap().dead, []);
    new.leave().await.unwrap();
    assert_eq!(renew(&*old).await, Some(LATER), "what is written is there still");
}

#[tokio::test]
async fn a_field_that_a_release_does_not_know_survives_its_commits() {
    let fixture = RedisFixture::standalone();
    let node = member(&fixture, "north", NEWEST).await;
    let mut north = seat(&node, "north").await;
    north.commit(&join("ana", "north", true)).await;
    let (key, mut connection) = (fixture.layout().room(&room("r")), fixture.connection().await);
    let field = format!("m:{}", user("ana"));
    // A later release writes more into both: field 99 of a map.
    let more = b"\x18\x63\x82\x65films\x01";
    for field in [ROOM, &field] {
        let mut record: Vec<u8> = redis::cmd("HGET").arg(&key).arg(field).query_async(&mut connection).await.unwrap();
        let map = record.iter().position(|byte| byte & 0xe0 == 0xa0).unwrap();
        record[map] += 1;
        record.extend(more);
        redis::cmd("HSET").arg(&key).arg(field).arg(record).query_async::<i64>(&mut connection).await.unwrap();
    }
    north.replica = node.subscribe(&room("r")).await.unwrap();
    assert!(!north.replica.unknown.is_empty());
    for command in
        [broadcast("ana", "x"), drop_socket("ana", true), join("ana", "north", true), join("ben", "north", true)]
    {
        assert_eq!(north.commit(&command).await, Commit::Applied);
    }
    let now: (Vec<u8>, Vec<u8>) =
        redis::cmd("HMGET").arg(&key).arg(ROOM).arg(&field).query_async(&mut connection).await.unwrap();
    assert!(now.0.ends_with(more), "{:x?}", now.0);
    assert!(now.1.ends_with(more), "{:x?}", now.1);
    assert_eq!(node.subscribe(&room("r")).await.unwrap(), north.replica);
}
