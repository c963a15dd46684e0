//! What tokens grant: who takes the lead, and what a new token changes.

use crate::{
    id::UserId,
    room::{Change, Grant, GrantedRole, Member, Role, Room},
};

/// The role that a member has with this grant, if it had `role` before.
pub(super) fn role(grant: Option<&Grant>, role: Role) -> Role {
    match grant.and_then(|grant| grant.role) {
        Some(GrantedRole::CoHost) => Role::CoHost,
        Some(GrantedRole::Member) => Role::Member,
        Some(GrantedRole::Host) | None => role,
    }
}

/// Whether a member becomes host when it comes in, or back, because of what was granted to it and to the others.
pub(super) fn leads(room: &Room, member: &Member) -> bool {
    let host = room.host.as_ref().and_then(|host| room.members.get(host));
    match member.granted_role() {
        Some(GrantedRole::Host) => host.is_none_or(|host| host.user == member.user || !host.is_granted_host()),
        Some(GrantedRole::CoHost | GrantedRole::Member) => false,
        // Nobody here may be elected but the newcomer.
        None => {
            host.is_none()
                && room.vacancy.is_none()
                && room
                    .members
                    .values()
                    .all(|other| matches!(other.granted_role(), Some(role) if role != GrantedRole::Host))
        }
    }
}

/// What follows for the lead when a member that is in the room has this grant from now on.
pub(super) fn lead(room: &Room, user: &UserId, grant: Option<&Grant>) -> Option<Change> {
    let is_host = room.is_host(user);
    let host = room.host.as_ref().and_then(|host| room.members.get(host));
    let heir = match grant.and_then(|grant| grant.role) {
        Some(GrantedRole::Host) => (!is_host && !host.is_some_and(Member::is_granted_host)).then_some(user),
        Some(GrantedRole::CoHost | GrantedRole::Member) if is_host => room.heir(Some(user)),
        _ => None,
    };
    heir.map(|heir| Change::HostChanged { host: heir.clone() })
}

/// A member shows a new token while it is in the room.
pub(super) fn again(room: &Room, user: &UserId, grant: &Grant, username: Option<&str>) -> Vec<Change> {
    let Some(member) = room.members.get(user) else { return Vec::new() };
    let mut changes = Vec::new();
    if member.grant.as_deref() != Some(grant) {
        changes.push(Change::Granted { user: user.clone(), grant: grant.clone() });
        let role = role(Some(grant), member.role);
        if role != member.role {
            changes.push(Change::RoleChanged { user: user.clone(), role, by: user.clone() });
        }
        changes.extend(lead(room, user, Some(grant)));
    }
    if let Some(name) = username.filter(|name| member.username.as_deref() != Some(name)) {
        changes.push(Change::Renamed { user: user.clone(), username: name.into() });
    }
    changes
}
