//! Departures: LEAVE, a kick, or the loss of a socket or a node.

use crate::{
    clock::Millis,
    id::{ConnId, NodeId, UserId},
    room::{Change, LeftReason, Policy, Presence, Room, Vacancy},
};

/// Removes `user`. A host whose socket was lost keeps its role for a while; a host that left passes it on at once.
pub(in crate::room) fn leave(
    room: &Room,
    user: &UserId,
    reason: LeftReason,
    policy: &Policy,
    now: Millis,
) -> Vec<Change> {
    let Some(member) = room.members.get(user) else { return Vec::new() };
    let mut changes = Vec::with_capacity(2);
    let mut vacancy = None;
    if room.is_host(user) {
        let heir = room.heir(Some(user));
        if reason == LeftReason::Disconnected {
            let until = now + policy.host_grace;
            vacancy = Some(Vacancy { user: user.clone(), origin: Some(member.origin), until });
        } else if let Some(heir) = heir {
            changes.push(Change::HostChanged { host: heir.clone() });
        }
    }
    let empty_until = (room.members.len() == 1).then(|| now + policy.empty_grace);
    changes.push(Change::Left { user: user.clone(), conn: member.conn, reason, vacancy, empty_until });
    changes
}

pub(super) fn disconnect(
    room: &Room,
    user: &UserId,
    conn: ConnId,
    keep_seat: bool,
    policy: &Policy,
    now: Millis,
) -> Vec<Change> {
    let Some(member) = room.members.get(user).filter(|member| member.conn == conn && member.present()) else {
        return Vec::new();
    };
    debug_assert_eq!(member.presence, Presence::Present);
    if keep_seat {
        vec![Change::Away { user: user.clone(), since: now, until: now + policy.resume_window }]
    } else {
        leave(room, user, LeftReason::Disconnected, policy, now)
    }
}

/// Removes all members of `node`, each decided on the room after the previous departure.
pub(super) fn reap(room: &Room, node: &NodeId, policy: &Policy, now: Millis) -> Vec<Change> {
    let mut after = room.clone();
    let mut changes = Vec::new();
    for member in room.members.values().filter(|member| member.node == *node && member.present()) {
        for change in disconnect(&after, &member.user, member.conn, member.token.is_some(), policy, now) {
            after.apply(&change, now);
            changes.push(change);
        }
    }
    changes
}
