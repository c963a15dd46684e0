//! Faults while a crowd talks on three nodes. After each of them nothing may be lost, doubled or hidden: the judge compares the diaries of
//! all members with the ledger in PostgreSQL.
//!
//! The simulator (`crates/sim`) plays what follows from faults by logic: gaps, lost answers, evictions, ghosts, elections, resumes, and lost
//! history, in thousands of stories and with each frame type. These tests show once that real components fail in the way that the simulator
//! says: processes that are killed or stand still, TCP, Redis and its data, PostgreSQL. Faults of one kind follow each other in one
//! deployment, because a deployment takes longer to set up than most faults last.
//!
//! - PostgreSQL and workers: `a_ledger_that_is_away_...`. It also contains the control of all of these tests: the judge finds what is planted.
//! - The link of a node to Redis, ended, silent or deaf: `links_that_...`, and `who_only_listens_...` for members that send nothing.
//! - Nodes that are taken for dead and are not: `nodes_past_their_lease_...`. A node that dies: `a_killed_node_...`.
//! - Redis that stands still, dies, and comes back with or without its data: `redis_that_...`.
//!
//! Rolling restarts are in `drain.rs`, and what nodes refuse during a fault in `refusals.rs` and `degraded.rs`.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use serde_json::json;
use tokio::time::sleep;

use crate::{
    crowd::{Diary, Row, judge, room},
    stage::{Stage, nobody_left},
};
use tandem_testkit::{
    Client,
    process::DEADLINE,
    proxy::{Mode, Proxy},
    redis::Redis,
};

/// A dead node is noticed soon, and a node on a busy machine still renews in time.
const SHORT_LEASE: (&str, &str) = ("LEASE_SECONDS", "5");

/// Number of rooms, with five members each: `FAULT_ROOMS`, or fewer for daily work.
fn rooms() -> usize {
    std::env::var("FAULT_ROOMS").map_or(40, |rooms| rooms.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_that_is_away_and_workers_that_die_are_no_news_to_anybody() {
    let mut stage = Stage::set(Redis::start(), &[]).await;
    let crowd = stage.crowd(rooms(), 5).await;
    sleep(Duration::from_secs(2)).await;
    stage.postgres.kill();
    // By then the worker retries in longer and longer intervals, with entries in hand.
    sleep(Duration::from_secs(7)).await;
    stage.kill_workers();
    stage.postgres.restart();
    for _ in 0..3 {
        stage.start_worker();
        sleep(Duration::from_millis(1_700)).await;
        stage.kill_workers();
    }
    stage.start_worker();
    stage.no_room_is_lost(rooms().min(20)).await;
    let (verdict, diaries) = stage.end(crowd).await;
    verdict.assert_good();
    nobody_left(&diaries);
    assert!(diaries.iter().all(|diary| diary.errors.is_empty() && diary.discontinuities == 0 && diary.resumed == 0));
    assert!(diaries.iter().map(|diary| diary.signals).sum::<usize>() > rooms() / 2);
    the_judge_sees_what_is_wrong(diaries, stage.ledger().await);
}

/// The control of all tests in this file: the judge finds faults that are there.
fn the_judge_sees_what_is_wrong(mut diaries: Vec<Diary>, mut rows: Vec<Row>) {
    // One row is missing, and one is doubled.
    let place = rows.iter().position(|row| row.kind == "BROADCAST" && row.event == "word").unwrap();
    let row = rows.swap_remove(place);
    assert_eq!(judge(&diaries, &rows).not_in_ledger.len(), 1 + confirmations(&diaries, &row));
    rows.extend([row.clone(), row]);
    assert_eq!(judge(&diaries, &rows).doubled.len(), 1);
    rows.pop();
    // One member misses a frame, and another one got a different text.
    let others = diaries[1..].iter().filter(|diary| diary.room == diaries[0].room);
    let others: BTreeSet<u64> =
        others.flat_map(|diary| &diary.segments).flat_map(|it| it.told.keys().copied()).collect();
    let segment = diaries[0].segments.last_mut().unwrap();
    let version = *segment.told.keys().rev().find(|version| others.contains(version)).unwrap();
    let mut told = segment.told.remove(&version).unwrap();
    assert_eq!(judge(&diaries, &rows).silent_gaps.len(), 1);
    told.digest += 1;
    diaries[0].segments.last_mut().unwrap().told.insert(version, told);
    assert!(!judge(&diaries, &rows).disorder.is_empty());
    diaries[1].last_words.clear();
    assert!(!judge(&diaries, &rows).unfinished.is_empty());
}

/// The number of members that were told of this row.
fn confirmations(diaries: &[Diary], row: &Row) -> usize {
    let point = (row.epoch, row.version);
    diaries.iter().filter(|diary| room(diary.room) == row.room && diary.confirmed.contains(&point)).count()
}

/// Puts one node behind a proxy.
async fn behind_a_proxy(stage: &mut Stage, number: usize, settings: &[(&str, &str)]) -> Proxy {
    let proxy = Proxy::start(stage.redis.port()).await;
    stage.nodes.set(number, "REDIS_URL", &proxy.url());
    for (key, value) in settings {
        stage.nodes.set(number, key, value);
    }
    stage.nodes.drain(number).await;
    stage.nodes.launch(number);
    stage.nodes.until_ready(number).await;
    proxy
}

/// Waits until a deaf link has lost something.
async fn until_dropped(proxy: &Proxy) {
    let begun = Instant::now();
    while proxy.dropped() == 0 {
        assert!(begun.elapsed() < DEADLINE, "nothing was lost on the way");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_that_are_ended_silent_or_deaf_are_no_gap() {
    // Leases outlast all of it, however slow the machine is.
    let mut stage = Stage::set(Redis::start(), &[("LEASE_SECONDS", "30")]).await;
    let proxy = behind_a_proxy(&mut stage, 0, &[]).await;
    let crowd = stage.crowd(rooms(), 5).await;
    let restarts = "tandem_link_restarts_total";
    for round in 1..=2_u8 {
        sleep(Duration::from_secs(1)).await;
        for number in 0..3 {
            stage.nodes.until_metric(number, "tandem_link_up", 1.0).await;
        }
        assert!(stage.redis.command("CLIENT KILL TYPE pubsub").contains(":3"), "three links were ended");
        for number in 0..3 {
            stage.nodes.until_metric(number, restarts, f64::from(round)).await;
        }
    }
    proxy.set(Mode::Hole);
    sleep(Duration::from_secs(5)).await;
    proxy.set(Mode::Pass);
    stage.all_ready().await;
    stage.nodes.until_metric(0, "tandem_gaps_total{outcome=\"replayed\"}", 1.0).await;
    stage.nodes.until_metric(0, "tandem_link_up", 1.0).await;
    let before = stage.nodes.metric(0, restarts).await;
    proxy.set(Mode::Deaf);
    until_dropped(&proxy).await;
    stage.nodes.until_metric(0, restarts, before + 1.0).await;
    sleep(Duration::from_secs(1)).await;
    let (verdict, diaries) = stage.end(crowd).await;
    verdict.assert_good();
    nobody_left(&diaries);
    let logs = || (0..3).map(|number| stage.nodes.log(number)).collect::<String>();
    assert!(diaries.iter().all(|diary| diary.away.is_empty()), "a lease had run out:\n{}", logs());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_only_listens_is_told_what_a_deaf_link_lost_where_the_link_is_probed() {
    let mut stage = Stage::set(Redis::start(), &[]).await;
    let probed = behind_a_proxy(&mut stage, 0, &[]).await;
    // The control: neither a probe nor a late answer to a command shows that the link is deaf.
    let settings = [("REDIS_PROBE_SECONDS", "0"), ("REDIS_TIMEOUT_SECONDS", "20")];
    let unprobed = behind_a_proxy(&mut stage, 2, &settings).await;
    let mut speaker = Client::connect_to(stage.nodes.addr(1)).await;
    speaker.enter("quiet", "speaker", json!({"features": ["resume"]})).await;
    let mut listener = Client::connect_to(stage.nodes.addr(0)).await;
    listener.enter("quiet", "listener", json!({"features": ["resume"]})).await;
    let mut control = Client::connect_to(stage.nodes.addr(2)).await;
    control.enter("quiet", "control", json!({"features": ["resume"]})).await;
    // The listener has heard of the control, so nothing is on its way any more.
    listener.until("USER_JOINED").await;
    probed.set(Mode::Deaf);
    unprobed.set(Mode::Deaf);
    for word in ["one", "two"] {
        speaker.send(json!({"type": "BROADCAST", "event": word})).await;
    }
    until_dropped(&probed).await;
    until_dropped(&unprobed).await;
    for word in ["one", "two"] {
        assert_eq!(listener.until("BROADCAST").await.str("event"), word);
    }
    let heard = control.during(Duration::from_secs(2)).await;
    assert!(heard.iter().all(|frame| !frame.is("BROADCAST")), "{heard:?}");
}

/// The number of members that two nodes reaped for the third.
async fn reaped(stage: &Stage, by: [usize; 2]) -> f64 {
    let members = async |node| stage.nodes.metric(node, "tandem_reaped_members_total").await;
    members(by[0]).await + members(by[1]).await
}

/// Waits until two nodes have reaped the third, and gives them time to announce it.
async fn until_reaped(stage: &Stage, by: [usize; 2]) {
    let (begun, before) = (Instant::now(), reaped(stage, by).await);
    while reaped(stage, by).await <= before {
        assert!(begun.elapsed() < Duration::from_secs(25), "nobody was taken for dead");
        sleep(Duration::from_millis(100)).await;
    }
    sleep(Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_past_their_lease_get_their_seats_back() {
    let mut stage = Stage::set(Redis::start(), &[SHORT_LEASE]).await;
    let proxy = behind_a_proxy(&mut stage, 0, &[]).await;
    let crowd = stage.crowd(rooms(), 5).await;
    sleep(Duration::from_secs(2)).await;
    // A node that cannot renew its lease.
    proxy.set(Mode::Hole);
    until_reaped(&stage, [1, 2]).await;
    proxy.set(Mode::Pass);
    stage.all_ready().await;
    sleep(Duration::from_secs(2)).await;
    // A node that does not know that its lease has expired.
    stage.nodes.signal(2, "STOP");
    until_reaped(&stage, [0, 1]).await;
    stage.nodes.signal(2, "CONT");
    stage.all_ready().await;
    sleep(Duration::from_secs(2)).await;
    let (verdict, diaries) = stage.end(crowd).await;
    verdict.assert_good();
    nobody_left(&diaries);
    assert!(diaries.iter().any(|diary| !diary.away.is_empty()), "the others were told that its members are away");
    assert!(diaries.iter().all(|diary| diary.resumed == 0 && diary.rejoined == 0), "no socket was closed for it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_node_is_replaced_and_its_ghosts_go() {
    let mut stage = Stage::set(Redis::start(), &[("HOST_GRACE_SECONDS", "2")]).await;
    let crowd = stage.crowd(rooms(), 5).await;
    // A member that cannot come back: of the first generation, on the killed node, host of a room that others watch.
    let mut ghost = Client::connect_to(stage.nodes.addr(1)).await;
    ghost.enter("haunted", "ghost", json!({})).await;
    let mut witness = Client::connect_to(stage.nodes.addr(0)).await;
    witness.enter("haunted", "witness", json!({"features": ["resume"]})).await;
    sleep(Duration::from_secs(2)).await;
    stage.nodes.kill(1);
    let left = witness.until_within("USER_LEFT", Duration::from_secs(40)).await;
    assert_eq!(left.str("userId"), "ghost");
    let host = witness.until_within("HOST_CHANGED", Duration::from_secs(40)).await;
    assert_eq!(host.str("hostUserId"), "witness");
    stage.nodes.launch(1);
    stage.nodes.until_ready(1).await;
    let (verdict, diaries) = stage.end(crowd).await;
    verdict.assert_good();
    nobody_left(&diaries);
    stage.no_room_is_lost(rooms().min(40)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_that_stands_still_dies_and_loses_everything_loses_nothing() {
    let mut stage = Stage::set(Redis::durable(), &[SHORT_LEASE]).await;
    let crowd = stage.crowd(rooms(), 5).await;
    sleep(Duration::from_secs(2)).await;
    // Redis stands still for longer than all leases.
    stage.redis.pause();
    stage.nodes.until_status(0, "/ready", 503).await;
    assert_eq!(stage.nodes.status(0, "/health").await, Some(200), "liveness looks at nothing else");
    sleep(Duration::from_secs(5)).await;
    stage.redis.resume();
    stage.all_ready().await;
    sleep(Duration::from_secs(2)).await;
    // It dies, and comes back with its data.
    stage.redis.kill();
    sleep(Duration::from_secs(6)).await;
    stage.redis.restart();
    stage.all_ready().await;
    sleep(Duration::from_secs(2)).await;
    // It comes back without its data. Entries that no worker has taken are lost with the streams; only the nodes still have them.
    stage.kill_workers();
    sleep(Duration::from_secs(2)).await;
    stage.redis.kill();
    sleep(Duration::from_secs(2)).await;
    stage.redis.restart_empty();
    stage.start_worker();
    stage.all_ready().await;
    sleep(Duration::from_secs(2)).await;
    let (verdict, diaries) = stage.end(crowd).await;
    verdict.assert_good();
    nobody_left(&diaries);
    stage.no_room_is_lost(rooms().min(40)).await;
    assert!(diaries.iter().all(|diary| diary.discontinuities > 0), "everybody was told that the rooms began anew");
}
