//! A Redis with little memory: the ledger queue stays within its share, and a Redis that other programs have filled recovers without an
//! operator. Everything that was acknowledged is in the ledger.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use serde_json::json;
use tokio::{task::JoinSet, time::sleep};

use crate::{backing::connect, stage::Stage};
use tandem_testkit::{
    Client,
    process::{DEADLINE, wait_for},
    redis::Redis,
};

const MIB: u64 = 1024 * 1024;
const MEMORY: u64 = 32 * MIB;
const ROOMS: usize = 8;
/// Subscribers that do not read for a while stay connected.
const FAST: [(&str, &str); 3] =
    [("MESSAGES_PER_SECOND", "100000"), ("MESSAGE_BURST", "100000"), ("PING_INTERVAL_SECONDS", "3600")];

fn small() -> Redis {
    let memory = MEMORY.to_string();
    Redis::with(&["--save", "", "--appendonly", "no", "--maxmemory", &memory, "--maxmemory-policy", "noeviction"])
}

/// A client that changes the url of its own room, and the answers that it got.
struct Host {
    client: Client,
    room: usize,
    next: u64,
    confirmed: BTreeSet<String>,
}

impl Host {
    async fn enter(stage: &Stage, room: usize) -> Self {
        let mut client = Client::connect_to(stage.nodes.addr(room % stage.nodes.len())).await;
        client.enter(&format!("room-{room}"), "host", json!({"features": ["resume", "ack"]})).await;
        Self { client, room, next: 0, confirmed: BTreeSet::new() }
    }

    /// Whether the change was made. A refusal says that and when to retry.
    async fn change(&mut self) -> bool {
        self.next += 1;
        let url = format!("https://example.org/{}/{}/{}", self.room, self.next, "x".repeat(1_500));
        self.client.send(json!({"type": "URL_CHANGE", "url": url, "id": self.next})).await;
        let next = self.next;
        let answer = self
            .client
            .collect_until(|frame| frame["id"] == next && (frame.is("ACK") || frame.is("ERROR")), "an answer");
        let answer = answer.await.pop().unwrap();
        if answer.is("ACK") {
            self.confirmed.insert(url);
            return true;
        }
        assert_eq!((answer.str("code"), &answer["retryable"]), ("unavailable", &json!(true)), "{answer:?}");
        assert!(answer.int("retryAfterMs") > 0, "{answer:?}");
        false
    }

    /// Sends changes until none is accepted for a while.
    async fn until_refused(&mut self) {
        let mut refused = 0;
        while refused < 10 {
            if self.change().await {
                refused = 0;
            } else {
                refused += 1;
                sleep(Duration::from_millis(150)).await;
            }
            assert!(self.next < 100_000, "it takes more and more");
        }
    }

    async fn until_done(&mut self) {
        let begun = Instant::now();
        while !self.change().await {
            assert!(begun.elapsed() < 2 * DEADLINE, "it is refused for ever");
            sleep(Duration::from_millis(100)).await;
        }
    }
}

async fn hosts(stage: &Stage) -> Vec<Host> {
    let mut hosts = Vec::new();
    for room in 0..ROOMS {
        hosts.push(Host::enter(stage, room).await);
    }
    hosts
}

/// Once the queue is empty: every acknowledged url is in the ledger, and none twice.
async fn all_is_written(stage: &Stage, hosts: &[Host]) {
    stage.ledger().await;
    let rows = stage.postgres.sql("SELECT data->>'url' FROM room_events WHERE event_type = 'URL_CHANGE'");
    let written: BTreeSet<String> = rows.lines().map(str::to_owned).collect();
    assert_eq!(written.len(), rows.lines().count(), "something is there twice");
    let lost: Vec<_> = hosts.iter().flat_map(|host| &host.confirmed).filter(|url| !written.contains(*url)).collect();
    assert!(lost.is_empty(), "{} of {} are lost", lost.len(), written.len());
    assert_eq!(stage.postgres.number("SELECT count(*) FROM dead_letters"), 0);
}

fn used(redis: &Redis) -> u64 {
    let info = redis.command("INFO memory");
    info.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap().trim().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_postgres_is_away_the_queue_takes_its_part_of_redis_and_no_more() {
    let mut stage = Stage::set(small(), &FAST).await;
    let mut hosts = hosts(&stage).await;
    // Two members whose signals must not be affected.
    let mut ana = Client::connect_to(stage.nodes.addr(0)).await;
    ana.enter("calm", "ana", json!({"features": ["resume", "ack"]})).await;
    let mut ben = Client::connect_to(stage.nodes.addr(1)).await;
    ben.enter("calm", "ben", json!({"features": ["resume", "ack"]})).await;
    ana.until("USER_JOINED").await;
    stage.postgres.stop();
    // A single room may use nearly all of it.
    hosts[0].until_refused().await;
    let part = MEMORY as f64 / 4.0;
    stage.nodes.until_metric(0, "tandem_ledger_stream_max_bytes", part).await;
    let begun = Instant::now();
    while stage.nodes.metric(0, "tandem_ledger_stream_bytes").await < 0.7 * part {
        assert!(begun.elapsed() < DEADLINE, "it is refused too early");
        sleep(Duration::from_millis(100)).await;
    }
    let mut all = JoinSet::new();
    for mut host in hosts.drain(..) {
        all.spawn(async move {
            host.until_refused().await;
            host
        });
    }
    let mut hosts = all.join_all().await;
    // A node logs the alarm, and the queue holds its share.
    wait_for("there was no alarm", || {
        let logs = (0..3).map(|node| stage.nodes.log(node)).collect::<String>();
        logs.contains("the ledger's queue grows") && logs.contains("LEDGER_STREAM_BYTES")
    });
    for node in 0..3 {
        let bytes = stage.nodes.metric(node, "tandem_ledger_stream_bytes").await;
        assert!(bytes <= 1.05 * part, "{bytes} of {part}");
    }
    // There is memory for everything else.
    assert!(used(&stage.redis) < MEMORY * 3 / 4, "{}", used(&stage.redis));
    assert!(stage.redis.command("SET somebody else").contains("+OK"));
    stage.all_ready().await;
    ben.send(json!({"type": "OFFER", "to": "ana", "offer": {"sdp": "x"}, "id": 1})).await;
    ana.until("OFFER").await;

    stage.postgres.restart();
    for host in &mut hosts {
        host.until_done().await;
    }
    all_is_written(&stage, &hosts).await;
    println!("{} changes were confirmed", hosts.iter().map(|host| host.confirmed.len()).sum::<usize>());
}

/// Fills Redis until it does not accept another byte. The memory of connections varies, so this is tried.
async fn fill(stage: &Stage, host: &mut Host) {
    let mut redis = connect(&stage.redis.url()).await;
    let begun = Instant::now();
    loop {
        for size in [256 * 1024, 4 * 1024, 64, 1] {
            loop {
                let key = format!("foreign:{}", rand::random::<u64>());
                let set = redis::cmd("SET").arg(key).arg("x".repeat(size)).exec_async(&mut redis).await;
                if let Err(error) = set {
                    assert_eq!(error.code(), Some("OOM"), "{error}");
                    break;
                }
            }
        }
        if !host.change().await {
            return;
        }
        assert!(begun.elapsed() < DEADLINE, "it always finds room");
    }
}

async fn clear(stage: &Stage) {
    let mut redis = connect(&stage.redis.url()).await;
    let keys: Vec<String> = redis::cmd("KEYS").arg("foreign:*").query_async(&mut redis).await.unwrap();
    for some in keys.chunks(500) {
        redis::cmd("DEL").arg(some).exec_async(&mut redis).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_others_have_filled_is_drained_and_recovers_by_itself() {
    let mut stage = Stage::set(small(), &FAST).await;
    let mut hosts = hosts(&stage).await;
    stage.postgres.stop();
    for host in &mut hosts {
        for _ in 0..40 {
            assert!(host.change().await);
        }
    }
    fill(&stage, &mut hosts[0]).await;
    // PostgreSQL comes back, and the keys of other programs stay: the queue is written to the ledger.
    stage.postgres.restart();
    all_is_written(&stage, &hosts).await;
    let mut redis = connect(&stage.redis.url()).await;
    let foreign: Vec<String> = redis::cmd("KEYS").arg("foreign:*").query_async(&mut redis).await.unwrap();
    assert!(!foreign.is_empty());
    // Redis is filled once more, while PostgreSQL is available.
    fill(&stage, &mut hosts[1]).await;
    clear(&stage).await;
    stage.all_ready().await;
    for host in &mut hosts {
        host.until_done().await;
    }
    all_is_written(&stage, &hosts).await;
}
