use serde_json::{Value, json, value::to_raw_value};
use tandem::room::Json;

use crate::{
    entries::{entries, entry},
    support::{Cluster, until},
};

fn letters(cluster: &Cluster) -> Vec<Value> {
    let output = cluster.run(&["audit", "dead-letters", "--format", "json"]);
    assert_eq!(output.code, Some(0), "{output:?}");
    serde_json::from_str(&output.stdout).unwrap()
}

#[test]
fn one_that_is_not_taken_keeps_nobody_out() {
    let cluster = Cluster::start();
    // As an auditor might: what they forbid is not taken until they allow it.
    cluster.postgres.sql("ALTER TABLE rooms ADD CONSTRAINT decent CHECK (current_url NOT LIKE '%forbidden%')");
    let mut all = entries(400);
    let mut bad = entry("bad", 1, 1);
    bad.room.url = Some("https://example.org/forbidden".into());
    all.insert(137, bad.clone());
    let text = "not an entry at all";
    let id = cluster.append_text(2, text);
    cluster.append(&all);
    let worker = cluster.worker();
    let good: Vec<_> = all.iter().filter(|entry| **entry != bad).cloned().collect();
    cluster.settled(&good);
    let dead = letters(&cluster);
    assert_eq!(dead.len(), 2, "{dead:#?}");
    let garbage = dead.iter().find(|it| it["payload"] == text).unwrap();
    assert_eq!(
        (garbage["entry_id"].as_str(), garbage["stream"].as_str()),
        (Some(id.as_str()), Some("tandem:{2}:events"))
    );
    let forbidden = dead.iter().find(|it| it["payload"] != text).unwrap();
    assert!(forbidden["error"].as_str().unwrap().contains("decent"), "{forbidden}");
    assert!((worker.metric("tandem_ledger_dead_letters_total") - 2.0).abs() < 0.5);

    for (limit, shown, said) in [("1", 1, true), ("2", 2, false), ("0", 2, false)] {
        let cut = cluster.run(&["audit", "dead-letters", "--format", "json", "--limit", limit]);
        let rows: Vec<Value> = serde_json::from_str(&cut.stdout).unwrap();
        assert_eq!((rows.len(), cut.stderr.contains("--limit 0")), (shown, said), "{limit}: {cut:?}");
    }

    let replay = cluster.run(&["audit", "dead-letters", "replay", "--all"]);
    assert_eq!((replay.code, replay.stdout.trim()), (Some(1), "0 written, 2 refused, 0 not found"), "{replay:?}");
    assert!(replay.stderr.contains("decent") && replay.stderr.contains("no entry"), "{replay:?}");
    assert!(letters(&cluster).iter().all(|it| it["tries"] == 2));

    cluster.postgres.sql("ALTER TABLE rooms DROP CONSTRAINT decent");
    let number = forbidden["id"].to_string();
    let replay = cluster.run(&["audit", "dead-letters", "replay", "--id", &number]);
    assert_eq!((replay.code, replay.stdout.trim()), (Some(0), "1 written, 0 refused, 0 not found"), "{replay:?}");
    assert_eq!(cluster.run(&["audit", "dead-letters", "replay", "--id", &number]).code, Some(1), "it is gone");
    cluster.settled(&all);
    assert_eq!(letters(&cluster).len(), 1);
    for format in ["table", "csv"] {
        let shown = cluster.run(&["audit", "dead-letters", "list", "--format", format]);
        assert!(shown.stdout.contains(text) && shown.stdout.contains("tandem:{2}:events"), "{shown:?}");
    }
}

#[test]
fn numbers_that_no_column_holds_are_dead_letters() {
    let cluster = Cluster::start();
    let mut wide = entry("room", 1, 1);
    wide.events[0].version = u64::MAX;
    let mut late = entry("room", 1, 2);
    late.events[0].at = u64::MAX;
    let good = entry("room", 1, 3);
    cluster.append(&[wide, late, good.clone()]);
    let _worker = cluster.worker();
    cluster.settled(&[good]);
    assert_eq!(letters(&cluster).len(), 2);
}

#[test]
fn a_nul_is_no_reason_to_lose_an_event() {
    let cluster = Cluster::start();
    let mut odd = entry("room", 1, 1);
    odd.room.url = Some("https://example.org/\0".into());
    let data = json!({ "username": "a\0b", "k\0": ["\0"], "harmless": "\\u0000" });
    odd.events[0].data = Json(to_raw_value(&data).unwrap().into());
    cluster.append(&[odd.clone()]);
    let _worker = cluster.worker();
    cluster.settled(&[odd]);
    assert_eq!(letters(&cluster).len(), 0);
    let data: Value = serde_json::from_str(&cluster.postgres.sql("SELECT data FROM room_events")).unwrap();
    assert_eq!(data, json!({ "username": "a\u{FFFD}b", "k\u{FFFD}": ["\u{FFFD}"], "harmless": "\\u0000" }));
    assert_eq!(cluster.postgres.sql("SELECT current_url FROM rooms"), "https://example.org/\u{FFFD}");
}

#[test]
fn events_of_any_month_find_a_table() {
    let mut cluster = Cluster::start();
    // The hourly jobs come right at the start, and drop months that are past it, with what has just been written.
    cluster.set("LEDGER_RETENTION_MONTHS", "0");
    let _worker = cluster.worker();
    let mut all = entries(4);
    for (entry, at) in all.iter_mut().zip(["1970-01-01", "2031-12-31", "2024-02-29", "9000-01-01"]) {
        let at: jiff::Timestamp = format!("{at}T23:59:59Z").parse().unwrap();
        entry.events[0].at = u64::try_from(at.as_millisecond()).unwrap();
    }
    cluster.append(&all);
    cluster.settled(&all);
    until("they have tables", || cluster.postgres.sql("SELECT 1 FROM room_events_9000_01") == "1");
    assert_eq!(letters(&cluster).len(), 0);
}
