//! Rolling updates.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use serde_json::json;
use tokio::time::sleep;

use crate::stage::{Stage, nobody_left};
use tandem_testkit::{Client, redis::Redis};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_clients_sit_through_a_rolling_restart() {
    const CLIENTS: usize = 1_000;
    let mut stage = Stage::set(Redis::start(), &[]).await;
    let crowd = stage.crowd(CLIENTS / 5, 5).await;
    crowd.plan.arrivals.lock().unwrap().clear();
    for number in 0..3 {
        let took = stage.nodes.drain(number).await;
        // A node takes at most 15 s; the rest is for the signal and for polling.
        println!("node {number} was gone after {took:?}");
        assert!(took < Duration::from_secs(20), "{took:?}");
        stage.nodes.launch(number);
        stage.nodes.until_ready(number).await;
        sleep(Duration::from_secs(1)).await;
    }
    let arrivals = crowd.plan.arrivals.lock().unwrap().clone();
    let (verdict, diaries) = stage.end(crowd).await;
    verdict.assert_good();
    nobody_left(&diaries);
    let longest = diaries.iter().flat_map(|diary| &diary.absences).max().unwrap();
    println!("{} came back, the slowest after {longest:?}", arrivals.len());
    assert!(arrivals.len() >= CLIENTS && *longest < Duration::from_secs(15), "{longest:?}");
    println!("at the most {} of {CLIENTS} within 100 ms", peak(&arrivals, Duration::from_millis(100)));
    // Spread evenly, a tenth of the sockets of a node would close in each of ten seconds; without spreading, all in one. A finer bound
    // would depend on how busy the machine is.
    let peak = peak(&arrivals, Duration::from_secs(1));
    assert!(peak * 100 < 30 * CLIENTS, "{peak} within a second");
    assert!(
        diaries.iter().all(|diary| diary.rejoined == 0 && diary.discontinuities == 0),
        "all took their seats again"
    );
}

fn peak(arrivals: &[Instant], window: Duration) -> usize {
    let within = |first: &Instant| arrivals.iter().filter(|at| **at >= *first && **at - *first < window).count();
    arrivals.iter().map(within).max().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_the_first_generation_keep_their_seats_through_a_drain() {
    let mut stage = Stage::set(Redis::start(), &[("DRAIN_SECONDS", "1")]).await;
    let mut old = Client::connect_to(stage.nodes.addr(0)).await;
    old.enter("room", "old", json!({})).await;
    let mut watcher = Client::connect_to(stage.nodes.addr(1)).await;
    watcher.enter("room", "watcher", json!({"features": ["resume"]})).await;
    stage.nodes.drain(0).await;
    let (frames, code) = old.closed().await;
    assert!(frames.iter().any(|frame| frame.is("SERVER_DRAINING")) && code == Some(1012));
    let mut again = Client::connect_to(stage.nodes.addr(2)).await;
    let state = again.enter("room", "old", json!({})).await;
    assert_eq!(state.str("hostUserId"), "old", "and its role");
    let seen = watcher.collect_until(|frame| frame.is("USER_JOINED"), "USER_JOINED").await;
    let kinds: Vec<_> = seen.iter().map(|frame| frame.str("type")).collect();
    assert_eq!(kinds, ["SERVER_DRAINING", "MEMBER_AWAY", "MEMBER_BACK", "USER_JOINED"][1..]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_does_not_wait_and_the_others_notice() {
    let mut stage = Stage::set(Redis::start(), &[("DRAIN_SECONDS", "25")]).await;
    let mut clients = Vec::new();
    for number in 0..200 {
        let mut client = Client::connect_to(stage.nodes.addr(0)).await;
        client.enter("room", &format!("user-{number}"), json!({"features": ["resume"]})).await;
        clients.push(client);
    }
    let mut watcher = Client::connect_to(stage.nodes.addr(1)).await;
    watcher.enter("room", "watcher", json!({"features": ["resume"]})).await;
    stage.nodes.signal(0, "TERM");
    stage.nodes.until_status(0, "/ready", 503).await;
    assert_eq!(stage.nodes.status(0, "/health").await, Some(200));
    let took = stage.nodes.drain(0).await;
    assert!(took < Duration::from_secs(20), "{took:?}");
    let mut away = 0;
    while away < 200 {
        watcher.until_within("MEMBER_AWAY", Duration::from_secs(40)).await;
        away += 1;
    }
    let log = stage.nodes.log(0);
    assert!(log.contains("stopped at once by a second signal"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seat_is_handed_over_and_its_room_does_not_hear_of_it() {
    let mut stage = Stage::set(Redis::start(), &[("DRAIN_SECONDS", "1")]).await;
    let mut moving = Client::connect_to(stage.nodes.addr(0)).await;
    let state = moving.enter("room", "moving", json!({"features": ["resume"]})).await;
    // It cannot resume without its ROOM_STATE, and this shows that it has it.
    moving.ping().await;
    let mut leaving = Client::connect_to(stage.nodes.addr(0)).await;
    leaving.enter("room", "leaving", json!({"features": ["resume"]})).await;
    leaving.ping().await;
    let mut watcher = Client::connect_to(stage.nodes.addr(1)).await;
    watcher.enter("room", "watcher", json!({"features": ["resume"]})).await;

    stage.nodes.signal(0, "TERM");
    let (_, code) = moving.closed().await;
    assert_eq!(code, Some(1012));
    let (_, code) = leaving.closed().await;
    assert_eq!(code, Some(1012));
    // Nobody is there to hear these, until the seat has a socket again; some are on their way in the very moment.
    let offer =
        |number: u32| json!({"type": "OFFER", "to": "moving", "offer": {"type": "offer", "sdp": number.to_string()}});
    let mut offers = (0..40).map(offer);
    for offer in offers.by_ref().take(10) {
        watcher.send(offer).await;
    }
    let mut again = Client::connect_to(stage.nodes.addr(2)).await;
    let resume = json!({
        "type": "RESUME", "roomId": "room", "userId": "moving", "features": ["resume"], "epoch": state.int("epoch"),
        "version": state.version(), "resumeToken": state.str("resumeToken"),
    });
    again.send(resume).await;
    for offer in offers {
        watcher.send(offer).await;
    }
    again.until("RESUMED").await;
    let mut told = BTreeSet::new();
    while told.len() < 40 {
        told.insert(again.until("OFFER").await["offer"]["sdp"].to_string());
    }

    // Whoever does not come back is announced in the end.
    let seen = watcher.collect_until(|frame| frame.is("MEMBER_AWAY"), "MEMBER_AWAY").await;
    let of: Vec<_> = seen.iter().filter(|frame| frame.is("MEMBER_AWAY") || frame.is("MEMBER_BACK")).collect();
    assert!(matches!(of[..], [frame] if frame["userId"] == "leaving"), "{seen:?}");
    assert_eq!(stage.nodes.ended(0).await, Some(0));
    let log = stage.nodes.log(0);
    assert!(!log.contains("could not be committed") && log.contains(r#""lost":0"#), "{log}");
}

/// As on a machine that has no CPU time for it: when the node runs again, its stop should have ended already.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_that_takes_too_long_is_ended() {
    let mut stage = Stage::set(Redis::start(), &[("DRAIN_SECONDS", "1")]).await;
    let mut ana = Client::connect_to(stage.nodes.addr(0)).await;
    ana.enter("room", "ana", json!({"features": ["resume"]})).await;
    ana.ping().await;
    stage.nodes.signal(0, "TERM");
    ana.until("SERVER_DRAINING").await;
    stage.nodes.signal(0, "STOP");
    sleep(Duration::from_secs(7)).await;
    stage.nodes.signal(0, "CONT");
    assert_eq!(stage.nodes.ended(0).await, Some(1));
    let log = stage.nodes.log(0);
    assert!(log.contains("the stop takes too long") && !log.contains(r#""msg":"stopped""#), "{log}");
}
