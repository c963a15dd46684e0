//! Faults while a crowd talks on three nodes. After each of them nothing may be lost, doubled or hidden: the judge compares the diaries of
//! all members with the ledger in PostgreSQL.

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

/// Number of rooms, with five members each: `FAULT_ROOMS`, or fewer for daily work.
fn rooms() -> usize {
    std::env::var("FAULT_ROOMS").map_or(40, |rooms| rooms.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_tell_two_hundred_rooms_the_same() {
    let stage = Stage::set(Redis::start(), &[]).await;
    let crowd = stage.crowd(200, 5).await;
    sleep(Duration::from_secs(30)).await;
    stage.no_room_is_lost(20).await;
    let (verdict, diaries) = stage.end(crowd).await;
    verdict.assert_good();
    assert!(diaries.iter().all(|diary| diary.errors.is_empty() && diary.discontinuities == 0));
    assert!(diaries.iter().map(|diary| diary.signals).sum::<usize>() > 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rolling_through_all_nodes_is_no_news_to_anybody() {
    let mut stage = Stage::set(Redis::start(), &[("DRAIN_SECONDS", "3")]).await;
    let crowd = stage.crowd(rooms(), 5).await;
    for number in 0..3 {
        sleep(Duration::from_secs(2)).await;
        let took = stage.nodes.drain(number).await;
        assert!(took < Duration::from_secs(15), "{took:?}");
        stage.nodes.launch(number);
        stage.nodes.until_ready(number).await;
    }
    let (verdict, diaries) = stage.end(crowd).await;
    verdict.assert_good();
    nobody_left(&diaries);
    stage.no_room_is_lost(rooms().min(40)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_node_is_replaced_and_its_ghosts_go() {
    let mut stage = Stage::set(Redis::start(), &[]).await;
    let crowd = stage.crowd(rooms(), 5).await;
    // A member that cannot come back: of the first generation, on the killed node, host of a room that others watch.
    let mut ghost = Client::connect_to(stage.nodes.addr(1)).await;
    ghost.enter("haunted", "ghost", json!({})).await;
    let mut witness = Client::connect_to(stage.nodes.addr(0)).await;
    witness.enter("haunted", "witness", json!({"features": ["resume"]})).await;
    sleep(Duration::from_secs(3)).await;
    stage.nodes.kill(1);
    let begun = Instant::now();
    let left = witness.until_within("USER_LEFT", Duration::from_secs(40)).await;
    assert_eq!(left.str("userId"), "ghost");
    println!("the ghost was gone after {:?}", begun.elapsed());
    let host = witness.until_within("HOST_CHANGED", Duration::from_secs(40)).await;
    assert_eq!(host.str("hostUserId"), "witness");
    stage.nodes.launch(1);
    stage.nodes.until_ready(1).await;
    let (verdict, diaries) = stage.end(crowd).await;
    verdict.assert_good();
    nobody_left(&diaries);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_pubsub_connections_are_no_gap() {
    let stage = Stage::set(Redis::start(), &[]).await;
    let crowd = stage.crowd(rooms(), 5).await;
    for round in 1..=4_u8 {
        sleep(Duration::from_secs(1)).await;
        for number in 0..3 {
            stage.nodes.until_metric(number, "tandem_link_up", 1.0).await;
        }
        assert!(stage.redis.command("CLIENT KILL TYPE pubsub").contains(":3"), "three links were cut");
        for number in 0..3 {
            stage.nodes.until_metric(number, "tandem_link_restarts_total", f64::from(round)).await;
        }
    }
    let (verdict, _) = stage.end(crowd).await;
    verdict.assert_good();
    let mut replayed = 0.0;
    for number in 0..3 {
        replayed += stage.nodes.metric(number, "tandem_gaps_total{outcome=\"replayed\"}").await;
    }
    println!("{replayed} rooms got what they had missed");
}

/// No member is lost or seen leaving while Redis is unreachable.
async fn while_redis(redis: Redis, away: impl AsyncFnOnce(&mut Stage)) -> Vec<Diary> {
    let mut stage = Stage::set(redis, &[]).await;
    let crowd = stage.crowd(rooms(), 5).await;
    sleep(Duration::from_secs(3)).await;
    away(&mut stage).await;
    stage.all_ready().await;
    sleep(Duration::from_secs(3)).await;
    let (verdict, diaries) = stage.end(crowd).await;
    verdict.assert_good();
    nobody_left(&diaries);
    stage.no_room_is_lost(rooms().min(40)).await;
    diaries
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_that_stands_still_for_ten_seconds_loses_nothing() {
    while_redis(Redis::start(), async |stage| {
        stage.redis.pause();
        stage.nodes.until_status(0, "/ready", 503).await;
        assert_eq!(stage.nodes.status(0, "/health").await, Some(200), "liveness looks at nothing else");
        sleep(Duration::from_secs(8)).await;
        stage.redis.resume();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_that_comes_back_with_its_data_loses_nothing() {
    while_redis(Redis::durable(), async |stage| {
        stage.redis.kill();
        sleep(Duration::from_secs(10)).await;
        stage.redis.restart();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_that_comes_back_empty_gets_everything_from_the_nodes() {
    let diaries = while_redis(Redis::start(), async |stage| {
        // Entries that no worker has taken are lost with the streams; only the nodes still have them.
        stage.kill_workers();
        sleep(Duration::from_secs(3)).await;
        stage.redis.kill();
        sleep(Duration::from_secs(5)).await;
        stage.redis.restart_empty();
        stage.start_worker();
    })
    .await;
    assert!(diaries.iter().all(|diary| diary.discontinuities > 0), "everybody was told that the rooms began anew");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_that_is_down_for_a_minute_is_no_news_to_anybody() {
    let mut stage = Stage::set(Redis::start(), &[]).await;
    let crowd = stage.crowd(rooms(), 5).await;
    sleep(Duration::from_secs(3)).await;
    stage.postgres.kill();
    sleep(Duration::from_mins(1)).await;
    stage.postgres.restart();
    let (verdict, diaries) = stage.end(crowd).await;
    verdict.assert_good();
    nobody_left(&diaries);
    assert!(diaries.iter().all(|diary| diary.errors.is_empty() && diary.discontinuities == 0 && diary.resumed == 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_that_are_killed_lose_and_double_nothing() {
    let mut stage = Stage::set(Redis::start(), &[]).await;
    let crowd = stage.crowd(rooms(), 5).await;
    for _ in 0..6 {
        sleep(Duration::from_millis(1_700)).await;
        stage.kill_workers();
        stage.start_worker();
    }
    let (verdict, _) = stage.end(crowd).await;
    verdict.assert_good();
}

/// One node behind a proxy.
async fn behind_a_proxy(stage: &mut Stage, settings: &[(&str, &str)]) -> Proxy {
    let proxy = Proxy::start(stage.redis.port()).await;
    stage.nodes.set(0, "REDIS_URL", &proxy.url());
    for (key, value) in settings {
        stage.nodes.set(0, key, value);
    }
    stage.nodes.drain(0).await;
    stage.nodes.launch(0);
    stage.nodes.until_ready(0).await;
    proxy
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_cut_off_for_five_seconds_catches_up() {
    // Its lease is longer than the cut, however slow the machine is.
    let mut stage = Stage::set(Redis::start(), &[("LEASE_SECONDS", "30")]).await;
    let proxy = behind_a_proxy(&mut stage, &[]).await;
    let crowd = stage.crowd(rooms(), 5).await;
    sleep(Duration::from_secs(3)).await;
    proxy.set(Mode::Hole);
    sleep(Duration::from_secs(5)).await;
    proxy.set(Mode::Pass);
    stage.all_ready().await;
    sleep(Duration::from_secs(2)).await;
    let (verdict, diaries) = stage.end(crowd).await;
    verdict.assert_good();
    nobody_left(&diaries);
    let logs = || (0..3).map(|number| stage.nodes.log(number)).collect::<String>();
    assert!(diaries.iter().all(|diary| diary.away.is_empty()), "its lease had run out:\n{}", logs());
    assert!(stage.nodes.metric(0, "tandem_gaps_total{outcome=\"replayed\"}").await > 0.0);
}

/// The number of members that two nodes reaped for the third.
async fn reaped(stage: &Stage) -> f64 {
    let members = async |node| stage.nodes.metric(node, "tandem_reaped_members_total").await;
    members(1).await + members(2).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_taken_for_dead_gets_its_seats_back() {
    let mut stage = Stage::set(Redis::start(), &[]).await;
    let proxy = behind_a_proxy(&mut stage, &[]).await;
    let crowd = stage.crowd(rooms(), 5).await;
    sleep(Duration::from_secs(3)).await;
    proxy.set(Mode::Hole);
    // Longer than its lease, but shorter than the resume window.
    let begun = Instant::now();
    while reaped(&stage).await == 0.0 {
        assert!(begun.elapsed() < Duration::from_secs(25), "nobody was taken for dead");
        sleep(Duration::from_millis(100)).await;
    }
    sleep(Duration::from_secs(2)).await;
    proxy.set(Mode::Pass);
    stage.all_ready().await;
    sleep(Duration::from_secs(4)).await;
    let (verdict, diaries) = stage.end(crowd).await;
    verdict.assert_good();
    nobody_left(&diaries);
    assert!(diaries.iter().any(|diary| !diary.away.is_empty()), "the others were told that its members are away");
    assert!(diaries.iter().all(|diary| diary.resumed == 0 && diary.rejoined == 0), "no socket was closed for it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stood_still_gets_its_seats_back() {
    let stage = Stage::set(Redis::start(), &[]).await;
    let crowd = stage.crowd(rooms(), 5).await;
    sleep(Duration::from_secs(3)).await;
    stage.nodes.signal(0, "STOP");
    sleep(Duration::from_secs(14)).await;
    stage.nodes.signal(0, "CONT");
    stage.all_ready().await;
    sleep(Duration::from_secs(4)).await;
    let (verdict, diaries) = stage.end(crowd).await;
    verdict.assert_good();
    nobody_left(&diaries);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_has_gone_deaf_is_noticed_and_made_anew() {
    let mut stage = Stage::set(Redis::start(), &[]).await;
    let proxy = behind_a_proxy(&mut stage, &[]).await;
    let crowd = stage.crowd(rooms(), 5).await;
    sleep(Duration::from_secs(3)).await;
    proxy.set(Mode::Deaf);
    sleep(Duration::from_secs(8)).await;
    let (verdict, _) = stage.end(crowd).await;
    verdict.assert_good();
    assert!(proxy.dropped() > 0, "something was lost on the way");
    assert!(stage.nodes.metric(0, "tandem_link_restarts_total").await > 0.0);
}

/// A member that only receives, on a node whose link goes deaf, and two messages that are sent then.
async fn listen_on_a_deaf_link(settings: &[(&str, &str)]) -> (Client, Stage, Proxy) {
    let mut stage = Stage::set(Redis::start(), &[]).await;
    let proxy = behind_a_proxy(&mut stage, settings).await;
    let mut speaker = Client::connect_to(stage.nodes.addr(1)).await;
    speaker.enter("quiet", "speaker", json!({"features": ["resume"]})).await;
    let mut listener = Client::connect_to(stage.nodes.addr(0)).await;
    listener.enter("quiet", "listener", json!({"features": ["resume"]})).await;
    sleep(Duration::from_secs(1)).await;
    proxy.set(Mode::Deaf);
    for word in ["one", "two"] {
        speaker.send(json!({"type": "BROADCAST", "event": word})).await;
    }
    let begun = Instant::now();
    while proxy.dropped() == 0 {
        assert!(begun.elapsed() < DEADLINE, "nothing was lost on the way");
        sleep(Duration::from_millis(50)).await;
    }
    (listener, stage, proxy)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_only_listens_is_told_what_a_deaf_link_lost() {
    let (mut listener, _stage, _proxy) = listen_on_a_deaf_link(&[]).await;
    for word in ["one", "two"] {
        assert_eq!(listener.until("BROADCAST").await.str("event"), word);
    }
}

/// The control of the previous test.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_probe_a_deaf_link_stays_deaf() {
    // Nor does a late answer to a command trigger a probe.
    let settings = [("REDIS_PROBE_SECONDS", "0"), ("REDIS_TIMEOUT_SECONDS", "20")];
    let (mut listener, _stage, _proxy) = listen_on_a_deaf_link(&settings).await;
    let heard = listener.during(Duration::from_secs(8)).await;
    assert!(heard.iter().all(|frame| !frame.is("BROADCAST")), "{heard:?}");
}

/// The control of all tests above: the judge finds faults that are there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_judge_sees_what_is_wrong() {
    let stage = Stage::set(Redis::start(), &[]).await;
    let crowd = stage.crowd(2, 3).await;
    sleep(Duration::from_secs(6)).await;
    let mut diaries = crowd.disperse(Duration::from_secs(30)).await;
    let mut rows = stage.ledger().await;
    judge(&diaries, &rows).assert_good();
    // One row is missing, and one is doubled.
    let place = rows.iter().position(|row| row.kind == "BROADCAST").unwrap();
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
