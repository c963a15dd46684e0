//! The bans of rooms. A ban is a row, and so is one that was lifted, since entries may arrive in any order.

use std::sync::Arc;

use super::Entry;
use crate::{
    clock::Millis,
    id::UserId,
    room::{Ban, Bans, Change, Digest},
};

/// What an entry changes in the bans of its room.
#[derive(Debug, PartialEq)]
pub(super) enum BanChange<'a> {
    /// The room is new, or closed: bans up to this epoch are of no use.
    End {
        epoch: u64,
    },
    Banned {
        ban: &'a Ban,
        version: u64,
    },
    Lifted {
        user: &'a UserId,
        version: u64,
    },
}

/// The columns of `room_bans`; the parameters of [`UPSERT`] have this order.
const COLUMNS: &str = "room_id, user_id, username, origin, banned_at_ms, lifted, epoch, version";

/// Writes a ban, or that it was lifted, unless something newer is known. PostgreSQL and SQLite read it alike.
pub(super) fn upsert(parameters: &str) -> String {
    format!(
        "INSERT INTO room_bans ({COLUMNS}) VALUES ({parameters}) ON CONFLICT (room_id, user_id) DO UPDATE SET
             username = excluded.username, origin = excluded.origin, banned_at_ms = excluded.banned_at_ms,
             lifted = excluded.lifted, epoch = excluded.epoch, version = excluded.version
         WHERE (room_bans.epoch, room_bans.version) < (excluded.epoch, excluded.version)"
    )
}

impl Entry {
    /// What it changes in the bans of its room, in order.
    pub(super) fn bans(&self) -> impl Iterator<Item = BanChange<'_>> {
        let versions = (1..).map(|offset| self.update.base.saturating_add(offset));
        versions.zip(&self.update.changes).filter_map(|(version, change)| match change {
            Change::Created { epoch, .. } => Some(BanChange::End { epoch: epoch.saturating_sub(1) }),
            Change::Closed => Some(BanChange::End { epoch: self.update.epoch }),
            Change::Banned { ban, .. } => Some(BanChange::Banned { ban, version }),
            Change::Unbanned { user, .. } => Some(BanChange::Lifted { user, version }),
            _ => None,
        })
    }
}

/// A ban as it stands in the table: user, name, address, time. `None` for a row that no process of tandem can have written.
pub(super) type Row = (String, Option<String>, Option<String>, i64);

fn ban((user, username, origin, at): Row) -> Option<Ban> {
    let origin = origin.map(Digest::try_from).transpose().ok()?;
    let at = Millis::try_from(at).ok()?;
    Some(Ban { user: UserId::parse(&user).ok()?, username: username.map(Into::into), origin, at })
}

/// The bans of a room, oldest first.
pub(super) fn bans(rows: impl IntoIterator<Item = Row>) -> Arc<Bans> {
    let mut bans: Vec<Ban> = rows.into_iter().filter_map(ban).collect();
    bans.sort_by_key(|ban| ban.at);
    Arc::new(bans.into_iter().map(|ban| (ban.user.clone(), ban)).collect())
}
