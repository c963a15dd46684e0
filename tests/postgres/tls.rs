use crate::{
    entries::entries,
    support::{Cluster, until},
};
use tandem_testkit::{postgres::Postgres, redis::Redis};

#[test]
fn the_server_proves_who_it_is() {
    let postgres = Postgres::with_tls();
    let (port, ca) = (postgres.port(), postgres.ca());
    let mut cluster = Cluster::of(Redis::start(), postgres);
    let url = |host: &str, mode: &str| format!("postgres://tandem@{host}:{port}/tandem?sslmode={mode}");
    let migrate = |cluster: &Cluster| cluster.run(&["migrate", "--wait-seconds", "0"]);

    cluster.set("DATABASE_URL", &url("localhost", "disable"));
    assert_eq!(migrate(&cluster).code, Some(1), "the server takes TLS only");
    cluster.set("DATABASE_URL", &url("localhost", "verify-full"));
    let unknown = migrate(&cluster);
    assert_eq!(unknown.code, Some(1));
    assert!(unknown.stderr.contains("UnknownIssuer"), "{unknown:?}");
    cluster.set("POSTGRES_CA_FILE", &ca);
    cluster.set("DATABASE_URL", &url("127.0.0.1", "verify-full"));
    let other = migrate(&cluster);
    assert_eq!(other.code, Some(1), "the certificate is for localhost");
    assert!(other.stderr.contains("not valid for name"), "{other:?}");
    cluster.set("DATABASE_URL", &url("localhost", "verify-full"));
    let fine = migrate(&cluster);
    assert_eq!(fine.code, Some(0), "{fine:?}");

    let worker = cluster.worker();
    let all = entries(200);
    cluster.append(&all);
    cluster.settled(&all);
    until("it is ready", || worker.is_ready());
    assert_eq!(
        cluster.postgres.sql(
            "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'tandem'"
        ),
        "t"
    );

    cluster.env.remove("POSTGRES_CA_FILE");
    for mode in ["require", "prefer"] {
        cluster.set("DATABASE_URL", &url("127.0.0.1", mode));
        assert_eq!(migrate(&cluster).code, Some(0), "{mode} only encrypts");
    }
    cluster.set("DATABASE_URL", &url("localhost", "verify-full"));
    cluster.set("POSTGRES_CA_FILE", "/nowhere.pem");
    assert!(migrate(&cluster).stderr.contains("POSTGRES_CA_FILE"), "it names the setting");
}
