//! `tandem audit forget`: nothing names them any more, and what others did is still there.

use std::sync::Arc;

use serde_json::{Value, json};
use tandem::{
    backend::records::{Codec, LINEAGE, ROOM, encode_lineage, member_field},
    id::{ConnId, UserId},
    ledger::Entry,
    room::{Change, LeftReason, Member, Room},
};

use crate::{
    entries::{entry, entry_of, left, member, now, room, seated, state},
    support::{Cluster, Output, until},
};

const BEN: &str = "ben-7f3a";
/// Somebody else, whose id begins like his.
const BENEDICT: &str = "ben-7f3ab";
const TABLES: [&str; 6] = ["room_events", "rooms", "users", "dead_letters", "erasures", "schema_migrations"];

fn user(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}

fn start() -> Cluster {
    let mut cluster = Cluster::start();
    cluster.set("TANDEM_SECRET", "a secret of this deployment");
    cluster
}

fn forget(cluster: &Cluster, options: &[&str]) -> Output {
    cluster.run(&[&["audit", "forget", "--user", BEN], options].concat())
}

/// The rows of all tables that name him.
fn rows_about_ben(cluster: &Cluster) -> i64 {
    let count = |table: &&str| {
        let is_named =
            format!("{table}::text LIKE '%{BEN}%' AND replace({table}::text, '{BENEDICT}', '') LIKE '%{BEN}%'");
        cluster.postgres.number(&format!("SELECT count(*) FROM {table} WHERE {is_named}"))
    };
    TABLES.iter().map(count).sum()
}

fn kicked(name: &str, version: u64, who: &str, by: &str) -> Entry {
    let reason = LeftReason::Kicked { by: user(by), note: Some("he is rude".into()) };
    let change = Change::Left { user: user(who), conn: ConnId::random(), reason, vacancy: None, empty_until: None };
    entry_of(name, 1, version, change, Some(state(version)))
}

/// Two people in one commit.
fn of_both(name: &str, version: u64) -> Entry {
    let mut both = left(name, 1, version, BEN);
    let renamed = Change::Renamed { user: user("ana"), username: "Ana".into() };
    Arc::make_mut(&mut both.update).changes.push(renamed);
    both
}

#[test]
fn a_person_is_erased_wherever_they_are_and_nobody_else() {
    let cluster = start();
    let mut kick = kicked("film", 3, "cem", BEN);
    kick.state.as_mut().unwrap().host = Some(user(BEN));
    let written = [
        seated("film", 1, 1, member(BEN, 1)),
        seated("film", 1, 2, member(BENEDICT, 2)),
        kick,
        left("other", 1, 1, BEN),
    ];
    cluster.append(&written);
    let mut worker = cluster.worker();
    cluster.settled(&written);
    for name in [BEN, BENEDICT] {
        cluster.append_text(0, &json!({ "no": "entry", "user": name }).to_string());
    }
    cluster.append_text(1, &format!("\u{1}\u{68}{BEN}\u{0}"));
    until("what is no entry is a dead letter", || cluster.postgres.number("SELECT count(*) FROM dead_letters") == 3);
    worker.kill();

    // Nobody empties the queue any more.
    let waiting = [seated("late", 1, 1, member(BEN, 1)), of_both("late", 2), entry("late", 1, 4)];
    cluster.append(&waiting);
    let mut redis = cluster.redis();
    let (inbox, history) =
        (Cluster::layout().inbox(&room("film"), &user(BEN)), Cluster::layout().history(&room("film")));
    let update = Codec::default().encode_update(&written[2].update);
    for (key, value) in [(&inbox, b"{}".to_vec()), (&history, update)] {
        redis::cmd("RPUSH").arg(key).arg(value).exec(&mut redis).unwrap();
    }

    let before = (cluster.events(), rows_about_ben(&cluster), cluster.waiting());
    assert!(before.1 >= 6, "{before:?}");
    let trial = forget(&cluster, &[]);
    assert_eq!(trial.code, Some(0), "{trial:?}");
    assert!(
        trial.stdout.contains(
            "would be erased: 2 events, 1 mentions in events of others, 2 rows of users, 1 of rooms, 2 dead letters"
        ),
        "{trial:?}"
    );
    assert!(trial.stdout.contains("nothing was erased"), "{trial:?}");
    assert_eq!((cluster.events(), rows_about_ben(&cluster), cluster.waiting()), before);

    let done = forget(&cluster, &["--yes", "--wait-seconds", "0"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(rows_about_ben(&cluster), 0, "{done:?}");
    let left_keys = redis::cmd("EXISTS").arg(&inbox).arg(&history).query::<i64>(&mut redis).unwrap();
    assert_eq!((left_keys, cluster.waiting()), (0, 1), "the entry without him waits on");
    let sql = |sql: &str| cluster.postgres.sql(sql);
    assert_eq!(
        sql("SELECT user_id FROM room_events WHERE event_type = 'USERNAME_UPDATED'"),
        "ana",
        "of the same commit"
    );
    assert_eq!(
        sql("SELECT data->>'by' FROM room_events WHERE event_type = 'USER_KICKED' AND data->>'reason' IS NULL"),
        "forgotten"
    );
    assert_eq!(sql(&format!("SELECT count(*) FROM users WHERE id = '{BENEDICT}'")), "1");
    assert_eq!(sql(&format!("SELECT count(*) FROM dead_letters WHERE payload LIKE '%{BENEDICT}%'")), "1");

    let proof: Value = serde_json::from_str(&sql("SELECT erased FROM erasures")).unwrap();
    assert_eq!(
        proof,
        json!({"events": 4, "mentions": 1, "users": 3, "rooms": 1, "deadLetters": 2, "queued": 2, "keys": 2}),
        "{done:?}"
    );
    let subject = sql("SELECT subject FROM erasures");
    assert!(done.stdout.contains(&subject) && subject.len() >= 32, "{done:?}");

    // It is proof for whoever has the secret and the id, and nothing comes back with the worker.
    let _worker = cluster.worker();
    until("the queue is empty", || cluster.waiting() == 0);
    assert_eq!(rows_about_ben(&cluster), 0);
    let again = forget(&cluster, &["--yes"]);
    assert!(
        again.stdout.starts_with("erased before, at 20") && again.stdout.contains("erased: 0 events, 0 mentions"),
        "{again:?}"
    );
}

/// The record of a room with this member and one who was thrown out.
fn put_room(cluster: &Cluster, name: &str, members: &[&str], kicked: &[&str]) {
    let mut all = Room::vacant(room(name));
    all.apply(&Change::Created { epoch: now(), pin: None, by: user("ana") }, now());
    for (order, name) in (1..).zip(members) {
        let member = Member { order, ..member(name, order) };
        all.apply(&Change::Joined { member, host: order == 1 }, now());
    }
    all.kicked = kicked.iter().map(|name| user(name)).collect();
    let codec = Codec::default();
    let mut hash = redis::cmd("HSET");
    hash.arg(Cluster::layout().room(&all.id)).arg("v").arg(all.version).arg("e").arg(all.epoch);
    hash.arg(LINEAGE).arg(encode_lineage(&all)).arg(ROOM).arg(codec.encode_room(&all).unwrap());
    for member in all.members.values() {
        hash.arg(member_field(&member.user)).arg(codec.encode_member(member).unwrap());
    }
    let mut redis = cluster.redis();
    redis::cmd("DEL").arg(Cluster::layout().room(&all.id)).exec(&mut redis).unwrap();
    hash.exec(&mut redis).unwrap();
}

#[test]
fn whoever_has_a_seat_is_not_erased_and_a_room_that_names_them_otherwise_is_told() {
    let cluster = start();
    // Its worker has not written it yet: the room is known from the queue alone.
    cluster.append(&[seated("film", 1, 2, member(BEN, 2))]);
    put_room(&cluster, "film", &["ana", BEN], &[]);
    let refused = forget(&cluster, &["--yes", "--wait-seconds", "0"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(
        refused.stderr.contains("they have a seat in [\"film\"]") && refused.stderr.contains("Nothing was erased"),
        "{refused:?}"
    );
    assert_eq!((cluster.waiting(), cluster.postgres.number("SELECT count(*) FROM erasures")), (1, 0));

    put_room(&cluster, "film", &["ana", BENEDICT], &[BEN]);
    let told = forget(&cluster, &["--yes", "--wait-seconds", "0"]);
    assert_eq!(told.code, Some(0), "{told:?}");
    assert!(told.stderr.contains("the open room \"film\" names them"), "{told:?}");
    assert_eq!((cluster.waiting(), rows_about_ben(&cluster)), (0, 0));
}

#[test]
fn what_it_needs_is_asked_for() {
    let mut cluster = Cluster::start();
    let without = forget(&cluster, &["--yes"]);
    assert_eq!((without.code, without.stderr.contains("TANDEM_SECRET is needed")), (Some(64), true), "{without:?}");
    cluster.set("TANDEM_SECRET", "a secret of this deployment");
    cluster.env.remove("REDIS_URL");
    let without = forget(&cluster, &["--yes"]);
    assert_eq!((without.code, without.stderr.contains("REDIS_URL")), (Some(64), true), "{without:?}");
}

/// The rights that docs/ledger.md lists.
#[test]
fn a_user_with_these_rights_can_do_it() {
    let mut cluster = start();
    cluster.append(&[seated("film", 1, 1, member(BEN, 1)), kicked("film", 2, "cem", BEN)]);
    let mut worker = cluster.worker();
    until("it is written", || cluster.waiting() == 0);
    worker.kill();
    cluster.postgres.sql(
        "CREATE ROLE clerk LOGIN PASSWORD 'x';
         GRANT SELECT, UPDATE, DELETE ON room_events TO clerk; GRANT SELECT, UPDATE ON rooms TO clerk;
         GRANT SELECT, DELETE ON users, room_bans, dead_letters TO clerk; GRANT SELECT, INSERT ON erasures TO clerk;",
    );
    let url = cluster.env["DATABASE_URL"].clone();
    let (scheme, rest) = url.split_once("://").unwrap();
    let host = rest.split_once('@').map_or(rest, |(_, host)| host);
    cluster.set("DATABASE_URL", &format!("{scheme}://clerk:x@{host}"));
    let done = forget(&cluster, &["--yes"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(rows_about_ben(&cluster), 0);
}
