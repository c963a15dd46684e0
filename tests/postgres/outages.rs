use std::time::Duration;

use tandem::ledger::Entry;

use crate::{
    entries::entries,
    support::{Cluster, Worker, until},
};
use tandem_testkit::{faketime::Faketime, postgres::Postgres, redis::Redis};

fn ready() -> (Cluster, crate::support::Worker) {
    let cluster = Cluster::start();
    let worker = cluster.worker();
    until("it is ready", || worker.is_ready());
    (cluster, worker)
}

/// Appends for a while.
fn append_for(cluster: &Cluster, seconds: u64, all: &mut Vec<Entry>) {
    for _ in 0..seconds * 5 {
        let some = entries(100);
        cluster.append(&some);
        all.extend(some);
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn postgres_stops_for_some_seconds() {
    let (mut cluster, worker) = ready();
    let mut all = Vec::new();
    append_for(&cluster, 1, &mut all);
    cluster.postgres.stop();
    append_for(&cluster, 4, &mut all);
    until("it is not ready", || !worker.is_ready());
    until("the breaker is open", || worker.metric("tandem_worker_breaker") == 2.0);
    assert!(worker.metric("tandem_ledger_retries_total") > 0.0);
    cluster.postgres.restart();
    cluster.settled(&all);
    until("it is ready", || worker.is_ready());
    assert_eq!(worker.metric("tandem_worker_breaker"), 0.0);
    assert_eq!(cluster.postgres.number("SELECT count(*) FROM dead_letters"), 0);
    worker.until_it_says("PostgreSQL can be used again");
}

#[test]
fn postgres_is_killed() {
    let (mut cluster, _worker) = ready();
    let mut all = Vec::new();
    append_for(&cluster, 1, &mut all);
    cluster.postgres.kill();
    append_for(&cluster, 1, &mut all);
    cluster.postgres.restart();
    append_for(&cluster, 1, &mut all);
    cluster.settled(&all);
}

#[test]
fn postgres_hangs() {
    let (cluster, worker) = ready();
    let mut all = Vec::new();
    append_for(&cluster, 1, &mut all);
    cluster.postgres.pause();
    append_for(&cluster, 5, &mut all);
    until("it notices", || worker.metric("tandem_ledger_retries_total") > 0.0);
    assert_eq!(worker.get("/health").0, 200);
    cluster.postgres.resume();
    cluster.settled(&all);
    assert_eq!(cluster.postgres.number("SELECT count(*) FROM dead_letters"), 0);
}

#[test]
fn it_stops_while_postgres_hangs() {
    let (cluster, mut worker) = ready();
    cluster.postgres.pause();
    let all = entries(100);
    cluster.append(&all);
    until("it notices", || worker.metric("tandem_ledger_retries_total") > 0.0);
    let (took, code) = worker.terminate();
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(15), "{took:?}");
    cluster.postgres.resume();
    let _worker = cluster.worker();
    cluster.settled(&all);
}

#[test]
fn redis_comes_back_empty() {
    let (mut cluster, worker) = ready();
    let mut all = entries(500);
    cluster.append(&all);
    cluster.settled(&all);
    cluster.redis.kill();
    until("it is not ready", || !worker.is_ready());
    cluster.redis.restart_empty();
    let more = entries(500);
    cluster.append(&more);
    all.extend(more);
    cluster.settled(&all);
    until("it is ready", || worker.is_ready());
}

#[test]
fn the_group_is_lost_while_the_connection_lives() {
    let (cluster, worker) = ready();
    let mut redis = cluster.redis();
    redis::cmd("FLUSHALL").exec(&mut redis).unwrap();
    let all = entries(500);
    cluster.append(&all);
    cluster.settled(&all);
    worker.until_it_says("it was created again");
}

#[test]
fn redis_hangs() {
    let (cluster, worker) = ready();
    let all = entries(5_000);
    cluster.append(&all);
    cluster.redis.pause();
    worker.until_it_says("waiting for Redis");
    cluster.redis.resume();
    cluster.settled(&all);
}

#[test]
fn the_alarm_is_sounded() {
    let mut cluster = Cluster::bare();
    cluster.set("LEDGER_STREAM_MAX", "1000");
    assert_eq!(cluster.run(&["migrate"]).code, Some(0));
    let worker = cluster.worker();
    until("it is ready", || worker.is_ready());
    cluster.postgres.stop();
    cluster.append(&entries(1_200));
    worker.until_it_says("\"the ledger lags\"");
    assert!(worker.metric("tandem_ledger_stream_length") > 1_000.0);
    until("it gets older", || worker.metric("tandem_ledger_lag_seconds") > 1.0);
}

/// At the default settings the bytes are used up long before the entries.
#[test]
fn the_alarm_goes_by_bytes_too() {
    let mut cluster = Cluster::bare();
    cluster.set("LEDGER_STREAM_BYTES", "1048576");
    assert_eq!(cluster.run(&["migrate"]).code, Some(0));
    let worker = cluster.worker();
    until("it is ready", || worker.is_ready());
    cluster.postgres.stop();
    cluster.append(&entries(8_000));
    worker.until_it_says("\"the ledger lags");
    let log = worker.log();
    let line = log.lines().find(|line| line.contains("the ledger lags")).unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["most_bytes"], 1_048_576, "{line}");
    assert!(line["bytes"].as_u64().unwrap() > 104_857, "{line}");
    assert!(line["length"].as_u64().unwrap() * 10 < line["most"].as_u64().unwrap(), "{line}");
}

/// Redis dates entries: a wrong clock of the worker must neither delay nor hurry them.
#[test]
fn how_late_a_worker_is_does_not_depend_on_its_clock() {
    let mut cluster = Cluster::bare();
    assert_eq!(cluster.run(&["migrate"]).code, Some(0));
    let clocks = [Faketime::ahead(3 * 3_600), Faketime::ahead(-3 * 3_600)];
    let workers: Vec<Worker> = clocks
        .iter()
        .map(|clock| {
            let env = clock.env();
            Worker::start(&cluster, &env.each_ref().map(|(key, value)| (*key, value.as_str())))
        })
        .collect();
    for worker in &workers {
        until("it is ready", || worker.is_ready());
    }
    cluster.postgres.stop();
    let begun = std::time::Instant::now();
    cluster.append(&entries(10));
    for worker in &workers {
        until("it gets older", || worker.metric("tandem_ledger_lag_seconds") > 1.0);
        let lag = worker.metric("tandem_ledger_lag_seconds");
        assert!(lag <= begun.elapsed().as_secs_f64() + 0.1, "{lag}");
    }
}

#[test]
fn a_worker_with_fewer_partitions_than_the_nodes_says_so_and_ends() {
    let (cluster, mut worker) = ready();
    let partitions = Cluster::layout().partitions();
    let tell = |partitions: u16| {
        let mut set = redis::cmd("SET");
        set.arg(Cluster::layout().deployment()).arg(format!("{partitions}:fingerprint"));
        set.query::<()>(&mut cluster.redis()).unwrap();
    };
    tell(partitions);
    std::thread::sleep(Duration::from_secs(5));
    assert!(worker.is_ready(), "it fits");
    tell(partitions * 4);
    worker.until_it_says("another REDIS_PARTITIONS");
    let (_, code) = worker.terminate();
    assert_eq!(code, Some(1));
}

/// A worker that comes for the first time, when Redis has no room for anything: neither for its group, nor for a transaction.
#[test]
fn a_redis_that_is_full_is_drained_by_a_worker_that_was_never_there() {
    let mut cluster = Cluster::of(
        Redis::with(&[
            "--save",
            "",
            "--appendonly",
            "no",
            "--maxmemory",
            "16777216",
            "--maxmemory-policy",
            "noeviction",
        ]),
        Postgres::start(),
    );
    cluster.set("WORKER_BATCH", "100");
    assert_eq!(cluster.run(&["migrate"]).code, Some(0));
    let all = entries(1_000);
    cluster.append(&all);
    let mut redis = cluster.redis();
    for size in [100_000, 1_000, 1] {
        let filled = (0_u32..).find_map(|number| {
            let key = format!("foreign:{size}:{number}");
            redis::cmd("SET").arg(key).arg("x".repeat(size)).exec(&mut redis).err()
        });
        assert_eq!(filled.unwrap().code(), Some("OOM"));
    }
    let worker = cluster.worker();
    cluster.settled(&all);
    until("it is ready", || worker.is_ready());
}
