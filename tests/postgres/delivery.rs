use std::time::Duration;

use crate::{
    entries::{entries, entry},
    support::{Cluster, Worker, until},
};
use tandem_testkit::process::Process;

/// Blocks writes of events in PostgreSQL; workers wait with pending entries.
fn hold(cluster: &Cluster) -> Process {
    let session =
        cluster.postgres.session("BEGIN; LOCK TABLE room_events IN SHARE ROW EXCLUSIVE MODE; SELECT pg_sleep(3600)");
    until("it is locked", || cluster.postgres.number(&locks(true)) > 0);
    session
}

fn until_somebody_waits(cluster: &Cluster) {
    until("somebody waits", || cluster.postgres.number(&locks(false)) > 0);
}

fn let_go(cluster: &Cluster, session: Process) {
    cluster.postgres.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'");
    drop(session);
}

/// Of writers that have their lock: that of [`hold`]; of those that wait: those that it keeps out.
fn locks(granted: bool) -> String {
    let mode = if granted { "ShareRowExclusiveLock" } else { "RowExclusiveLock" };
    format!(
        "SELECT count(*) FROM pg_locks WHERE relation = 'room_events'::regclass AND mode = '{mode}' AND granted = {granted}"
    )
}

#[test]
fn everything_arrives_once() {
    let cluster = Cluster::start();
    let first = entries(3_000);
    cluster.append(&first);
    let worker = cluster.worker();
    let mut all = first;
    let second = entries(500);
    cluster.append(&second);
    // A node that does not know whether its commit went through appends it again.
    cluster.append(&second);
    all.extend(second);
    cluster.settled(&all);
    until("the metrics know", || worker.metric("tandem_ledger_stream_length") == 0.0);
    assert!((worker.metric("tandem_ledger_events_written_total") - 3_500.0).abs() < 0.5);
    assert_eq!(cluster.postgres.number("SELECT count(*) FROM dead_letters"), 0);
    until("it is ready", || worker.is_ready());
    assert_eq!(worker.get("/health").0, 200);
}

#[test]
fn ready_says_which_of_the_two_is_away_also_while_nothing_is_read() {
    let mut cluster = Cluster::bare();
    cluster.postgres.stop();
    let worker = cluster.worker();
    let says = |redis: bool| {
        until("it says so", || {
            let (status, body) = worker.get("/ready");
            status == 503 && body.contains("\"postgres\":false") && body.contains(&format!("\"redis\":{redis}"))
        });
    };
    says(true);
    cluster.redis.stop();
    says(false);
    cluster.redis.restart();
    says(true);
}

#[test]
fn order_of_starting_does_not_matter() {
    let mut cluster = Cluster::bare();
    cluster.redis.stop();
    cluster.postgres.stop();
    let worker = cluster.worker();
    worker.until_it_says("waiting for PostgreSQL");
    assert_eq!((worker.get("/health").0, worker.get("/ready").0), (200, 503));
    cluster.postgres.restart();
    std::thread::sleep(Duration::from_secs(2));
    assert!(!worker.is_ready());
    assert_eq!(cluster.run(&["migrate"]).code, Some(0));
    worker.until_it_says("waiting for Redis");
    assert!(!worker.is_ready());
    cluster.redis.restart();
    until("it is ready", || worker.is_ready());
    let all = entries(100);
    cluster.append(&all);
    cluster.settled(&all);
    assert!(worker.log().lines().count() < 15, "a line a try:\n{}", worker.log());
}

#[test]
fn an_old_schema_is_named() {
    let cluster = Cluster::bare();
    let worker = cluster.worker();
    worker.until_it_says("run `tandem migrate`");
    assert_eq!(cluster.run(&["migrate"]).code, Some(0));
    until("it is ready", || worker.is_ready());
}

#[test]
fn one_that_is_killed_is_replaced() {
    let cluster = Cluster::start();
    let mut all = Vec::new();
    // Killed at whatever it does then, several times.
    for round in 0..4_u64 {
        let mut worker = Worker::start(&cluster, &[("WORKER_BATCH", "100")]);
        let some = entries(4_000);
        let before = cluster.events();
        cluster.append(&some);
        all.extend(some);
        until("it works", || cluster.events() > before + 150);
        std::thread::sleep(Duration::from_millis(7 * round));
        worker.kill();
    }
    // And once for sure with something in hand.
    let held = hold(&cluster);
    let mut worker = Worker::start(&cluster, &[("WORKER_BATCH", "100")]);
    let some = entries(500);
    cluster.append(&some);
    all.extend(some);
    until_somebody_waits(&cluster);
    worker.kill();
    let_go(&cluster, held);
    println!("{} of {} left", cluster.waiting(), all.len());
    let worker = cluster.worker();
    cluster.settled(&all);
    assert!(worker.metric("tandem_worker_taken_over_total") > 0.0, "nothing was in the hands of the dead");
    worker.until_it_says("consumers of dead workers were deleted");
}

#[test]
fn one_that_comes_back_under_its_name_does_not_wait() {
    let cluster = Cluster::start();
    // Never taken over.
    let settings = [("WORKER_NAME", "w1"), ("WORKER_CLAIM_SECONDS", "3600"), ("WORKER_BATCH", "100")];
    let all = entries(4_000);
    let (some, rest) = all.split_at(200);
    let mut worker = Worker::start(&cluster, &settings);
    cluster.append(some);
    until("it works", || cluster.events() > 150);
    let held = hold(&cluster);
    cluster.append(rest);
    until_somebody_waits(&cluster);
    worker.kill();
    let_go(&cluster, held);
    let _worker = Worker::start(&cluster, &settings);
    cluster.settled(&all);
}

#[test]
fn two_share() {
    let cluster = Cluster::start();
    let workers = [(); 2].map(|()| Worker::start(&cluster, &[("WORKER_BATCH", "50")]));
    for worker in &workers {
        until("it is ready", || worker.is_ready());
    }
    let mut all = Vec::new();
    until("both have done something", || {
        let some = entries(1_000);
        cluster.append(&some);
        all.extend(some);
        workers.iter().all(|worker| worker.metric("tandem_ledger_batches_total") > 2.0)
    });
    cluster.settled(&all);
    let written: f64 = workers.iter().map(|worker| worker.metric("tandem_ledger_events_written_total")).sum();
    let wanted = all.len() as f64;
    assert!((written - wanted).abs() < 0.5);
}

#[test]
fn told_to_stop_it_loses_nothing() {
    let cluster = Cluster::start();
    let mut all = Vec::new();
    for _ in 0..3 {
        let mut worker = cluster.worker();
        let some = entries(5_000);
        let before = cluster.events();
        cluster.append(&some);
        all.extend(some);
        until("it works", || cluster.events() > before);
        let (took, code) = worker.terminate();
        assert_eq!(code, Some(0), "{}", worker.log());
        assert!(took < Duration::from_secs(15), "{took:?}");
        // Every entry that left Redis is in PostgreSQL.
        assert!(cluster.events() + cluster.waiting() >= all.len());
    }
    let _worker = cluster.worker();
    cluster.settled(&all);
}

#[test]
fn what_was_deleted_in_hand_is_let_go() {
    let cluster = Cluster::start();
    let settings = [("WORKER_NAME", "w1"), ("WORKER_CLAIM_SECONDS", "3600")];
    let some: Vec<_> = (1..=10).map(|version| entry("room", 1, version)).collect();
    cluster.append(&some);
    let mut redis = cluster.redis();
    let stream = Cluster::layout().events(Cluster::layout().partition(&some[0].update.room));
    let run = |redis: &mut redis::Connection, words: &[&str]| {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]).query::<redis::Value>(redis).unwrap()
    };
    run(&mut redis, &["XGROUP", "CREATE", &stream, "ledger", "0"]);
    run(&mut redis, &["XREADGROUP", "GROUP", "ledger", "w1", "STREAMS", &stream, ">"]);
    run(&mut redis, &["XTRIM", &stream, "MAXLEN", "4"]);
    let _worker = Worker::start(&cluster, &settings);
    cluster.settled(&some[6..]);
    let pending = || {
        redis::cmd("XPENDING")
            .arg(&stream)
            .arg("ledger")
            .query::<(usize, redis::Value, redis::Value, redis::Value)>(&mut cluster.redis())
            .unwrap()
            .0
    };
    until("nothing is pending", || pending() == 0);
}
