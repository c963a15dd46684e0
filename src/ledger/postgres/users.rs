//! Writes `users`: for each user of a room the state with the newest (epoch, version), in whatever order entries arrive.

use std::{collections::BTreeMap, sync::LazyLock};

use deadpool_postgres::Transaction;
use jiff::Timestamp;

use super::{
    LedgerError,
    batch::{bigint, moment, values},
};
use crate::{
    ledger::{
        Entry,
        table::{self, Table as _, Written as _},
    },
    room::Member,
};

/// The newest state of a user of a room in a batch.
struct Seat<'a> {
    age: (u64, u64),
    at: Timestamp,
    left: bool,
    /// `None` if the batch has only the departure.
    member: Option<&'a Member>,
}

/// A departure alone leaves the columns of [`Member`] unchanged.
static UPSERT: LazyLock<String> = LazyLock::new(|| {
    let next = Member::COLUMNS.len() + 1;
    let given = Member::COLUMNS.iter().map(|column| match column.name {
        // The column does not accept NULL, also for a departure.
        "id" => "given.user_id".to_owned(),
        "role" => "coalesce(given.role, 'member')".to_owned(),
        name => format!("given.\"{name}\""),
    });
    let set = table::assignments::<Member>(&["id"], |_, name| {
        format!("CASE WHEN excluded.peer_id IS NULL THEN users.\"{name}\" ELSE excluded.\"{name}\" END")
    });
    format!(
        "INSERT INTO users ({names}, room_id, created_at, updated_at, left_at, epoch, version)
         SELECT {given}, given.room_id, given.at, given.at, given.left_at, given.epoch, given.version
         FROM unnest({arrays}, ${user}::text[], ${room}::text[], ${at}::timestamptz[], ${left}::timestamptz[], ${epoch}::bigint[],
             ${version}::bigint[]) AS given ({names}, user_id, room_id, at, left_at, epoch, version)
         ON CONFLICT (id, room_id) DO UPDATE SET {set}, updated_at = excluded.updated_at, left_at = excluded.left_at,
             epoch = excluded.epoch, version = excluded.version
         WHERE (users.epoch, users.version) < (excluded.epoch, excluded.version)",
        names = table::names::<Member>(),
        given = given.collect::<Vec<_>>().join(", "),
        arrays = table::arrays::<Member>(),
        user = next,
        room = next + 1,
        at = next + 2,
        left = next + 3,
        epoch = next + 4,
        version = next + 5,
    )
});

pub(super) async fn project_users(step: &Transaction<'_>, entries: &[&Entry]) -> Result<(), LedgerError> {
    let users = seats(entries)?;
    if users.is_empty() {
        return Ok(());
    }
    let members: Vec<Option<&Member>> = users.values().map(|seat| seat.member).collect();
    let mut arrays = Member::arrays(&members)?;
    arrays.push(Box::new(users.keys().map(|(user, _)| *user).collect::<Vec<_>>()));
    arrays.push(Box::new(users.keys().map(|(_, room)| *room).collect::<Vec<_>>()));
    arrays.push(Box::new(users.values().map(|seat| seat.at).collect::<Vec<_>>()));
    arrays.push(Box::new(users.values().map(|seat| seat.left.then_some(seat.at)).collect::<Vec<_>>()));
    let epochs = users.values().map(|seat| bigint(seat.age.0, "epoch"));
    arrays.push(Box::new(epochs.collect::<Result<Vec<_>, _>>()?));
    let versions = users.values().map(|seat| bigint(seat.age.1, "version"));
    arrays.push(Box::new(versions.collect::<Result<Vec<_>, _>>()?));
    let upsert = step.prepare_cached(&UPSERT).await?;
    step.execute(&upsert, &values(&arrays)).await?;
    Ok(())
}

/// A seat has the version of its commit, a departure that of its event: a user who leaves and comes back within one commit is present.
fn seats<'a>(entries: &[&'a Entry]) -> Result<BTreeMap<(&'a str, &'a str), Seat<'a>>, LedgerError> {
    let mut users: BTreeMap<(&str, &str), Seat<'_>> = BTreeMap::new();
    let mut note = |user: &'a str, room: &'a str, news: Seat<'a>| {
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
        let (room, epoch) = (entry.update.room.as_str(), entry.update.epoch);
        let at = || moment(entry.update.at, "updated_at");
        for (user, version) in entry.departures() {
            note(user.as_str(), room, Seat { age: (epoch, version), at: at()?, left: true, member: None });
        }
        for member in entry.seats() {
            let age = (epoch, entry.version());
            note(member.user.as_str(), room, Seat { age, at: at()?, left: false, member: Some(member) });
        }
    }
    Ok(users)
}
