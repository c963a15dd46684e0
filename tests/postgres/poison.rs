use serde_json::{Value, json};
use tandem::{id::UserId, ledger::Entry, room::Change};

use crate::{
    entries::{at, entries, entry, entry_of, member, of_no_version, playback, seated, state, with_url},
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
    // Triggers that reject entries until they are dropped, as an auditor might add them.
    cluster.postgres.sql("ALTER TABLE rooms ADD CONSTRAINT decent CHECK (current_url NOT LIKE '%forbidden%')");
    let mut all = entries(400);
    let bad = with_url(entry("bad", 1, 1), "https://example.org/forbidden");
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
    let wide = of_no_version(entry("room", 1, 1));
    let late = at(entry("room", 1, 2), u64::MAX);
    let good = entry("room", 1, 3);
    cluster.append(&[wide, late, good.clone()]);
    let _worker = cluster.worker();
    cluster.settled(&[good]);
    assert_eq!(letters(&cluster).len(), 2);
}

#[test]
fn a_nul_is_no_reason_to_lose_an_event() {
    let cluster = Cluster::start();
    let (by, url) = (UserId::parse("ana").unwrap(), "https://example.org/\0\\u0000");
    let change = Change::UrlChanged { by, url: url.into(), time: None, playback: playback(1) };
    let odd = with_url(entry_of("room", 1, 1, change, Some(state(1))), url);
    cluster.append(std::slice::from_ref(&odd));
    let _worker = cluster.worker();
    cluster.settled(&[odd]);
    assert_eq!(letters(&cluster).len(), 0);
    let data: Value = serde_json::from_str(&cluster.postgres.sql("SELECT data FROM room_events")).unwrap();
    let tidy = "https://example.org/\u{FFFD}\\u0000";
    assert_eq!(data, json!({ "url": tidy, "currentTime": null }));
    assert_eq!(cluster.postgres.sql("SELECT current_url FROM rooms"), tidy);
}

#[test]
fn events_of_any_month_find_a_table() {
    let mut cluster = Cluster::start();
    // The hourly jobs run right at the start, and drop expired months with what was just written.
    cluster.set("LEDGER_RETENTION_MONTHS", "0");
    let _worker = cluster.worker();
    let mut all = entries(4);
    for (entry, day) in all.iter_mut().zip(["1970-01-01", "2031-12-31", "2024-02-29", "9000-01-01"]) {
        let time: jiff::Timestamp = format!("{day}T23:59:59Z").parse().unwrap();
        *entry = at(entry.clone(), u64::try_from(time.as_millisecond()).unwrap());
    }
    cluster.append(&all);
    cluster.settled(&all);
    until("they have tables", || cluster.postgres.sql("SELECT 1 FROM room_events_9000_01") == "1");
    assert_eq!(letters(&cluster).len(), 0);
}

/// The reason for a rejection, and the room of the rejected entry.
fn refused() -> Vec<(&'static str, Entry)> {
    let of = |name: &'static str| (name, entry(name, 1, 1));
    let mut all: Vec<_> = [
        "raise",
        "own-code",
        "says-permission",
        "says-read-only-file",
        "division",
        "no-table",
        "too-many-rows",
        "no-case",
        "says-deadlock-of-data",
    ]
    .map(of)
    .into();
    let with = |name, change: &dyn Fn(Entry) -> Entry| (name, change(entry(name, 1, 1)));
    let time = |text: &str| u64::try_from(text.parse::<jiff::Timestamp>().unwrap().as_millisecond()).unwrap();
    // Letters without a pattern, which no compression makes small.
    let words: Vec<_> = (0..2_000_u32).map(|n| format!("{:x}", n.wrapping_mul(2_654_435_761))).collect();
    let long = words.concat();
    all.push(with("constraint", &|it| with_url(it, "https://example.org/forbidden")));
    all.push(with("index-row", &|it| with_url(it, &long)));
    all.push(with("foreign-month", &|it| at(it, time("2001-01-05T00:00:00Z"))));
    all.push(with("number", &of_no_version));
    all.push(with("date", &|it| at(it, u64::MAX)));
    let mut member = member("ana", 1);
    member.username = Some("much longer than ten".into());
    all.push(("column", seated("column", 1, 1, member)));
    all
}

const RULES: &str = "
    ALTER TABLE rooms ADD CONSTRAINT decent CHECK (current_url NOT LIKE '%forbidden%');
    CREATE INDEX ON rooms (current_url);
    ALTER TABLE users ALTER username TYPE varchar(10);
    CREATE TABLE theirs PARTITION OF room_events FOR VALUES FROM ('2001-01-15') TO ('2001-01-20');
    CREATE FUNCTION judge() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF NEW.room_id = 'raise' THEN RAISE 'not in my house';
        ELSIF NEW.room_id = 'own-code' THEN RAISE 'ours' USING ERRCODE = 'TD001';
        ELSIF NEW.room_id = 'says-permission' THEN RAISE 'not allowed' USING ERRCODE = '42501';
        ELSIF NEW.room_id = 'says-read-only-file' THEN RAISE 'broken page' USING ERRCODE = 'XX001';
        ELSIF NEW.room_id = 'division' THEN PERFORM 1 / (NEW.version - NEW.version);
        ELSIF NEW.room_id = 'no-table' THEN INSERT INTO nowhere VALUES (1);
        ELSIF NEW.room_id = 'too-many-rows' THEN PERFORM (SELECT * FROM generate_series(1, 2));
        ELSIF NEW.room_id = 'no-case' THEN CASE NEW.room_id WHEN 'x' THEN NULL; END CASE;
        ELSIF NEW.room_id = 'says-deadlock-of-data' THEN RAISE 'of the application' USING ERRCODE = '45000';
        ELSIF NEW.room_id = 'ends-the-session' THEN PERFORM pg_terminate_backend(pg_backend_pid());
        ELSIF NEW.room_id = 'says-outage' THEN RAISE 'no place' USING ERRCODE = '53100';
        ELSIF NEW.room_id = 'sleeps' THEN PERFORM pg_sleep(1000);
        END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER judge BEFORE INSERT ON room_events FOR EACH ROW EXECUTE FUNCTION judge();";

#[test]
fn whatever_refuses_it_poison_never_stops_the_rest() {
    let cluster = Cluster::start();
    cluster.postgres.sql(RULES);
    let good = entries(200);
    let mut all = good.clone();
    for (place, (_, bad)) in refused().into_iter().enumerate() {
        all.insert(place * 11, bad);
    }
    cluster.append(&all);
    // Bytes that are no text.
    let mut redis = cluster.redis();
    redis::cmd("XADD").arg("tandem:{1}:events").arg("*").arg("e").arg(b"\xff\xfe").exec(&mut redis).unwrap();
    let worker = cluster.worker();
    cluster.settled(&good);
    let dead = letters(&cluster);
    for (name, _) in refused() {
        let room = format!("\"room\":\"{name}\"");
        assert!(dead.iter().any(|it| it["payload"].as_str().unwrap().contains(&room)), "{name}: {dead:#?}");
    }
    assert!(dead.iter().any(|it| it["payload"] == "base64://4="), "{dead:#?}");
    assert_eq!(dead.len(), refused().len() + 1);
    assert!(!worker.says("waiting for PostgreSQL"), "none of it is an outage:\n{}", worker.log());
    assert!(worker.is_ready());

    // Each replay reports its reason. Without the triggers all of them are written, whatever their payload is.
    let replay = cluster.run(&["audit", "dead-letters", "replay", "--all"]);
    assert_eq!(replay.code, Some(1), "{replay:?}");
    assert_eq!(letters(&cluster).len(), dead.len());
}

/// These entries always fail with errors that look like an outage. They wait in Redis, and no other entry waits for them.
#[test]
fn what_looks_like_an_outage_but_is_not_stays_in_redis() {
    let mut cluster = Cluster::start();
    cluster.set("POSTGRES_TIMEOUT_SECONDS", "0.3");
    cluster.postgres.sql(RULES);
    let worker = cluster.worker();
    let mut good = Vec::new();
    for name in ["ends-the-session", "says-outage", "sleeps"] {
        let some = entries(4);
        cluster.append(&[&some[..2], &[entry(name, 1, 1)], &some[2..]].concat());
        good.extend(some);
        until(name, || cluster.events() == good.len() && cluster.waiting() == 1);
        assert!(worker.metric("tandem_ledger_set_aside_total") > 0.0);
        until("it is ready", || worker.is_ready());
        // It comes again by itself, and is taken once that can be.
        cluster.postgres.sql("ALTER TABLE room_events DISABLE TRIGGER judge");
        good.push(entry(name, 1, 1));
        until("it is written after all", || cluster.events() == good.len() && cluster.waiting() == 0);
        cluster.postgres.sql("ALTER TABLE room_events ENABLE TRIGGER judge");
    }
    assert_eq!(letters(&cluster).len(), 0);
    assert!(worker.metric("tandem_worker_taken_over_total") < 0.5, "its own entries are not those of another");
}

#[test]
fn a_dead_letter_that_is_refused_itself_stops_nobody() {
    let cluster = Cluster::start();
    cluster.postgres.sql(RULES);
    // As in a database whose encoding lacks these letters.
    cluster
        .postgres
        .sql("ALTER TABLE dead_letters ADD CONSTRAINT plain CHECK (payload ~ '^[ -~]*$' AND payload NOT LIKE '%{%')");
    let worker = cluster.worker();
    let (good, bad) = (entries(50), with_url(entry("raise", 1, 1), "https://example.org/\u{1F3AC}"));
    cluster.append(&[&[bad.clone()][..], &good].concat());
    cluster.settled(&good);
    let dead = letters(&cluster);
    assert!(dead.len() == 1 && dead[0]["payload"].as_str().unwrap().starts_with("base64:"), "{dead:#?}");
    assert!(dead[0]["error"].as_str().unwrap().contains("not in my house"), "{dead:#?}");

    // A trigger that rejects dead letters as well: the entry stays in Redis, is counted and logged, and the rest goes on.
    for sql in [
        "ALTER TABLE dead_letters ADD CONSTRAINT nothing CHECK (error = '') NOT VALID",
        "ALTER TABLE dead_letters RENAME TO away",
    ] {
        cluster.postgres.sql(sql);
        let (more, worse) = (entries(50), entry("own-code", 1, 1));
        let before = (cluster.events(), cluster.waiting());
        cluster.append(&[&[worse][..], &more].concat());
        until("the rest is written", || cluster.events() == before.0 + 50 && cluster.waiting() == before.1 + 1);
        worker.until_it_says("they stay in Redis");
        assert!(worker.metric("tandem_ledger_set_aside_total") > 0.0);
    }
    cluster.postgres.sql("ALTER TABLE away RENAME TO dead_letters; ALTER TABLE dead_letters DROP CONSTRAINT nothing");
    until("they are buried after all", || cluster.waiting() == 0);
    assert_eq!(letters(&cluster).len(), 3);

    // In whatever letters it is kept, it can be written.
    cluster.postgres.sql("ALTER TABLE room_events DISABLE TRIGGER judge");
    let replay = cluster.run(&["audit", "dead-letters", "replay", "--all"]);
    assert_eq!((replay.code, replay.stdout.trim()), (Some(0), "3 written, 0 refused, 0 not found"), "{replay:?}");
    assert_eq!(cluster.postgres.number("SELECT count(*) FROM room_events WHERE room_id IN ('raise', 'own-code')"), 3);
}
