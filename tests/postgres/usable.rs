//! A database that cannot be used for a while, though it answers: nothing is lost, `/ready` says so and why, and nobody has to cut or
//! restart anything when it is over.

use serde_json::Value;

use crate::{
    entries::entries,
    support::{Cluster, Worker, until},
};

fn why(worker: &Worker) -> String {
    let (status, body) = worker.get("/ready");
    let body: Value = serde_json::from_str(&body).unwrap();
    assert!(status != 200 || body["why"].is_null(), "{body}");
    body["why"].as_str().unwrap_or_default().to_owned()
}

/// Each case makes PostgreSQL unusable, with the message of the worker, and undoes it.
#[test]
fn what_passes_is_told_and_leaves_no_trace() {
    type Act<'a> = &'a dyn Fn(&Cluster);
    let postgres_only = "host all all all trust";
    let in_postgres = |sql: &'static str| move |cluster: &Cluster| drop(cluster.postgres.sql_in("postgres", sql));
    let cases: [(&str, Act<'_>, Act<'_>); 6] = [
        (
            "read-only",
            &in_postgres("ALTER DATABASE tandem SET default_transaction_read_only = on"),
            &in_postgres("ALTER DATABASE tandem RESET default_transaction_read_only"),
        ),
        (
            "password",
            &|cluster| {
                cluster.postgres.sql_in("postgres", "ALTER ROLE tandem PASSWORD 'changed'");
                cluster.postgres.admit("host all all all scram-sha-256");
            },
            &|cluster| cluster.postgres.admit(postgres_only),
        ),
        ("pg_hba.conf", &|cluster| cluster.postgres.admit("host all all all reject"), &|cluster| {
            cluster.postgres.admit(postgres_only);
        }),
        (
            "not currently accepting connections",
            &in_postgres("ALTER DATABASE tandem ALLOW_CONNECTIONS false"),
            &in_postgres("ALTER DATABASE tandem ALLOW_CONNECTIONS true"),
        ),
        (
            "does not exist",
            &in_postgres("ALTER DATABASE tandem RENAME TO away"),
            &in_postgres("ALTER DATABASE away RENAME TO tandem"),
        ),
        (
            "run `tandem migrate`",
            &|cluster| drop(cluster.postgres.sql("ALTER TABLE schema_migrations RENAME TO away")),
            &|cluster| drop(cluster.postgres.sql("ALTER TABLE away RENAME TO schema_migrations")),
        ),
    ];
    let cluster = Cluster::start();
    let worker = cluster.worker();
    until("it is ready", || worker.is_ready());
    let mut all = Vec::new();
    for (says, takes_away, gives_back) in cases {
        println!("{says}");
        if says == "does not exist" {
            // A database in use cannot be renamed, so new connections are refused meanwhile.
            cluster.postgres.sql_in("postgres", "ALTER DATABASE tandem ALLOW_CONNECTIONS false");
            until("nobody is in it", || {
                cluster.postgres.cut();
                cluster.postgres.sql_in("postgres", "SELECT count(*) FROM pg_stat_activity WHERE datname = 'tandem'")
                    == "0"
            });
        }
        takes_away(&cluster);
        cluster.postgres.cut();
        let some = entries(100);
        cluster.append(&some);
        all.extend(some);
        until(says, || why(&worker).contains(says));
        gives_back(&cluster);
        if says == "does not exist" {
            cluster.postgres.sql_in("postgres", "ALTER DATABASE tandem ALLOW_CONNECTIONS true");
        }
        until("it is ready", || worker.is_ready());
        cluster.settled(&all);
        assert_eq!(cluster.postgres.number("SELECT count(*) FROM dead_letters"), 0, "{says}");
    }
}

#[test]
fn a_standby_is_said_to_be_one_and_used_once_it_is_promoted() {
    let cluster = Cluster::start();
    let worker = cluster.worker();
    until("it is ready", || worker.is_ready());
    let mut cluster = cluster;
    cluster.postgres.demote();
    let all = entries(100);
    cluster.append(&all);
    until("it says so", || why(&worker).contains("standby"));
    cluster.postgres.sql_in("postgres", "SELECT pg_promote()");
    until("it is ready", || worker.is_ready());
    cluster.settled(&all);
}

#[test]
fn each_right_that_is_missing_is_named() {
    let mut cluster = Cluster::start();
    cluster.postgres.sql(
        "CREATE ROLE clerk LOGIN; CREATE ROLE owner; GRANT owner TO clerk;
         REVOKE USAGE ON SCHEMA public FROM PUBLIC; GRANT USAGE ON SCHEMA public TO owner",
    );
    cluster.postgres.sql("REVOKE owner FROM clerk");
    cluster.set("DATABASE_URL", &format!("postgres://clerk@127.0.0.1:{}/tandem", cluster.postgres.port()));
    let all = entries(100);
    cluster.append(&all);
    let worker = cluster.worker();
    until("the schema is missing", || why(&worker).contains("USAGE on a schema"));
    cluster.postgres.sql("GRANT USAGE ON SCHEMA public TO clerk");
    let needed = [
        ("CREATE on the schema public", "CREATE ON SCHEMA public"),
        ("SELECT on the table room_events", "SELECT ON room_events"),
        ("SELECT on the table rooms", "SELECT ON rooms"),
        ("SELECT on the table users", "SELECT ON users"),
        ("SELECT on the table room_bans", "SELECT ON room_bans"),
        ("SELECT on the table dead_letters", "SELECT ON dead_letters"),
        ("SELECT on the table schema_migrations", "SELECT ON schema_migrations"),
        ("INSERT on the table room_events", "INSERT ON room_events"),
        ("INSERT on the table rooms", "INSERT ON rooms"),
        ("INSERT on the table users", "INSERT ON users"),
        ("INSERT on the table room_bans", "INSERT ON room_bans"),
        ("INSERT on the table dead_letters", "INSERT ON dead_letters"),
        ("UPDATE on the table rooms", "UPDATE ON rooms"),
        ("UPDATE on the table users", "UPDATE ON users"),
        ("UPDATE on the table room_bans", "UPDATE ON room_bans"),
        ("DELETE on the table room_bans", "DELETE ON room_bans"),
    ];
    let owner = "ownership of the table room_events";
    until("all are named", || {
        let said = why(&worker);
        said.contains("clerk") && said.contains(owner) && needed.iter().all(|(right, _)| said.contains(right))
    });
    for (right, grant) in needed {
        cluster.postgres.sql(&format!("GRANT {grant} TO clerk"));
        until(right, || !why(&worker).contains(right));
    }
    until("only that is left", || why(&worker).contains(&format!("lacks: {owner};")));
    cluster.postgres.sql("ALTER TABLE room_events OWNER TO clerk");
    until("it is ready", || worker.is_ready());
    cluster.settled(&all);

    // While it runs, too.
    cluster.postgres.sql("REVOKE INSERT ON rooms FROM clerk");
    let more = entries(100);
    cluster.append(&more);
    until("it is noticed", || why(&worker).contains("lacks: INSERT on the table rooms;"));
    cluster.postgres.sql("GRANT INSERT ON rooms TO clerk");
    until("it is ready", || worker.is_ready());
    let all: Vec<_> = all.into_iter().chain(more).collect();
    cluster.settled(&all);
    assert_eq!(cluster.postgres.number("SELECT count(*) FROM dead_letters"), 0, "no outage is poison");
}
