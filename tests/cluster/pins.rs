//! Many addresses guess the PIN of a room over three nodes, and a friend with the right one gets in.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::json;
use tokio::time::sleep;

use crate::nodes::Nodes;
use tandem_testkit::{Client, connect::Connect, redis::Redis};

const GUESSERS: usize = 50;
const FRIENDS: usize = 20;

async fn connect(node: SocketAddr, address: &str) -> Client {
    let how = Connect { headers: &[("X-Forwarded-For", address)], ..Connect::default() };
    Client::try_connect_to(node, how).await.unwrap_or_else(|refused| panic!("{refused:?}"))
}

/// Shows a PIN; `Err` with the wait if it was not looked at, else whether it was right.
async fn show(client: &mut Client, user: &str, pin: &str) -> Result<bool, Duration> {
    client.send_join("room", user, json!({"features": [], "pin": pin})).await;
    let answer = client.next().await;
    match answer["code"].as_str() {
        None => Ok(true),
        Some("invalid_pin") => Ok(false),
        Some("pin_locked") => Err(Duration::from_millis(answer.int("retryAfterMs"))),
        Some(_) => panic!("{answer:?}"),
    }
}

/// Guesses as soon as it may, and tells when it was looked at.
async fn guess(node: SocketAddr, number: usize, over: Arc<AtomicBool>, looked: Arc<Mutex<Vec<Instant>>>) {
    let mut client = connect(node, &format!("203.0.113.{number}")).await;
    while !over.load(Ordering::Relaxed) {
        match show(&mut client, &format!("guesser-{number}"), "000000").await {
            Ok(right) => {
                assert!(!right);
                looked.lock().unwrap().push(Instant::now());
            }
            Err(wait) => sleep(wait.min(Duration::from_millis(500))).await,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_friend_gets_in_while_fifty_addresses_guess_over_three_nodes() {
    let redis = Redis::start();
    let settings = [("REDIS_URL", redis.url()), ("TRUST_PROXY_HOPS", "1".to_owned())];
    let settings = settings.each_ref().map(|(key, value)| (*key, value.as_str()));
    let nodes = Nodes::start(3, &settings).await;
    let mut host = connect(nodes.addr(0), "198.51.100.1").await;
    host.enter("room", "host", json!({"features": [], "pin": "123456"})).await;
    let (over, looked) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
    let guessers: Vec<_> = (0..GUESSERS)
        .map(|number| tokio::spawn(guess(nodes.addr(number % 3), number, over.clone(), looked.clone())))
        .collect();
    sleep(Duration::from_secs(5)).await;
    let mut waits = Vec::new();
    for number in 0..FRIENDS {
        let came = Instant::now();
        let mut friend = connect(nodes.addr(number % 3), &format!("192.0.2.{number}")).await;
        while let Err(wait) = show(&mut friend, &format!("friend-{number}"), "123456").await {
            sleep(wait).await;
        }
        waits.push(came.elapsed());
        sleep(Duration::from_millis(500)).await;
    }
    over.store(true, Ordering::Relaxed);
    for guesser in guessers {
        guesser.await.unwrap();
    }
    waits.sort_unstable();
    let looked = looked.lock().unwrap().clone();
    let within =
        |from: &Instant| looked.iter().filter(|at| (*from..*from + Duration::from_secs(5)).contains(*at)).count();
    let most = looked.iter().map(within).max().unwrap();
    println!("friends waited {waits:?}; {} PINs were looked at, at most {most} in 5 s", looked.len());
    assert!(waits[FRIENDS * 95 / 100 - 1] <= Duration::from_secs(10), "{waits:?}");
    // The clients count when the answer arrived, which may be a moment after the others'.
    assert!(most <= 11 && looked.len() >= 8, "{most}");
    // The one who is inside has noticed nothing.
    host.send_join("room", "host", json!({"features": []})).await;
    host.until("ROOM_STATE").await;
}
