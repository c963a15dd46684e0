//! Nodes whose system clocks are wrong, or are set while a film runs.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::nodes::Nodes;
use tandem_testkit::{Client, faketime::Faketime, now_ms, redis::Redis};

/// The start position of every film in these tests.
const BEGIN: f64 = 100.0;
const HOUR: i64 = 3_600;

async fn start(nodes: &mut Nodes, clocks: &[Faketime]) {
    for (number, clock) in clocks.iter().enumerate() {
        for (key, value) in clock.env() {
            nodes.set(number, key, &value);
        }
        nodes.launch(number);
        nodes.until_ready(number).await;
    }
}

/// A film, and the instants between which it began.
struct Film {
    after: Instant,
    before: Instant,
}

impl Film {
    async fn begin(host: &mut Client) -> Self {
        let after = Instant::now();
        host.acked(json!({"type": "PLAY_PAUSE", "control": "play", "currentTime": BEGIN})).await;
        Self { after, before: Instant::now() }
    }

    /// Checks that the film is at the position of a member that has watched it since, and that it never ran more than 5 % faster or slower.
    async fn is_on_time(&self, client: &mut Client) {
        let asked = Instant::now();
        client.send(json!({"type": "REQUEST_SYNC"})).await;
        let sync = client.until("SYNC_RESPONSE").await;
        let (least, most) = (asked - self.before, self.after.elapsed());
        let ran = sync.num("currentTime") - BEGIN;
        let may = least.as_secs_f64() * 0.95 - 0.1..=most.as_secs_f64() * 1.05 + 0.1;
        assert!(may.contains(&ran), "it ran {ran} s, and may have run {may:?}: {sync:?}");
    }
}

/// The minimum and maximum lead, in ms, of the clock of a client's node over the clock of this process.
async fn ahead(client: &mut Client) -> (i64, i64) {
    let t0 = now_ms().cast_signed();
    client.send(json!({"type": "PING", "t0": t0})).await;
    let t1 = client.until("PONG").await.int("t1").cast_signed();
    (t1 - now_ms().cast_signed(), t1 - t0)
}

async fn seat(nodes: &Nodes, node: usize, user: &str) -> Client {
    let mut client = Client::connect_to(nodes.addr(node)).await;
    client.enter("room", user, json!({"features": ["ack"]})).await;
    client
}

/// One node has the right time, one is hours ahead, one behind. They follow the clock of Redis, not their own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_film_is_at_one_place_on_nodes_whose_clocks_differ() {
    let redis = Redis::start();
    let clocks = [Faketime::ahead(0), Faketime::ahead(3 * HOUR), Faketime::ahead(-HOUR)];
    let mut nodes = Nodes::idle(3, &[("REDIS_URL", &redis.url()), ("LOG_LEVEL", "info")]);
    start(&mut nodes, &clocks).await;
    let mut members = [seat(&nodes, 0, "ana").await, seat(&nodes, 1, "ben").await, seat(&nodes, 2, "cem").await];
    for member in &mut members {
        let (least, most) = ahead(member).await;
        assert!(least < 500 && most > -500, "ahead by {least} to {most} ms");
    }
    for number in [1, 2] {
        nodes.until_it_says(number, "the node follows the clock of Redis").await;
    }
    for host in 0..3 {
        let film = Film::begin(&mut members[host]).await;
        for (number, member) in members.iter_mut().enumerate() {
            // The host has received it by the time its command was acknowledged.
            if number != host {
                member.until("PLAY_PAUSE").await;
            }
            film.is_on_time(member).await;
        }
        if host < 2 {
            let heir = ["ben", "cem"][host];
            members[host].acked(json!({"type": "TRANSFER_HOST", "targetUserId": heir})).await;
            members[host + 1].until("HOST_CHANGED").await;
        }
    }
    let film = Film::begin(&mut members[2]).await;
    for member in &mut members[..2] {
        member.until("PLAY_PAUSE").await;
    }
    clocks[0].set(HOUR);
    clocks[1].set(0);
    // As long as a clock that followed its system clock would take to show it.
    sleep(Duration::from_secs(4)).await;
    for member in &mut members {
        film.is_on_time(member).await;
    }
    for (number, least) in [(0, 3_500.0), (2, -3_700.0)] {
        nodes.until_metric(number, "tandem_clock_offset_seconds{against=\"system\"}", least).await;
        assert!(nodes.metric(number, "tandem_clock_offset_seconds{against=\"redis\"}").await.abs() < 0.5);
    }
}

/// On a single node: forward and back, by a little and by a lot, and twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_film_does_not_leap_when_the_clock_of_its_node_is_set() {
    let dir = tempfile::tempdir().unwrap();
    let clocks = [Faketime::ahead(0)];
    let settings = [("TANDEM_DATA_DIR", dir.path().to_str().unwrap()), ("LOG_LEVEL", "info")];
    let mut nodes = Nodes::idle(1, &settings);
    start(&mut nodes, &clocks).await;
    let mut ana = seat(&nodes, 0, "ana").await;
    let mut set = 0;
    for by in [HOUR, -HOUR, 5, -5, 24 * HOUR] {
        let film = Film::begin(&mut ana).await;
        let (least, _) = ahead(&mut ana).await;
        set += by;
        clocks[0].set(set);
        sleep(Duration::from_secs(3)).await;
        film.is_on_time(&mut ana).await;
        let (_, most) = ahead(&mut ana).await;
        let least_moved = most - least;
        assert!(least_moved.abs() < 1_000, "set by {by} s, and its stamps leapt by {least_moved} ms");
    }
    nodes.until_metric(0, "tandem_clock_offset_seconds{against=\"system\"}", 86_000.0).await;
    let line = "the clock that this node goes by was set";
    nodes.until_it_says(0, line).await;
    let told = nodes.log(0).matches(line).count();
    assert!((1..=3).contains(&told), "told {told} times:\n{}", nodes.log(0));
    // A restart adopts the new time at once.
    nodes.drain(0).await;
    nodes.launch(0);
    nodes.until_ready(0).await;
    let (least, most) = ahead(&mut seat(&nodes, 0, "ben").await).await;
    assert!(least < 86_500_000 && most > 86_300_000, "ahead by {least} to {most} ms");
}
