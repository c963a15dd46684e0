//! Databases that can never be used, or not by this user: reported at once, with a hint.

use crate::support::{Cluster, until};
use tandem_testkit::{postgres::Postgres, process::free_port, redis::Redis};

#[test]
fn a_database_that_is_not_utf8_is_refused_by_everybody() {
    let mut cluster = Cluster::bare();
    for encoding in ["LATIN1", "SQL_ASCII", "EUC_JP", "WIN1252"] {
        let name = encoding.to_lowercase();
        let make = format!("CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0");
        cluster.postgres.sql_in("postgres", &make);
        cluster.set("DATABASE_URL", &format!("postgres://tandem@127.0.0.1:{}/{name}", cluster.postgres.port()));
        cluster.set("TANDEM_SECRET", "the secret of a cluster under test");
        cluster.set("PORT", &free_port().to_string());
        for args in [&["migrate"][..], &["migrate", "--status"], &["worker"], &["serve"]] {
            let output = cluster.run(args);
            assert_eq!(output.code, Some(1), "{args:?}: {output:?}");
            for part in [encoding, "UTF8", &name, "DATABASE_URL"] {
                assert!(output.stderr.contains(part), "{args:?} {part}: {output:?}");
            }
        }
        let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
        assert_eq!(cluster.postgres.sql_in(&name, tables), "0", "nothing was made in it");
    }
}

#[test]
fn what_does_not_pass_by_itself_is_not_waited_for() {
    let postgres = Postgres::start();
    let port = postgres.port();
    postgres.sql_in(
        "postgres",
        "CREATE ROLE secretive LOGIN PASSWORD 'right'; CREATE ROLE outsider LOGIN; CREATE ROLE plain LOGIN",
    );
    postgres.sql_in("postgres", "CREATE DATABASE closed");
    postgres.sql_in("postgres", "REVOKE CONNECT ON DATABASE closed FROM PUBLIC");
    postgres.admit("host all secretive all scram-sha-256\nhost all outsider all reject\nhost all all all trust");
    let mut cluster = Cluster::of(Redis::start(), postgres);
    let at = format!("127.0.0.1:{port}");
    for (url, says, next) in [
        (format!("postgres://tandem@{at}/nowhere"), "\"nowhere\" does not exist", "CREATE DATABASE"),
        (format!("postgres://secretive:wrong@{at}/tandem"), "password authentication failed", "POSTGRES_PASSWORD"),
        (format!("postgres://secretive@{at}/tandem"), "password missing", "POSTGRES_PASSWORD"),
        (format!("postgres://nobody@{at}/tandem"), "\"nobody\" does not exist", "POSTGRES_USER"),
        (format!("postgres://outsider@{at}/tandem"), "pg_hba.conf", "POSTGRES_USER"),
        (format!("postgres://plain@{at}/closed"), "permission denied", "GRANT CONNECT"),
        (format!("postgres://plain@{at}/tandem"), "lacks", "CREATE on the schema public"),
        (format!("postgres://tandem@{at}/tandem?sslmode=require"), "TLS", "does not support"),
        (format!("host=127.0.0.1 port={port} user=tandem dbname=tandem sslmode=require"), "TLS", "does not support"),
    ] {
        cluster.set("DATABASE_URL", &url);
        let output = cluster.run(&["migrate"]);
        assert_eq!(output.code, Some(1), "{url}: {output:?}");
        assert!(output.stderr.contains(says) && output.stderr.contains(next), "{url}: {output:?}");
        let waited = output.stdout.contains("waiting for PostgreSQL") || output.stderr.contains("gave up");
        assert!(!waited && !output.stderr.contains("wrong"), "{url}: {output:?}");
    }
    // A temporary failure is waited for.
    for (url, says) in [
        (format!("postgres://tandem@127.0.0.1:{}/tandem", free_port()), "refused"),
        ("postgres://tandem@nowhere.invalid/tandem".to_owned(), "lookup"),
        (full(&mut cluster), "too many"),
    ] {
        cluster.set("DATABASE_URL", &url);
        let output = cluster.run(&["migrate", "--wait-seconds", "1"]);
        assert_eq!(output.code, Some(1), "{output:?}");
        assert!(output.stderr.contains("gave up after 1 s") && output.stderr.contains(says), "{url}: {output:?}");
    }
}

/// No connection is left for users that are not superusers.
fn full(cluster: &mut Cluster) -> String {
    let postgres = &cluster.postgres;
    postgres.sql_in("postgres", "ALTER ROLE plain CONNECTION LIMIT 0");
    format!("postgres://plain@127.0.0.1:{}/tandem", postgres.port())
}

#[test]
fn a_word_that_libpq_does_not_know_is_refused_wherever_it_stands() {
    let mut cluster = Cluster::bare();
    let fine = cluster.postgres.url();
    for (name, value, code) in [
        ("DATABASE_URL", format!("{fine}?sslmode=maybe"), 1),
        (
            "DATABASE_URL",
            format!("host=127.0.0.1 user=tandem dbname=tandem port={} sslmode=maybe", cluster.postgres.port()),
            1,
        ),
        ("POSTGRES_SSLMODE", "maybe".to_owned(), 64),
        ("PGSSLMODE", "maybe".to_owned(), 64),
    ] {
        cluster.set("DATABASE_URL", &fine);
        cluster.set(name, &value);
        let output = cluster.run(&["migrate"]);
        assert_eq!(output.code, Some(code), "{name}: {output:?}");
        assert!(output.stderr.contains(name) && output.stderr.contains("maybe"), "{name}: {output:?}");
        if name != "DATABASE_URL" {
            cluster.env.remove(name);
        }
    }
    cluster.set("DATABASE_URL", &fine);
    until("it goes on", || cluster.run(&["migrate"]).code == Some(0));
}
