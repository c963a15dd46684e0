use std::process::Stdio;

use crate::support::{Cluster, until};
use tandem_testkit::postgres::Postgres;

fn rows(cluster: &Cluster) -> i64 {
    cluster.postgres.number("SELECT count(*) FROM schema_migrations")
}

/// How many there are: a new one changes no test.
fn migrations() -> i64 {
    let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/schema/postgres")).unwrap();
    i64::try_from(folder.count()).unwrap()
}

#[test]
fn five_at_once_do_it_once() {
    let cluster = Cluster::bare();
    assert_eq!(cluster.run(&["migrate", "--status"]).code, Some(1), "something is pending");
    let mut children: Vec<_> = (0..5)
        .map(|_| cluster.command(&["migrate"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
        .collect();
    let mut applied = 0;
    for child in children.drain(..) {
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        applied += said.matches("\"msg\":\"applied\"").count();
    }
    assert_eq!(i64::try_from(applied).unwrap(), rows(&cluster));
    let status = cluster.run(&["migrate", "--check"]);
    assert_eq!(status.code, Some(0));
    assert!(status.stdout.contains("applied  0001_ledger") && !status.stdout.contains("pending"), "{status:?}");
}

#[test]
fn they_wait_for_each_other() {
    let cluster = Cluster::bare();
    // The lock of another process that migrates.
    let other = cluster.postgres.session("SELECT pg_advisory_lock(x'74616e64656d0001'::bigint), pg_sleep(1000)");
    let held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted";
    until("it is held", || cluster.postgres.number(held) == 1);
    let waiting = cluster.command(&["migrate"]).stdout(Stdio::piped()).spawn().unwrap();
    until("it has come", || {
        cluster.postgres.number("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'tandem'") > 0
    });
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert_eq!(
        cluster.postgres.sql("SELECT to_regclass('rooms') IS NULL AND to_regclass('schema_migrations') IS NULL"),
        "t"
    );
    cluster.postgres.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'psql' AND query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()");
    assert!(waiting.wait_with_output().unwrap().status.success());
    assert_eq!(rows(&cluster), migrations());
    drop(other);
}

#[test]
fn drift_is_refused() {
    let cluster = Cluster::start();
    cluster.postgres.sql("UPDATE schema_migrations SET checksum = 'other' WHERE number = 1");
    for args in [&["migrate"][..], &["migrate", "--status"]] {
        let output = cluster.run(args);
        assert_eq!(output.code, Some(1));
        assert!(output.stderr.contains("0001_ledger") && output.stderr.contains("drifted"), "{output:?}");
    }
}

#[test]
fn an_older_binary_is_refused() {
    let cluster = Cluster::start();
    cluster.postgres.sql("INSERT INTO schema_migrations VALUES (9999, '9999_later', 'x')");
    let output = cluster.run(&["migrate"]);
    assert_eq!(output.code, Some(1));
    assert!(output.stderr.contains("9999_later") && output.stderr.contains("older"), "{output:?}");
}

#[test]
fn it_waits_for_the_database_but_not_for_ever() {
    let mut cluster = Cluster::bare();
    cluster.postgres.stop();
    let gave_up = cluster.run(&["migrate", "--wait-seconds", "1"]);
    assert_eq!(gave_up.code, Some(1));
    assert!(gave_up.stderr.contains("gave up after 1 s"), "{gave_up:?}");
    assert_eq!(gave_up.stdout.matches("waiting for PostgreSQL").count(), 1, "{gave_up:?}");
    let waiting = cluster.command(&["migrate"]).stdout(Stdio::piped()).spawn().unwrap();
    cluster.postgres.restart();
    assert!(waiting.wait_with_output().unwrap().status.success());
    assert_eq!(rows(&cluster), migrations());
}

#[test]
fn settings_are_needed() {
    let mut cluster = Cluster::of(tandem_testkit::redis::Redis::start(), Postgres::start());
    cluster.env.remove("DATABASE_URL");
    assert_eq!(cluster.run(&["migrate"]).code, Some(64));
    assert_eq!(cluster.run(&["worker"]).code, Some(64));
    assert_eq!(cluster.run(&["audit", "dead-letters"]).code, Some(64));
    // In parts it is as good.
    cluster.set("POSTGRES_HOST", "127.0.0.1");
    let port = cluster.postgres.port().to_string();
    cluster.set("POSTGRES_PORT", &port);
    assert_eq!(cluster.run(&["migrate"]).code, Some(0));
    cluster.env.remove("REDIS_URL");
    assert_eq!(cluster.run(&["worker"]).code, Some(64));
}
