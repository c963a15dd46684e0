//! A room in which everything is set goes into a ledger and comes back, twice, in either database.

use std::{collections::BTreeSet, num::NonZero, sync::Arc};

use serde_json::{Value, json, to_value};
use tandem::{
    clock::{Clock, Millis},
    id::{NodeId, UserId},
    ledger::{Entry, RoomRow, Writer, restore},
    room::{
        Ban, Change, Gate, Member, Members, Playback, Policy, Presence, Removal, Room, Timeline, UnknownFields, Update,
        Vacancy,
    },
};

use crate::{
    entries::{digest, member, now, room},
    projection::{block, database},
    support::Cluster,
};

fn user(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}

/// Each field has a value that it has in no new room. Written in full: a new field asks for its value here.
fn full(now: Millis) -> Room {
    let full = Room {
        id: room("room"),
        epoch: now - 3,
        born: NonZero::new(now - 4),
        version: 5,
        pin: Some(digest(4)),
        misses: serde_json::from_value(json!({"count": 1, "last": 2, "open_at": 3})).unwrap(),
        attempts: serde_json::from_value(json!({"whole_at": 4})).unwrap(),
        lineage_hash: 6,
        members: Arc::new(
            ["ana", "ben"].into_iter().zip(7..).map(|(name, order)| (user(name), member(name, order))).collect(),
        ),
        next_order: 9,
        host: Some(user("ana")),
        vacancy: Some(Vacancy { user: user("eve"), origin: Some(digest(5)), until: now + 10 }),
        guest_control: true,
        url: Some("https://example.org/film".into()),
        timeline: Timeline { position: 11.5, playing: true, rate: 1.25, at: now - 12, by: Some(user("ben")) },
        gate: Some(Box::new(Gate { target: 13.5, opened: 14, deadline: 15, waiting: vec![user("ben")], ready: 16 })),
        empty_until: Some(now + 3_600_000),
        kicked: vec![user("eve")],
        pin_guard: serde_json::from_value(json!({"whole_at": 9, "guessers": [], "former": []})).unwrap(),
        locked: true,
        removed: vec![Removal { user: user("eve"), origin: digest(6) }],
        bans: Arc::new(
            [("eve", Some(digest(7)), 1), ("mallory", None, 2)]
                .map(|(name, origin, at)| {
                    (user(name), Ban { user: user(name), username: Some("E".into()), origin, at })
                })
                .into(),
        ),
        unknown: vec![0x18, 0x63, 1].into(),
    };
    assert_all_set(&full, &Room::vacant(room("another")));
    full
}

/// A restored room. Fields that may be lost are listed; all others must be unchanged.
fn come_back(room: &Room, restored: &Room) -> Room {
    Room {
        epoch: restored.epoch,
        born: NonZero::new(room.epoch),
        version: restored.version,
        misses: None,
        attempts: None,
        lineage_hash: 0,
        timeline: Timeline { by: None, ..room.timeline.clone() },
        gate: None,
        kicked: Vec::new(),
        pin_guard: None,
        removed: Vec::new(),
        unknown: UnknownFields::default(),
        ..room.clone()
    }
}

/// Whether no field has the value that it has in another, empty room.
fn assert_all_set(full: &impl serde::Serialize, empty: &impl serde::Serialize) {
    let (full, empty) = (to_value(full).unwrap(), to_value(empty).unwrap());
    for (name, value) in full.as_object().unwrap() {
        assert_ne!(value, &empty[name], "{name} is not set");
    }
}

/// The entry of a commit that changes every field of the room.
fn entry_of(room: &Room, at: Millis) -> Entry {
    let back = |member: &Member| Change::Back { member: member.clone(), was_away: true };
    let Timeline { position, playing, rate, .. } = room.timeline;
    let playback = Playback { position, playing, rate };
    let moved = Change::Corrected { by: UserId::parse("ana").unwrap(), playback };
    let by = UserId::parse("ana").unwrap();
    let ban = |ban: &Ban| Change::Banned { ban: ban.clone(), by: by.clone(), note: None };
    let changes = room.members.values().map(back).chain(room.bans.values().map(ban)).chain([moved]).collect();
    let update = Arc::new(Update { room: room.id.clone(), epoch: room.epoch, base: room.version, at, changes });
    Entry::new(&update, &NodeId::parse("node").unwrap(), room).unwrap()
}

/// The row of a room that was closed.
fn entry_of_nothing() -> Entry {
    let id = room("another");
    let update = Arc::new(Update { room: id.clone(), epoch: 0, base: 0, at: 0, changes: vec![Change::Closed] });
    Entry::new(&update, &NodeId::parse("node").unwrap(), &Room::vacant(id)).unwrap()
}

#[test]
fn in_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let (now, node, policy) = (now(), NodeId::parse("node").unwrap(), Policy::default());
    let there_and_back = |room: &Room| {
        let (writer, journal) = Writer::start(&path, Clock::system()).unwrap();
        journal.append(entry_of(room, now));
        writer.stop();
        let [restored] = restore(&path, &node, &policy, now).unwrap().try_into().unwrap();
        restored
    };
    let room = full(now);
    let restored = there_and_back(&room);
    let presence = Presence::away(now, now + policy.resume_window);
    let away = |member: &Member| Member {
        presence,
        token_before: None,
        token_beside: None,
        grant: None,
        shown_at: None,
        watching: false,
        ..member.clone()
    };
    let members: Members = room.members.iter().map(|(user, member)| (user.clone(), away(member))).collect();
    let members = Arc::new(members);
    // It has members, so it is not empty; and its host is one of them.
    assert_eq!(restored, Room { members, vacancy: None, empty_until: None, ..come_back(&room, &restored) });
    let again = there_and_back(&restored);
    assert_eq!(again, come_back(&restored, &again));
    assert!(again.epoch > restored.epoch && restored.epoch > room.epoch);
}

#[test]
fn in_postgresql() {
    let cluster = Cluster::start();
    let database = database(&cluster);
    let (now, policy) = (now(), Policy::default());
    let there_and_back = |entry: &Entry| {
        let row = block(async {
            database.write(&[entry]).await.unwrap();
            database.recall(&entry.update.room).await.unwrap().unwrap()
        });
        // Bans are rows of their own.
        assert_eq!(row, RoomRow { bans: Arc::clone(&row.bans), ..entry.row() });
        row.into_room(&policy, now).unwrap()
    };
    let room = full(now);
    let entry = entry_of(&room, now);
    assert_all_set(&entry.row(), &entry_of_nothing().row());
    let restored = there_and_back(&entry);
    let ana = room.members.get(&user("ana")).unwrap();
    let vacancy = Vacancy { user: ana.user.clone(), origin: Some(ana.origin), until: now + policy.host_grace };
    let empty = Room { members: Arc::default(), next_order: 0, host: None, vacancy: Some(vacancy), ..room.clone() };
    assert_eq!(restored, come_back(&empty, &restored));
    let again = there_and_back(&entry_of(&restored, now + 1));
    assert_eq!(again, come_back(&restored, &again));
    assert!(again.epoch > restored.epoch && restored.epoch > room.epoch);
    let members = cluster.postgres.sql(
        "SELECT json_agg(users ORDER BY seat_order) FROM (SELECT room_id, id, username, role, seat_order, peer_id, token_digest, origin
         FROM users) AS users",
    );
    let member = |member: &Member| {
        json!({"room_id": "room", "id": member.user, "username": member.username, "role": member.role,
            "seat_order": member.order, "peer_id": member.conn, "token_digest": member.token, "origin": member.origin})
    };
    let wanted: Value = room.members.values().map(member).collect();
    assert_eq!(serde_json::from_str::<Value>(&members).unwrap(), wanted);
}

#[test]
fn both_databases_have_the_same_columns() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    Writer::start(&path, Clock::system()).unwrap().0.stop();
    let sqlite = rusqlite::Connection::open(&path).unwrap();
    let cluster = Cluster::start();
    for (table, only_there) in [
        ("room_events", &[][..]),
        ("rooms", &["film_version", "state_version"]),
        // Entries may come in any order there.
        ("users", &["epoch", "version"]),
        ("room_bans", &[]),
    ] {
        let mut select = sqlite.prepare("SELECT name FROM pragma_table_info(?1)").unwrap();
        let mut here: BTreeSet<String> =
            select.query_map([table], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
        here.extend(only_there.iter().map(ToString::to_string));
        let there = cluster.postgres.sql(&format!(
            "SELECT column_name FROM information_schema.columns WHERE table_schema = 'public' AND table_name = '{table}'"
        ));
        assert_eq!(there.lines().map(str::to_owned).collect::<BTreeSet<_>>(), here, "{table}");
    }
}
