//! The record of a room in Redis is corrupt, because another program or a disk has changed it.

use std::{sync::Arc, time::Duration};

use redis::Cmd;
use tandem::{
    backend::{BackendError, Connector, Layout, RedisConnection, RedisNode, RoomStore as _},
    clock::Clock,
    hub::{Hub, HubError},
    id::{NodeId, RoomId},
    ledger::{Archive, ArchiveError, Entry, RoomRow},
    protocol::Code,
    room::Update,
    telemetry::{Metrics, Snapshot},
};

use crate::{
    client::{Client, hub_with},
    fixture::{RedisFixture, room},
};

pub struct Node {
    pub hub: Arc<Hub>,
    backend: Arc<RedisNode>,
    metrics: Arc<Metrics>,
}

impl Node {
    pub async fn new(fixture: &RedisFixture, name: &str, archive: Option<Arc<dyn Archive>>) -> Self {
        let metrics = Arc::new(Metrics::new(name));
        let mut node = None;
        let hub = hub_with(name, Arc::clone(&metrics), archive, |events| {
            Arc::clone(node.insert(fixture.connect(name, Arc::clone(&metrics), events))) as _
        });
        let backend = node.unwrap();
        assert!(backend.until_up(tandem_testkit::process::DEADLINE).await, "Redis is not reached");
        let running = Arc::clone(&hub);
        tokio::spawn(async move { running.run().await });
        Self { hub, backend, metrics }
    }

    fn count(&self, name: &str) -> u64 {
        let text = self.metrics.render(Snapshot::default());
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name}")).parse().unwrap()
    }
}

/// A connection, and the key of the room `r`.
pub async fn connection(fixture: &RedisFixture) -> (RedisConnection, String) {
    let config = fixture.config();
    let layout = Layout::new(&config.redis_prefix, config.redis_partitions);
    (Connector::new(&config).unwrap().connect(|_| {}).await.unwrap(), layout.room(&room("r")))
}

/// Every way in which a room's hash can be spoilt that was thought of.
fn spoilers(key: &str) -> Vec<(&'static str, Vec<Cmd>)> {
    let set = |field: &str, value: &[u8]| redis::cmd("HSET").arg(key).arg(field).arg(value).to_owned();
    let unset = |field: &str| redis::cmd("HDEL").arg(key).arg(field).to_owned();
    let other = || redis::cmd("DEL").arg(key).to_owned();
    vec![
        ("the room is no record", vec![set("room", b"{")]),
        ("the room has no version", vec![set("room", b"\xff\xfe")]),
        ("the room is another shape", vec![set("room", b"1\x80")]),
        ("the room is missing", vec![unset("room")]),
        ("the version is no number", vec![set("v", b"x")]),
        ("the version is missing", vec![unset("v")]),
        ("the version is another", vec![set("v", b"77")]),
        ("the lineage is of another version", vec![set("l", b"12345678999")]),
        ("the lineage is missing", vec![unset("l")]),
        ("the playback is no record", vec![set("u", b"1")]),
        ("the playback is not of this room", vec![set("u", b"1\x84\x01\x00\x00\x80")]),
        ("the epoch is no number", vec![set("e", b"\xff")]),
        ("the epoch is another", vec![set("e", b"1")]),
        ("a member is no record", vec![set("m:ana", b"x")]),
        ("a member has no version", vec![set("m:é", b"\xff")]),
        ("a member has another's place", vec![unset("m:ana"), set("m:cem", b"{}")]),
        ("the host is missing", vec![unset("m:ana")]),
        ("it is a text", vec![other(), redis::cmd("SET").arg(key).arg("x").to_owned()]),
        ("it is a list", vec![other(), redis::cmd("RPUSH").arg(key).arg("x").to_owned()]),
    ]
}

async fn spoil(connection: &mut RedisConnection, commands: &[Cmd]) {
    for command in commands {
        command.query_async::<redis::Value>(connection).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_that_cannot_be_read_is_put_back_by_a_node_that_has_it() {
    let count = spoilers("x").len();
    for number in 0..count {
        let fixture = RedisFixture::standalone();
        let (mut connection, key) = connection(&fixture).await;
        let (what, commands) = spoilers(&key).swap_remove(number);
        let north = Node::new(&fixture, "north", None).await;
        let south = Node::new(&fixture, "south", None).await;
        let ana = Client::join(&north.hub, "ana").await;
        spoil(&mut connection, &commands).await;
        // It comes to a node that does not have the room.
        let ben = Client::enter(&south.hub, "r", "ben").await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
        let state = ben.frames().remove(0);
        let users: Vec<_> = state["users"].as_array().unwrap().iter().map(|user| user["userId"].clone()).collect();
        assert_eq!(users, ["ana", "ben"], "{what}");
        assert_eq!(state["hostUserId"], "ana", "{what}");
        let types = ana.types();
        assert!(types.contains(&"DISCONTINUITY".to_owned()), "{what}: {types:?}");
        assert!(south.count("tandem_state_errors_total{cause=\"corrupt\"}") > 0, "{what}");
        assert_eq!(north.count("tandem_gaps_total{outcome=\"restored\"}"), 1, "{what}");
        // And both go on in it.
        ana.say(&north.hub, "and on").await;
        ben.say(&south.hub, "it goes").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_nobody_has_is_refused_counted_and_not_looked_after_all_the_time() {
    let fixture = RedisFixture::standalone();
    let (mut connection, key) = connection(&fixture).await;
    spoil(&mut connection, &[redis::cmd("HSET").arg(&key).arg("v").arg(3).arg("room").arg("{").to_owned()]).await;
    let north = Node::new(&fixture, "north", None).await;
    let Err(error) = Client::enter(&north.hub, "r", "ana").await else { panic!("it cannot be entered") };
    assert!(matches!(error, HubError::Backend(BackendError::Corrupt { .. })), "{error:?}");
    assert_eq!(error.code(), Code::Unavailable);
    assert!(north.count("tandem_state_errors_total{cause=\"corrupt\"}") > 0);
    assert!(north.hub.is_empty(), "it holds nothing of it");
    let now = Clock::system().now();
    let attended = north.hub.run_overdue(vec![room("r")]).await;
    assert!(matches!(attended.as_slice(), [(_, Some(due))] if *due > now + 30_000), "{attended:?}");
    let dead = NodeId::parse("dead").unwrap();
    assert!(north.hub.reap(&dead, vec![room("r")]).await, "a dead node is not kept for it");
    assert!(north.hub.tidy(vec![room("r")]).await, "nor is it tried again and again");
    let left: Vec<u8> = redis::cmd("HGET").arg(&key).arg("room").query_async(&mut connection).await.unwrap();
    assert_eq!(left, b"{", "what is there is left to whoever looks into it");
    assert!(north.backend.is_up(), "the connection has nothing to do with it");
}

/// The ledger has one room.
struct Kept(RoomRow);

#[async_trait::async_trait]
impl Archive for Kept {
    async fn recall(&self, room: &RoomId) -> Result<Option<RoomRow>, ArchiveError> {
        Ok((self.0.id == *room).then(|| self.0.clone()))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_only_the_ledger_has_comes_back_from_there() {
    let fixture = RedisFixture::standalone();
    let (mut connection, key) = connection(&fixture).await;
    spoil(&mut connection, &[redis::cmd("HSET").arg(&key).arg("v").arg(3).arg("room").arg("{").to_owned()]).await;
    let founder = Client::join(&Node::new(&RedisFixture::standalone(), "founder", None).await.hub, "ana").await;
    let url = "https://films.example.org/1";
    let row = row_of(&founder, url);
    let north = Node::new(&fixture, "north", Some(Arc::new(Kept(row)))).await;
    let ben = Client::enter(&north.hub, "r", "ben").await.unwrap();
    let state = ben.frames().remove(0);
    assert_eq!(state["url"], url);
    ben.say(&north.hub, "it goes on").await;
}

fn row_of(founder: &Client, url: &str) -> RoomRow {
    let now = Clock::system().now();
    let node = tandem::id::NodeId::parse("n").unwrap();
    let change = tandem::room::Change::GuestControl { enabled: true, by: founder.seat.user.clone() };
    let update = Arc::new(Update { room: room("r"), epoch: now, base: 4, at: now, changes: vec![change] });
    let mut after = tandem::room::Room::vacant(room("r"));
    (after.epoch, after.version, after.url) = (now, 5, Some(url.into()));
    Entry::new(&update, &node, &after).unwrap().row()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_history_that_cannot_be_read_is_gone_and_the_room_goes_on() {
    let fixture = RedisFixture::standalone();
    let (mut connection, key) = connection(&fixture).await;
    let north = Node::new(&fixture, "north", None).await;
    let ana = Client::join(&north.hub, "ana").await;
    let ben = Client::join(&north.hub, "ben").await;
    let missed = ben.seen();
    north.hub.disconnect(&ben.seat, true).await.unwrap();
    ana.say(&north.hub, "unheard").await;
    let history = key.replace(":room:", ":history:");
    spoil(&mut connection, &[redis::cmd("LSET").arg(&history).arg(-1).arg(b"\xff".as_slice()).to_owned()]).await;
    let ben = Client::resume(&north.hub, "ben", "ben-2", missed).await.unwrap();
    let frames = ben.frames();
    assert_eq!(frames[0]["reason"], "history_gone");
    assert_eq!(frames[1]["type"], "ROOM_STATE");
    assert!(north.count("tandem_state_errors_total{cause=\"corrupt\"}") > 0);
    tokio::time::timeout(Duration::from_secs(10), ana.say(&north.hub, "and on")).await.unwrap();
}
