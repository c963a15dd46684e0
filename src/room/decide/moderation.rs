//! Who may come in, and who may not: the actions of the host and of co-hosts.

use super::{action::allow, leave};
use crate::{
    clock::Millis,
    id::UserId,
    room::{Change, Digest, LeftReason, Policy, Refusal, Room},
};

pub(super) fn lock(room: &Room, by: &UserId, locked: bool) -> Result<Vec<Change>, Refusal> {
    allow(room.moderates(by))?;
    Ok((locked != room.locked).then(|| Change::Locked { locked, by: by.clone() }).into_iter().collect())
}

pub(super) fn set_pin(room: &Room, by: &UserId, pin: Option<Digest>) -> Result<Vec<Change>, Refusal> {
    allow(room.is_host(by) && room.moderates(by))?;
    Ok(vec![Change::PinSet { pin, by: by.clone() }])
}

/// Bans a user, who need not be here: somebody who was kicked may come back at any time.
pub(super) fn ban(
    room: &Room,
    by: &UserId,
    who: &UserId,
    note: Option<Box<str>>,
    policy: &Policy,
    now: Millis,
) -> Result<Vec<Change>, Refusal> {
    allow(room.moderates(by) && by != who && room.shown_host() != Some(who))?;
    let is_here = room.members.contains_key(who);
    if room.bans.contains_key(who) && !is_here {
        return Ok(Vec::new());
    }
    if room.bans.len() >= Room::MAX_BANS && !room.bans.contains_key(who) {
        return Err(Refusal::TooManyBans);
    }
    let mut changes = vec![Change::Banned { ban: room.ban_of(who, now), by: by.clone(), note: note.clone() }];
    if is_here {
        changes.extend(leave(room, who, LeftReason::Removed { by: by.clone(), note }, policy, now));
    }
    Ok(changes)
}

/// Lets a user in again who was banned or kicked.
pub(super) fn unban(room: &Room, by: &UserId, who: &UserId) -> Result<Vec<Change>, Refusal> {
    allow(room.moderates(by))?;
    let is_known = room.bans.contains_key(who)
        || room.removed.iter().any(|removal| removal.user == *who)
        || room.kicked.contains(who);
    Ok(is_known.then(|| Change::Unbanned { user: who.clone(), by: by.clone() }).into_iter().collect())
}
