//! What hosts and co-hosts may do to a room and its members.

use super::{Refusal, leave};
use crate::{
    clock::Millis,
    id::UserId,
    room::{Change, LeftReason, Policy, Role, Room},
};

pub(super) fn guest_control(room: &Room, by: &UserId, enabled: bool) -> Result<Vec<Change>, Refusal> {
    allow(room.leads(by))?;
    Ok(vec![Change::GuestControl { enabled, by: by.clone() }])
}

pub(super) fn transfer_host(room: &Room, by: &UserId, to: &UserId) -> Result<Vec<Change>, Refusal> {
    allow(room.is_host(by))?;
    require(room, to)?;
    Ok(vec![Change::HostChanged { host: to.clone() }])
}

pub(super) fn set_role(room: &Room, by: &UserId, to: &UserId, role: Role) -> Result<Vec<Change>, Refusal> {
    allow(room.is_host(by) && by != to)?;
    require(room, to)?;
    Ok(vec![Change::RoleChanged { user: to.clone(), role, by: by.clone() }])
}

pub(super) fn kick(
    room: &Room,
    by: &UserId,
    who: &UserId,
    note: Option<Box<str>>,
    policy: &Policy,
    now: Millis,
) -> Result<Vec<Change>, Refusal> {
    allow(room.leads(by) && by != who && !room.is_host(who))?;
    require(room, who)?;
    Ok(leave(room, who, LeftReason::Kicked { by: by.clone(), note }, policy, now))
}

fn allow(allowed: bool) -> Result<(), Refusal> {
    if allowed { Ok(()) } else { Err(Refusal::Forbidden) }
}

fn require(room: &Room, user: &UserId) -> Result<(), Refusal> {
    if room.members.contains_key(user) { Ok(()) } else { Err(Refusal::NoSuchMember) }
}
