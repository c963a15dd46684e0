//! Behind PgBouncer as it comes, which refuses start-up options as RDS Proxy and Neon do.

use crate::{
    entries::entries,
    support::{Cluster, until},
};
use tandem_testkit::{pgbouncer::PgBouncer, postgres::Postgres, redis::Redis};

#[test]
fn a_pooler_that_refuses_options_is_no_obstacle() {
    let postgres = Postgres::start();
    let pooler = PgBouncer::start(&postgres);
    let mut cluster = Cluster::of(Redis::start(), postgres);
    cluster.set("DATABASE_URL", &pooler.url());
    let migrated = cluster.run(&["migrate", "--wait-seconds", "0"]);
    assert_eq!(migrated.code, Some(0), "{migrated:?}");
    let worker = cluster.worker();
    let all = entries(500);
    cluster.append(&all);
    cluster.settled(&all);
    until("it is ready", || worker.is_ready());
    until("one does the jobs", || worker.metric("tandem_worker_jobs") == 1.0);
    let audit = cluster.run(&["audit", "events", "--limit", "0", "--format", "json"]);
    assert_eq!(audit.code, Some(0), "{audit:?}");

    // The statement deadline applies: a lock held by another session does not block a batch for ever.
    let other = cluster.postgres.session("BEGIN; LOCK TABLE rooms; SELECT pg_sleep(1000)");
    until("the table is locked", || {
        cluster.postgres.number("SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted AND relation = 'rooms'::regclass") == 1
    });
    let more = entries(10);
    cluster.append(&more);
    worker.until_it_says("statement timeout");
    cluster.postgres.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'psql' AND pid <> pg_backend_pid()");
    drop(other);
    let all: Vec<_> = all.into_iter().chain(more).collect();
    cluster.settled(&all);
    assert_eq!(cluster.postgres.number("SELECT count(*) FROM dead_letters"), 0, "slow is not wrong");
}
