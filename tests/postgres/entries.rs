//! Entries as nodes write them.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json, value::to_raw_value};
use tandem::{
    clock::Millis,
    id::{ConnId, NodeId, RoomId, UserId},
    ledger::{Entry, Event, EventType, RoomRow},
    room::{Digest, Json, Member, Presence, Role, UnknownFields},
};
use uuid::Uuid;

pub fn now() -> Millis {
    u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap()
}

pub fn room(name: &str) -> RoomId {
    RoomId::parse(name).unwrap()
}

pub fn digest(byte: u8) -> Digest {
    Digest::new([byte; 32])
}

/// The room as it is at a version: its position says which.
pub fn row(name: &str, epoch: u64, version: u64) -> RoomRow {
    RoomRow {
        id: room(name),
        epoch,
        version,
        host: UserId::parse("ana").ok(),
        host_origin: Some(digest(1)),
        url: Some(format!("https://example.org/{version}").into()),
        position: version as f64 + 0.1,
        playing: true,
        rate: 1.25,
        position_at: now() - 5,
        guest_control: true,
        pin: Some(digest(2)),
        empty_until: None,
        archived: false,
        at: now(),
    }
}

pub fn event(name: &str, epoch: u64, version: u64, kind: EventType, user: &str, data: &Value) -> Event {
    let at = now();
    Event {
        id: Uuid::now_v7(),
        room: room(name),
        kind,
        user: user.into(),
        data: Json(to_raw_value(data).unwrap().into()),
        at,
        epoch,
        version,
        node: NodeId::parse("node").unwrap(),
    }
}

/// A commit with one event.
pub fn entry(name: &str, epoch: u64, version: u64) -> Entry {
    let data = json!({ "currentTime": version, "isPlaying": true, "eventTimestamp": 1 });
    Entry {
        events: vec![event(name, epoch, version, EventType::Seek, "ana", &data)],
        room: row(name, epoch, version),
        seats: Vec::new(),
    }
}

/// Commits of several rooms, in turns.
pub fn entries(count: u64) -> Vec<Entry> {
    // Not the same rooms as before.
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let first = NEXT.fetch_add(count, Ordering::Relaxed);
    (first..first + count).map(|number| entry(&format!("room-{}", number % 50), 1, number)).collect()
}

pub fn member(user: &str, order: u64) -> Member {
    Member {
        user: UserId::parse(user).unwrap(),
        username: Some(format!("The {user}").into()),
        role: Role::CoHost,
        conn: ConnId::random(),
        node: NodeId::parse("node").unwrap(),
        origin: digest(3),
        token: Some(digest(4)),
        token_before: None,
        token_beside: None,
        presence: Presence::Present,
        order,
        watching: false,
        unknown: UnknownFields::default(),
    }
}

pub fn closed(name: &str, epoch: u64, version: u64) -> Entry {
    let empty = RoomRow {
        host: None,
        host_origin: None,
        url: None,
        position: 0.0,
        playing: false,
        position_at: 0,
        pin: None,
        archived: true,
        ..row(name, epoch, version)
    };
    Entry {
        events: vec![event(name, epoch, version, EventType::RoomClosed, "server", &json!({}))],
        room: empty,
        seats: Vec::new(),
    }
}

pub fn with_seat(mut entry: Entry, member: Member) -> Entry {
    entry.seats.push(member);
    entry
}

pub fn left(name: &str, epoch: u64, version: u64, user: &str) -> Entry {
    let data = json!({ "reason": "left" });
    Entry { events: vec![event(name, epoch, version, EventType::UserLeft, user, &data)], ..entry(name, epoch, version) }
}
