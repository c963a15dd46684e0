use serde_json::{Value, json};
use tandem::room::Member;

use crate::{
    entries::{at, entry, member, seated},
    support::{Cluster, until},
};

#[test]
fn events_are_listed_as_from_sqlite() {
    let cluster = Cluster::start();
    let mut all: Vec<_> = (1..=5).map(|version| entry("room", 1, version)).collect();
    let username = "The \"Ana\", really\nnot";
    let ben = Member { username: Some(username.into()), ..member("ben", 1) };
    let data = json!({ "username": username, "peerId": ben.conn, "host": false });
    // At the time of the one whose place it takes: events are listed by time.
    all[2] = at(seated("room", 1, 3, ben), all[2].update.at);
    all.push(entry("other", 1, 1));
    cluster.append(&all);
    let _worker = cluster.worker();
    cluster.settled(&all);
    let list = |args: &[&str]| -> Vec<Value> {
        let output = cluster.run(&[&["audit", "events", "--format", "json"], args].concat());
        assert_eq!(output.code, Some(0), "{output:?}");
        serde_json::from_str(&output.stdout).unwrap()
    };
    let versions = |args: &[&str]| list(args).iter().map(|it| it["version"].as_u64().unwrap()).collect::<Vec<_>>();
    assert_eq!(versions(&["--room", "room"]), [1, 2, 3, 4, 5]);
    assert_eq!(versions(&["--room", "room", "--limit", "2"]), [4, 5], "the newest, oldest first");
    assert_eq!(versions(&["--user", "ben"]), [3]);
    assert_eq!(versions(&["--type", "user_joined", "--since", "1h"]), [3]);
    assert_eq!(versions(&["--until", "1h"]), [0_u64; 0]);
    assert_eq!(list(&[]).len(), 6);
    let joined = &list(&["--user", "ben"])[0];
    let wanted = &all[2].events()[0];
    assert_eq!(joined["data"], data);
    assert_eq!(joined["id"], wanted.id.to_string());
    assert_eq!((&joined["event_type"], &joined["node_id"]), (&json!("USER_JOINED"), &json!("node")));
    let time: jiff::Timestamp = joined["created_at"].as_str().unwrap().parse().unwrap();
    assert_eq!(u64::try_from(time.as_millisecond()).unwrap(), wanted.at);
    let csv = cluster.run(&["audit", "events", "--user", "ben", "--format", "csv"]).stdout;
    assert!(csv.starts_with("id,created_at,room_id,event_type,user_id,data,epoch,version,node_id\n"), "{csv}");
    assert!(csv.contains(r#"\""Ana\"", really\nnot"#), "{csv}");
    let table = cluster.run(&["audit", "events", "--room", "room"]).stdout;
    assert!(table.contains("USER_JOINED") && table.ends_with("5 events\n"), "{table}");
}

/// The queries of docs/ledger.md by room, by user and by time, on many events.
#[test]
fn each_look_up_uses_an_index() {
    let cluster = Cluster::start();
    let _worker = cluster.worker();
    cluster.append(&[entry("room", 1, 1)]);
    until("there is a table of this month", || cluster.events() == 1);
    cluster.postgres.sql(
        "INSERT INTO room_events (id, room_id, event_type, user_id, data, created_at, epoch, version, node_id)
         SELECT gen_random_uuid(), 'room-' || n % 500, 'SEEK', 'user-' || n % 2000, '{}', now() - interval '1 ms' * (300000 - n), 1, n, 'node'
         FROM generate_series(1, 300000) n",
    );
    cluster.postgres.sql("VACUUM ANALYZE room_events");
    for (conditions, index) in [
        ("room_id = 'room-7'", "pkey"),
        ("room_id = 'room-7' AND created_at >= now() - interval '1 minute'", "pkey"),
        ("user_id = 'user-7'", "user_id_idx"),
        ("user_id = 'user-7' AND created_at >= now() - interval '1 minute'", "user_id_idx"),
        ("created_at >= now() - interval '5 seconds'", "created_at_idx"),
        ("event_type = 'SEEK' AND created_at >= now() - interval '5 seconds'", "created_at_idx"),
    ] {
        let plan = cluster.postgres.sql(&format!(
            "EXPLAIN SELECT * FROM room_events WHERE {conditions} ORDER BY created_at DESC, epoch DESC, version DESC LIMIT 100"
        ));
        assert!(plan.contains(index), "{conditions}:\n{plan}");
        // The other months have no events yet.
        let full = plan.lines().find(|line| line.contains("Seq Scan") && !line.contains("rows=1 "));
        assert_eq!(full, None, "{conditions}:\n{plan}");
    }
    let newest = cluster.run(&["audit", "events", "--limit", "2", "--format", "json"]);
    let rows: Vec<Value> = serde_json::from_str(&newest.stdout).unwrap();
    assert_eq!(rows.iter().map(|it| it["version"].as_u64().unwrap()).collect::<Vec<_>>(), [299_999, 300_000]);
}

#[test]
fn a_missing_schema_is_an_error() {
    let cluster = Cluster::bare();
    let output = cluster.run(&["audit", "events"]);
    assert_eq!(output.code, Some(1));
    assert!(output.stderr.contains("room_events"), "{output:?}");
}
