//! One address fills the ledger's queue while no worker empties it.

use serde_json::json;

use crate::stage::Stage;
use tandem::backend::Layout;
use tandem_testkit::{Client, Frame, connect::Connect, redis::Redis};

/// A member from the loopback address that ends so.
async fn seat(stage: &Stage, node: usize, user: &str, source: u8) -> Client {
    let how = Connect { source: Some(source), ..Connect::default() };
    let mut client = Client::try_connect_to(stage.nodes.addr(node), how).await.unwrap();
    client.enter(user, user, json!({"features": ["ack"]})).await;
    client
}

async fn change(client: &mut Client, id: usize) -> Frame {
    client.send(json!({"type": "BROADCAST", "event": "x", "id": id})).await;
    client.collect_until(|frame| frame.is("ACK") || frame.is("ERROR"), "an answer").await.pop().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_fills_the_ledgers_queue_is_refused_before_the_others_are() {
    let one = ("REDIS_PARTITIONS", "1");
    let mut stage = Stage::set_apart(Redis::start(), &[("LEDGER_STREAM_MAX", "400"), one], &[one]).await;
    stage.kill_workers();
    let (mut greedy, mut calm) = (seat(&stage, 0, "greedy", 9).await, seat(&stage, 0, "calm", 10).await);
    // It is known how long the queue may be.
    stage.nodes.until_metric(0, "tandem_ledger_stream_entries", 1.0).await;
    let mut done = 0;
    let refused = loop {
        let answer = change(&mut greedy, done).await;
        if answer.is("ERROR") {
            break answer;
        }
        done += 1;
        assert!(done < 300, "it takes more and more");
    };
    assert_eq!(refused.str("code"), "rate_limited");
    assert!(refused.int("retryAfterMs") > 0, "{refused:?}");
    assert!((150..=210).contains(&done), "half of what the others leave: {done}");
    for id in 0..50 {
        let answer = change(&mut calm, id).await;
        assert!(answer.is("ACK"), "another address: {answer:?}");
    }
    assert!(change(&mut greedy, 1_000).await.is("ERROR"), "still");
    stage.start_worker();
    let mut again = change(&mut greedy, 1_001).await;
    while again.is("ERROR") {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        again = change(&mut greedy, 1_002).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_worker_has_written_is_not_appended_again_when_a_connection_to_the_same_redis_breaks() {
    let one = ("REDIS_PARTITIONS", "1");
    let mut stage = Stage::set_apart(Redis::start(), &[one], &[one]).await;
    stage.kill_workers();
    let mut ana = seat(&stage, 0, "ana", 9).await;
    for id in 0..10 {
        assert!(change(&mut ana, id).await.is("ACK"));
    }
    let events = Layout::new("tandem:", 1).events(0);
    // A worker has set the first one aside, and has written the others.
    let script = "local all = redis.call('XRANGE', KEYS[1], '-', '+') for i = 2, #all do redis.call('XDEL', KEYS[1], all[i][1]) end";
    stage.redis.command(&format!("EVAL \"{script}\" 1 {events}"));
    let waiting = || stage.redis.command(&format!("XLEN {events}"));
    assert_eq!(waiting().lines().next(), Some(":1"));
    stage.redis.command("CLIENT KILL TYPE pubsub");
    stage.nodes.until_metric(0, "tandem_link_restarts_total", 1.0).await;
    stage.nodes.until_metric(0, "tandem_link_up", 1.0).await;
    assert!(change(&mut ana, 10).await.is("ACK"));
    assert_eq!(waiting().lines().next(), Some(":2"), "the first one, and what was new");
}
