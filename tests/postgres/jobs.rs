use jiff::{ToSpan as _, tz::TimeZone};

use crate::{
    entries::{entries, entry},
    support::{Cluster, until},
};

fn table(months: i32) -> String {
    let date = jiff::Timestamp::now().to_zoned(TimeZone::UTC).date().first_of_month() + months.months();
    format!("room_events_{:04}_{:02}", date.year(), date.month())
}

fn tables(cluster: &Cluster) -> String {
    cluster
        .postgres
        .sql("SELECT relname FROM pg_class WHERE relname LIKE 'room\\_events\\_2%' AND relkind = 'r' ORDER BY 1")
}

#[test]
fn months_come_and_go_by_one_worker() {
    let mut cluster = Cluster::start();
    cluster.set("LEDGER_RETENTION_MONTHS", "3");
    for months in [-5, -4, -3, -1] {
        let date = jiff::Timestamp::now().to_zoned(TimeZone::UTC).date().first_of_month() + months.months();
        let next = date + 1.month();
        cluster.postgres.sql(&format!(
            "CREATE TABLE {} PARTITION OF room_events FOR VALUES FROM ('{date} 00:00+00') TO ('{next} 00:00+00')",
            table(months)
        ));
    }
    cluster.postgres.sql("CREATE TABLE room_events_2001_kept (id int)");
    cluster.postgres.sql(
        "INSERT INTO rooms (id, created_at, updated_at, epoch, version, position_at_ms)
         SELECT 'old' || n, now(), now() - interval '8 days', 1, 1, 1 FROM generate_series(1, 6000) n;
         INSERT INTO rooms (id, created_at, updated_at, epoch, version, position_at_ms) VALUES ('new', now(), now() - interval '6 days', 1, 1, 1);
         INSERT INTO users (id, room_id, created_at, updated_at, epoch, version) VALUES ('ana', 'old1', now(), now(), 1, 1), ('ana', 'new', now(), now(), 1, 1)",
    );
    let mut workers = [(); 2].map(|()| cluster.worker());
    until("the next months have tables", || tables(&cluster).contains(&table(2)));
    let wanted: Vec<String> = [-3, -1, 0, 1, 2].map(table).into();
    until("the old months are gone", || {
        let there = tables(&cluster);
        there.lines().filter(|name| !name.ends_with("kept")).eq(&wanted)
    });
    assert!(tables(&cluster).contains("room_events_2001_kept"), "that was not ours");
    until("old rooms are archived", || {
        cluster.postgres.number("SELECT count(*) FROM rooms WHERE archived_at IS NOT NULL") == 6_000
    });
    assert_eq!(cluster.postgres.sql("SELECT room_id FROM users WHERE left_at IS NOT NULL"), "old1");
    for worker in &workers {
        until("it is ready", || worker.is_ready());
    }
    let made = || -> Vec<usize> {
        workers.iter().map(|worker| worker.log().matches("a partition of the ledger was created").count()).collect()
    };
    until("all that was created is told", || made().iter().sum::<usize>() >= 3);
    let made = made();
    assert!(made == [3, 0] || made == [0, 3], "{made:?}");
    let at_work = |worker: &crate::support::Worker| worker.metric("tandem_worker_jobs") > 0.5;
    until("one of them does the jobs", || workers.iter().filter(|worker| at_work(worker)).count() == 1);

    // The other worker takes over from a dead one.
    let busy = workers.iter().position(at_work).unwrap();
    // The table is dropped first: the worker that takes over checks once, and then not for an hour.
    cluster.postgres.sql(&format!("DROP TABLE {}", table(2)));
    workers[busy].kill();
    until("the other does them", || at_work(&workers[1 - busy]));
    until("the table is there again", || tables(&cluster).contains(&table(2)));
}

#[test]
fn a_month_that_is_dropped_is_made_again_for_what_comes_late() {
    let cluster = Cluster::start();
    let worker = cluster.worker();
    until("the tables are there", || tables(&cluster).contains(&table(2)));
    let mut all = entries(10);
    cluster.append(&all);
    cluster.settled(&all);
    cluster.postgres.sql(&format!("DROP TABLE {}", table(0)));
    all = vec![entry("late", 1, 1)];
    cluster.append(&all);
    cluster.settled(&all);
    worker.until_it_says("events belong to months without a partition");
}

#[test]
fn a_long_reader_keeps_an_old_month_but_nobody_waiting() {
    let mut cluster = Cluster::start();
    let mut worker = cluster.worker();
    until("the tables are there", || tables(&cluster).contains(&table(2)));
    worker.kill();
    let old = jiff::Timestamp::now().to_zoned(TimeZone::UTC).date().first_of_month() - 5.months();
    cluster.postgres.sql(&format!(
        "CREATE TABLE {} PARTITION OF room_events FOR VALUES FROM ('{old} 00:00+00') TO ('{} 00:00+00')",
        table(-5),
        old + 1.month()
    ));
    cluster.set("LEDGER_RETENTION_MONTHS", "3");
    let reading =
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(3600)%' AND wait_event = 'PgSleep'";
    let mut reader = cluster.postgres.session("BEGIN; SELECT count(*) FROM room_events; SELECT pg_sleep(3600)");
    until("somebody reads", || cluster.postgres.number(reading) == 1);
    let mut worker = cluster.worker();
    worker.until_it_says("lock timeout");
    let all = entries(10);
    cluster.append(&all);
    cluster.settled(&all);
    assert!(tables(&cluster).contains(&table(-5)) && cluster.postgres.number(reading) == 1);
    reader.kill();
    cluster.postgres.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'");
    // Not in a minute: at once.
    worker.kill();
    let _another = cluster.worker();
    until("the month is gone", || !tables(&cluster).contains(&table(-5)));
}
