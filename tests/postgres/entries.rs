//! Entries as nodes write them.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tandem::{
    clock::Millis,
    id::{ConnId, NodeId, RoomId, UserId},
    ledger::{Entry, Film, RoomState},
    room::{Change, Digest, LeftReason, Member, Playback, Presence, Role, Timeline, UnknownFields, Update},
};

pub fn now() -> Millis {
    u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap()
}

pub fn room(name: &str) -> RoomId {
    RoomId::parse(name).unwrap()
}

pub fn digest(byte: u8) -> Digest {
    Digest::new([byte; 32])
}

/// Where the film is at a version: its position says which.
pub fn playback(version: u64) -> Playback {
    Playback { position: version as f64 + 0.1, playing: true, rate: 1.25 }
}

fn timeline(version: u64) -> Timeline {
    playback(version).timeline(now() - 5, &UserId::parse("ana").unwrap())
}

/// The room as it is at a version.
pub fn state(version: u64) -> RoomState {
    RoomState {
        host: UserId::parse("ana").ok(),
        host_origin: Some(digest(1)),
        url: Some(format!("https://example.org/{version}").into()),
        guest_control: true,
        pin: Some(digest(2)),
        empty_until: None,
        locked: true,
        film: Film::from(&timeline(version)),
    }
}

/// A commit of one change that leads to a version.
pub fn entry_of(name: &str, epoch: u64, version: u64, change: Change, state: Option<RoomState>) -> Entry {
    let (room, base) = (room(name), version - 1);
    Entry {
        node: NodeId::parse("node").unwrap(),
        update: Arc::new(Update { room, epoch, base, at: now(), changes: vec![change] }),
        payloads: Vec::new(),
        state: state.map(Box::new),
        seats: Vec::new(),
    }
}

/// A commit with one event, which moves the film.
pub fn film(name: &str, epoch: u64, version: u64) -> Entry {
    let by = UserId::parse("ana").unwrap();
    let change = Change::Sought { by, event: Some(1.0), playback: playback(version), gate: None };
    entry_of(name, epoch, version, change, None)
}

/// A commit with one event, with the room after it.
pub fn entry(name: &str, epoch: u64, version: u64) -> Entry {
    let state = state(version);
    Entry { state: Some(Box::new(state)), ..film(name, epoch, version) }
}

/// The same with another url.
pub fn with_url(mut entry: Entry, url: &str) -> Entry {
    entry.state.as_mut().unwrap().url = Some(url.into());
    entry
}

/// The same at another time.
pub fn at(mut entry: Entry, at: Millis) -> Entry {
    Arc::make_mut(&mut entry.update).at = at;
    entry
}

/// The same with a version that no column holds.
pub fn of_no_version(mut entry: Entry) -> Entry {
    Arc::make_mut(&mut entry.update).base = 1 << 63;
    entry
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
        grant: None,
        shown_at: None,
        presence: Presence::Present,
        order,
        watching: false,
        unknown: UnknownFields::default(),
    }
}

pub fn closed(name: &str, epoch: u64, version: u64) -> Entry {
    entry_of(name, epoch, version, Change::Closed, None)
}

pub fn seated(name: &str, epoch: u64, version: u64, member: Member) -> Entry {
    entry_of(name, epoch, version, Change::Joined { member, host: false }, Some(state(version)))
}

pub fn left(name: &str, epoch: u64, version: u64, user: &str) -> Entry {
    let (user, reason) = (UserId::parse(user).unwrap(), LeftReason::Left);
    let change = Change::Left { user, conn: ConnId::random(), reason, vacancy: None, empty_until: None };
    entry_of(name, epoch, version, change, Some(state(version)))
}
