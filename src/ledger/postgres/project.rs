//! `rooms` and `users`: of what entries say about each, the newest by (epoch, version), in whatever order it came.

use std::{collections::BTreeMap, sync::LazyLock};

use deadpool_postgres::Transaction;
use jiff::Timestamp;

use super::{
    LedgerError,
    batch::{at, bigint},
};
use crate::{
    clock::Millis,
    ledger::{Entry, EventType, RoomRow, column},
    room::Member,
};

/// What a batch says about a room.
struct Latest<'a> {
    /// Decides whether the room is closed, and how new all this is.
    newest: &'a RoomRow,
    /// What the room was like: closing it empties the row that comes with it, but auditors want to see what was played last.
    shown: Option<&'a RoomRow>,
    /// When it was first heard of in this batch.
    first: Millis,
}

fn age(row: &RoomRow) -> (u64, u64) {
    (row.epoch, row.version)
}

/// Rows that say that a room is closed, and nothing else.
const BLANK: i64 = -1;

static UPSERT_ROOMS: LazyLock<String> = LazyLock::new(|| {
    let kept = [
        "host_user_id",
        "current_url",
        "\"current_time\"",
        "is_playing",
        "guest_control_enabled",
        "rate",
        "position_at_ms",
        "empty_until_ms",
        "pin_digest",
        "host_origin",
    ];
    let keep = |name| {
        format!("{name} = CASE WHEN excluded.position_at_ms = {BLANK} THEN rooms.{name} ELSE excluded.{name} END")
    };
    format!(
        "INSERT INTO rooms (id, host_user_id, current_url, \"current_time\", is_playing, guest_control_enabled, rate, position_at_ms,
             empty_until_ms, pin_digest, host_origin, created_at, updated_at, archived_at, epoch, version)
         SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::float8[], $5::bool[], $6::bool[], $7::float8[], $8::bigint[],
             $9::bigint[], $10::text[], $11::text[], $12::timestamptz[], $13::timestamptz[], $14::timestamptz[], $15::bigint[],
             $16::bigint[])
         ON CONFLICT (id) DO UPDATE SET {}, updated_at = excluded.updated_at, archived_at = excluded.archived_at,
             created_at = CASE WHEN rooms.archived_at IS NULL OR excluded.archived_at IS NOT NULL
                 THEN rooms.created_at ELSE excluded.created_at END,
             epoch = excluded.epoch, version = excluded.version
         WHERE (rooms.epoch, rooms.version) < (excluded.epoch, excluded.version)",
        kept.map(keep).join(", ")
    )
});

#[derive(Default)]
struct RoomColumns<'a> {
    id: Vec<&'a str>,
    host: Vec<Option<&'a str>>,
    url: Vec<Option<&'a str>>,
    position: Vec<f64>,
    playing: Vec<bool>,
    guest_control: Vec<bool>,
    rate: Vec<f64>,
    position_at: Vec<i64>,
    empty_until: Vec<Option<i64>>,
    pin: Vec<Option<String>>,
    host_origin: Vec<Option<String>>,
    created: Vec<Timestamp>,
    updated: Vec<Timestamp>,
    archived: Vec<Option<Timestamp>>,
    epoch: Vec<i64>,
    version: Vec<i64>,
}

pub(super) async fn project_rooms(step: &Transaction<'_>, entries: &[&Entry]) -> Result<(), LedgerError> {
    // Sorted by id: two workers lock rows in the same order.
    let mut rooms: BTreeMap<&str, Latest<'_>> = BTreeMap::new();
    for row in entries.iter().map(|entry| &entry.room) {
        let shown = (!row.archived).then_some(row);
        let latest = rooms.entry(row.id.as_str()).or_insert(Latest { newest: row, shown, first: row.at });
        if age(row) > age(latest.newest) {
            latest.newest = row;
        }
        if shown.is_some() && latest.shown.is_none_or(|known| age(row) > age(known)) {
            latest.shown = shown;
        }
        latest.first = latest.first.min(row.at);
    }
    let mut of = RoomColumns::default();
    for (id, latest) in rooms {
        let Latest { newest, shown, first } = latest;
        let row = shown.unwrap_or(newest);
        let updated = column::timestamp(newest.at).ok_or(LedgerError::Range("updated_at"))?;
        of.id.push(id);
        of.host.push(row.host.as_ref().map(crate::id::UserId::as_str));
        of.url.push(row.url.as_deref());
        of.position.push(row.position);
        of.playing.push(row.playing);
        of.guest_control.push(row.guest_control);
        of.rate.push(row.rate);
        of.position_at.push(if shown.is_some() { bigint(row.position_at, "position_at_ms")? } else { BLANK });
        of.empty_until.push(row.empty_until.map(|until| bigint(until, "empty_until_ms")).transpose()?);
        of.pin.push(row.pin.map(String::from));
        of.host_origin.push(row.host_origin.map(String::from));
        of.created.push(column::timestamp(first).ok_or(LedgerError::Range("created_at"))?);
        of.updated.push(updated);
        of.archived.push(newest.archived.then_some(updated));
        of.epoch.push(bigint(newest.epoch, "epoch")?);
        of.version.push(bigint(newest.version, "version")?);
    }
    let upsert = step.prepare_cached(&UPSERT_ROOMS).await?;
    let values: [&(dyn tokio_postgres::types::ToSql + Sync); 16] = [
        &of.id,
        &of.host,
        &of.url,
        &of.position,
        &of.playing,
        &of.guest_control,
        &of.rate,
        &of.position_at,
        &of.empty_until,
        &of.pin,
        &of.host_origin,
        &of.created,
        &of.updated,
        &of.archived,
        &of.epoch,
        &of.version,
    ];
    step.execute(&upsert, &values).await?;
    Ok(())
}

/// What a batch says about somebody in a room.
struct Seat<'a> {
    age: (u64, u64),
    at: Timestamp,
    left: bool,
    /// None when only its leaving was heard of.
    member: Option<&'a Member>,
}

static UPSERT_USERS: LazyLock<String> = LazyLock::new(|| {
    let keep = |name| format!("{name} = CASE WHEN excluded.peer_id IS NULL THEN users.{name} ELSE excluded.{name} END");
    format!(
        "INSERT INTO users (id, room_id, username, role, seat_order, peer_id, token_digest, origin, created_at, updated_at, left_at,
             epoch, version)
         SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::text[], $8::text[],
             $9::timestamptz[], $9::timestamptz[], $10::timestamptz[], $11::bigint[], $12::bigint[])
         ON CONFLICT (id, room_id) DO UPDATE SET {}, updated_at = excluded.updated_at, left_at = excluded.left_at,
             epoch = excluded.epoch, version = excluded.version
         WHERE (users.epoch, users.version) < (excluded.epoch, excluded.version)",
        ["username", "role", "seat_order", "token_digest", "origin", "peer_id"].map(keep).join(", ")
    )
});

#[derive(Default)]
struct UserColumns<'a> {
    id: Vec<&'a str>,
    room: Vec<&'a str>,
    username: Vec<Option<&'a str>>,
    role: Vec<&'static str>,
    order: Vec<Option<i64>>,
    peer: Vec<Option<String>>,
    token: Vec<Option<String>>,
    origin: Vec<Option<String>>,
    updated: Vec<Timestamp>,
    left: Vec<Option<Timestamp>>,
    epoch: Vec<i64>,
    version: Vec<i64>,
}

pub(super) async fn project_users(step: &Transaction<'_>, entries: &[&Entry]) -> Result<(), LedgerError> {
    let users = seats(entries)?;
    if users.is_empty() {
        return Ok(());
    }
    let mut of = UserColumns::default();
    for ((user, room), seat) in users {
        of.id.push(user);
        of.room.push(room);
        of.username.push(seat.member.and_then(|member| member.username.as_deref()));
        of.role.push(column::role(seat.member.map_or(crate::room::Role::Member, |member| member.role)));
        of.order.push(seat.member.map(|member| bigint(member.order, "seat_order")).transpose()?);
        of.peer.push(seat.member.map(|member| member.conn.to_string()));
        of.token.push(seat.member.and_then(|member| member.token).map(String::from));
        of.origin.push(seat.member.map(|member| member.origin.into()));
        of.updated.push(seat.at);
        of.left.push(seat.left.then_some(seat.at));
        of.epoch.push(bigint(seat.age.0, "epoch")?);
        of.version.push(bigint(seat.age.1, "version")?);
    }
    let upsert = step.prepare_cached(&UPSERT_USERS).await?;
    let values: [&(dyn tokio_postgres::types::ToSql + Sync); 12] = [
        &of.id,
        &of.room,
        &of.username,
        &of.role,
        &of.order,
        &of.peer,
        &of.token,
        &of.origin,
        &of.updated,
        &of.left,
        &of.epoch,
        &of.version,
    ];
    step.execute(&upsert, &values).await?;
    Ok(())
}

/// A seat is as new as the whole commit, somebody's leaving as its own event: who leaves and comes back in one commit is there.
fn seats<'a>(entries: &[&'a Entry]) -> Result<BTreeMap<(&'a str, &'a str), Seat<'a>>, LedgerError> {
    let mut users: BTreeMap<(&str, &str), Seat<'_>> = BTreeMap::new();
    let mut hear = |user: &'a str, room: &'a str, news: Seat<'a>| {
        let known = users.entry((user, room)).or_insert(Seat {
            age: news.age,
            at: news.at,
            left: news.left,
            member: news.member,
        });
        if news.age >= known.age {
            let member = news.member.or(known.member);
            *known = Seat { member, ..news };
        } else if known.member.is_none() {
            known.member = news.member;
        }
    };
    for entry in entries {
        let room = entry.room.id.as_str();
        for event in &entry.events {
            if matches!(event.kind, EventType::UserLeft | EventType::UserKicked) {
                let age = (event.epoch, event.version);
                hear(&event.user, event.room.as_str(), Seat { age, at: at(event)?, left: true, member: None });
            }
        }
        for member in &entry.seats {
            let at = column::timestamp(entry.room.at).ok_or(LedgerError::Range("updated_at"))?;
            hear(member.user.as_str(), room, Seat { age: age(&entry.room), at, left: false, member: Some(member) });
        }
    }
    Ok(users)
}
