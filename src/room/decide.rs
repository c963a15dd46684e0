use super::{Attempt, Attempts, Change, Command, LeftReason, MAX_POSITION, Policy, Presence, Room, Vacancy, due};
use serde::{Deserialize, Serialize};

use crate::{
    clock::Millis,
    id::{ConnId, NodeId, UserId},
};

mod action;
mod enter;
mod playback;

pub use action::Action;

/// Why a room says no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[allow(missing_docs, reason = "each message says it")]
pub enum Refusal {
    #[error("not in this room")]
    NotJoined,
    #[error("Invalid or missing PIN")]
    InvalidPin,
    /// Too many wrong PINs for this room; this one was not looked at.
    #[error("Invalid or missing PIN")]
    PinLocked {
        /// When it may be tried again, in ms.
        retry_after: Millis,
    },
    #[error("this is not the seat's token")]
    Unauthorized,
    #[error("not allowed")]
    Forbidden,
    #[error("the room is full")]
    RoomFull,
    #[error("somebody else is here under this userId")]
    IdentityInUse,
    /// It depends on whether the socket that has the seat still answers: see [`super::Asked`].
    #[error("somebody else is here under this userId")]
    SeatHeld,
    #[error("the target is not in the room")]
    NoSuchMember,
    #[error("URL_HOSTS does not allow this url")]
    UrlNotAllowed,
    #[error("currentTime: is not between 0 and {MAX_POSITION}")]
    TooFar,
}

/// What a command leads to: the changes, and the room once they are applied. No changes: there was nothing to do.
#[derive(Debug)]
pub struct Draft {
    /// In order.
    pub changes: Vec<Change>,
    /// The room after them.
    pub after: Room,
}

/// Looks at a room and a wish. Changes nothing: the result has still to be committed on the version it was decided on.
pub fn decide(room: &Room, command: &Command, policy: &Policy, now: Millis) -> Result<Draft, Refusal> {
    let changes = match command {
        Command::Join(join) => enter::join(room, join, policy, now)?,
        Command::Resume(resume) => enter::resume(room, resume)?,
        Command::Disconnect { user, conn, keep_seat } => disconnect(room, user, *conn, *keep_seat, policy, now),
        Command::Act { user, conn, action } => {
            let seated = room.members.get(user).is_some_and(|member| member.conn == *conn);
            if !seated {
                return Err(Refusal::NotJoined);
            }
            action::act(room, user, action, policy, now)?
        }
        Command::Refused(attempt) => refused(room, attempt, now),
        Command::Reap { node } => reap(room, node, policy, now),
        Command::Reseat(member) => enter::reseat(room, member, policy, now),
        Command::Tick => due::decide_tick(room, policy, now),
    };
    let mut after = room.clone();
    for change in &changes {
        after.apply(change, now);
    }
    Ok(Draft { changes, after })
}

fn disconnect(room: &Room, user: &UserId, conn: ConnId, keep_seat: bool, policy: &Policy, now: Millis) -> Vec<Change> {
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

/// All whose socket was on `node`, each decided on the room as the one before left it.
fn reap(room: &Room, node: &NodeId, policy: &Policy, now: Millis) -> Vec<Change> {
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

/// A wrong PIN makes the next try wait, each time. The ledger learns of attempts as far as their budget goes.
fn refused(room: &Room, attempt: &Attempt, now: Millis) -> Vec<Change> {
    let mut changes = Vec::new();
    if attempt.refusal == Refusal::InvalidPin {
        changes.extend(enter::miss_pin(room, now));
    }
    if room.exists()
        && attempt.refusal.is_audited()
        && let Some(attempts) = Attempts::another(room.attempts, now)
    {
        changes.push(Change::Refused { attempt: attempt.clone(), attempts });
    }
    changes
}

/// `user` goes. A host that only dropped keeps its role for a while; one that is gone for good hands it on at once.
pub(super) fn leave(room: &Room, user: &UserId, reason: LeftReason, policy: &Policy, now: Millis) -> Vec<Change> {
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
