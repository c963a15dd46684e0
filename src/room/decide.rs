//! Decides commands. JOIN and RESUME are decided here; actions of members and departures in the submodules.

use std::collections::HashSet;

use super::{
    Asked, Attempt, Attempts, Change, Command, GrantedRole, Join, Member, PinGuard, Policy, Presence, Refusal, Resume,
    Role, Room, Shown, UnknownFields, due, pin_guard::Caller,
};
use crate::{
    clock::Millis,
    id::UserId,
    limit::{least, share},
};

mod action;
mod grant;
mod leave;
mod moderation;
mod playback;
mod token;

pub use action::Action;
pub(super) use leave::leave;

/// The decision on a command: the changes, and the room after them. Without changes there is nothing to commit.
#[derive(Debug)]
pub struct Draft {
    /// The changes, in order.
    pub changes: Vec<Change>,
    /// The room after the changes.
    pub after: Room,
}

/// Decides a command on a room, and changes nothing: the result must be committed on the version that it was decided on.
pub fn decide(room: &Room, command: &Command, policy: &Policy, now: Millis) -> Result<Draft, Refusal> {
    let changes = match command {
        Command::Join(wish) => join(room, wish, policy, now)?,
        Command::Resume(wish) => resume(room, wish, now)?,
        Command::Disconnect { user, conn, keep_seat } => leave::disconnect(room, user, *conn, *keep_seat, policy, now),
        Command::Act { user, conn, action } => {
            let member = room.members.get(user).filter(|member| member.conn == *conn).ok_or(Refusal::NotJoined)?;
            action::act(room, member, action, policy, now)?
        }
        Command::Refused(attempt) => refused(room, attempt, now)?,
        Command::Reap { node } => leave::reap(room, node, policy, now),
        Command::Reattach(member) => reattach(room, member, policy, now),
        Command::Tick => due::decide_tick(room, policy, now),
    };
    let mut after = room.clone();
    for change in &changes {
        after.apply(change, now);
    }
    Ok(Draft { changes, after })
}

fn join(room: &Room, join: &Join, policy: &Policy, now: Millis) -> Result<Vec<Change>, Refusal> {
    if !room.exists() {
        // The clock makes epochs grow even if earlier ones are forgotten; a known one counts whatever the clock says.
        let epoch = now.max(room.epoch.saturating_add(1));
        let created = Change::Created { epoch, pin: join.pin.map(|pin| pin.now), by: join.user.clone() };
        let member = member(join, 0);
        let host = member.granted_role().is_none_or(|role| role == GrantedRole::Host);
        return Ok(vec![created, Change::Joined { member, host }]);
    }
    if let Some(seated) = room.members.get(&join.user) {
        return rejoin(room, join, seated, now);
    }
    if room.is_banned(&join.user, join.origin) {
        return Err(Refusal::Banned);
    }
    if room.kicked.contains(&join.user) || room.was_removed(&join.user, join.origin) {
        return Err(Refusal::Forbidden);
    }
    if room.locked && !may_pass_lock(room, join, now) {
        return Err(Refusal::RoomLocked);
    }
    check_pin(room, join, now)?;
    let shares = join.shares && !join.is_verified();
    if room.members.len() >= policy.max_members || (shares && has_its_share(room, join.origin, policy)) {
        return Err(Refusal::RoomFull);
    }
    Ok(joined(room, member(join, room.next_order), join.origin, now))
}

/// A lock is against newcomers: not against a host by token, or one that comes back within its time, and there is none in a room that everybody has left.
fn may_pass_lock(room: &Room, join: &Join, now: Millis) -> bool {
    let is_granted_host = join.grant.as_ref().is_some_and(|grant| grant.role == Some(GrantedRole::Host));
    room.members.is_empty() || is_granted_host || takes_lead(room, &join.user, join.origin, now)
}

/// Whether one origin has as many seats, kept ones included, as it may have while a room is more than half full. Otherwise one client could
/// fill a room with seats that are kept for its lost sockets.
fn has_its_share(room: &Room, origin: Shown, policy: &Policy) -> bool {
    let (capacity, used) = (policy.max_members as u64, room.members.len() as u64 + 1);
    if used * 2 <= capacity {
        return false;
    }
    let (mut origins, mut mine) = (HashSet::new(), 1);
    for member in room.members.values() {
        if origin.fits(member.origin) {
            mine += 1;
        } else {
            origins.insert(member.origin);
        }
    }
    share(capacity, used, mine, origins.len() + 1).is_some_and(|most| mine > most.max(least(capacity)))
}

fn joined(room: &Room, member: Member, origin: Shown, now: Millis) -> Vec<Change> {
    let elective = member.granted_role().is_none();
    let host = grant::leads(room, &member) || (elective && takes_lead(room, &member.user, origin, now));
    let crown = crown(&member, host && !room.members.is_empty());
    [Change::Joined { member, host }].into_iter().chain(crown).collect()
}

/// A host that comes back is announced as host again, because first-generation clients removed its mark when its connection was lost.
fn crown(member: &Member, is_due: bool) -> Option<Change> {
    is_due.then(|| Change::HostChanged { host: member.user.clone() })
}

fn resume(room: &Room, resume: &Resume, now: Millis) -> Result<Vec<Change>, Refusal> {
    let seated = room.members.get(&resume.user).ok_or(Refusal::NotJoined)?;
    let kept = token::show(seated, resume.conn, Some(resume.proof), now).ok_or(Refusal::Unauthorized)?;
    // A resume token proves that it is the same client, not that the application still lets it in.
    let is_verified = resume.grant.as_ref().is_some_and(|grant| grant.verified);
    if seated.is_verified() && !is_verified {
        return Err(Refusal::Unauthorized);
    }
    // A guest keeps what it came in with, such as the role of an invitation.
    let grant = if is_verified { resume.grant.clone() } else { seated.grant.clone() };
    let lead = grant::lead(room, &resume.user, grant.as_deref());
    let member = Member {
        conn: resume.conn,
        node: resume.node.clone(),
        origin: resume.origin.now,
        token: Some(resume.token),
        token_before: kept.before,
        token_beside: kept.beside,
        shown_at: kept.shown_at,
        presence: Presence::Present,
        role: grant::role(grant.as_deref(), seated.role),
        grant,
        ..seated.clone()
    };
    Ok([Change::Back { member, was_away: !seated.present() }].into_iter().chain(lead).collect())
}

fn rejoin(room: &Room, join: &Join, seated: &Member, now: Millis) -> Result<Vec<Change>, Refusal> {
    let kept = token::show(seated, join.conn, join.proof, now);
    // A user whom a token names has the seat, whoever claimed to be them; and a seat that has been proven so is for nobody else.
    if seated.is_verified() && !join.is_verified() {
        return Err(Refusal::IdentityInUse);
    }
    let proven = seated.conn == join.conn || kept.is_some() || join.is_verified();
    if !proven {
        // A client that can resume has a token. An address proves nothing: a home, an office or all clients behind a proxy may share one.
        if seated.token.is_some() {
            return Err(Refusal::IdentityInUse);
        }
        check_pin(room, join, now)?;
        if !join.origin.fits(seated.origin) && seated.present() {
            check_silence(join, seated)?;
        }
    }
    let username = join.username.clone().or_else(|| seated.username.clone());
    let keeps_grant = !join.is_verified() && !join.invited && (seated.conn == join.conn || kept.is_some());
    let token::Kept { before: token_before, shown_at, beside: token_beside } = kept.unwrap_or_default();
    let grant = if keeps_grant { seated.grant.clone() } else { join.grant.clone() };
    let (role, watching) = (grant::role(grant.as_deref(), seated.role), seated.watching);
    let unknown = seated.unknown.clone();
    let member = Member {
        username,
        role,
        token_before,
        token_beside,
        watching,
        shown_at,
        grant,
        unknown,
        ..member(join, seated.order)
    };
    let lead = grant::lead(room, &join.user, member.grant.as_deref());
    let (host, was_away) = (room.is_host(&join.user), !seated.present());
    let crown = lead.or_else(|| crown(&member, host && was_away));
    Ok([Change::Rejoined { member, host, was_away }].into_iter().chain(crown).collect())
}

/// A first-generation client on another network has a new address, while its old socket seems alive for a while.
fn check_silence(join: &Join, seated: &Member) -> Result<(), Refusal> {
    match join.asked {
        Some(Asked { conn, answers }) if conn == seated.conn => {
            if answers {
                Err(Refusal::IdentityInUse)
            } else {
                Ok(())
            }
        }
        _ => Err(Refusal::SeatHeld),
    }
}

/// The seat of a member that is away. Its departure was announced, so its return is, too.
fn reattach(room: &Room, member: &Member, policy: &Policy, now: Millis) -> Vec<Change> {
    let member = Member { presence: Presence::Present, watching: false, ..member.clone() };
    match room.members.get(&member.user) {
        // A displaced connection of a guest has no claim on the seat of whom a token names.
        Some(seated) if !seated.present() && (member.is_verified() || !seated.is_verified()) => {
            let (conn, node) = (member.conn, member.node.clone());
            let back = Member { conn, node, presence: Presence::Present, ..seated.clone() };
            vec![Change::Back { member: back, was_away: true }]
        }
        Some(_) => Vec::new(),
        None if !room.exists() || room.kicked.contains(&member.user) || room.members.len() >= policy.max_members => {
            Vec::new()
        }
        None if room.is_banned(&member.user, member.origin.into()) => Vec::new(),
        None if room.was_removed(&member.user, member.origin.into()) => Vec::new(),
        None => {
            let origin = Shown::from(member.origin);
            joined(room, Member { order: room.next_order, role: Role::Member, ..member }, origin, now)
        }
    }
}

fn check_pin(room: &Room, join: &Join, now: Millis) -> Result<(), Refusal> {
    // A token or an invitation says more than a PIN.
    let Some(pin) = room.pin.filter(|_| !join.is_verified() && !join.invited) else { return Ok(()) };
    match pin_wait(room, join.origin, now) {
        Some(retry_after) => Err(Refusal::PinLocked { retry_after }),
        None if join.pin.is_some_and(|shown| shown.fits(pin)) => Ok(()),
        None => Err(Refusal::InvalidPin),
    }
}

/// How long a PIN from this address has to wait before it is looked at.
fn pin_wait(room: &Room, origin: Shown, now: Millis) -> Option<Millis> {
    let guard = room.pin_guard.as_deref()?;
    let is_known = room.members.values().any(|member| origin.fits(member.origin)) || guard.is_former(origin, now);
    guard.wait(origin, if is_known { Caller::Known } else { Caller::Stranger }, now)
}

/// Counts a wrong PIN, and remembers who has to wait because of others. If other nodes have used up the budget since it was looked at, the
/// answer is not told.
fn try_pin(room: &Room, attempt: &Attempt, now: Millis) -> Result<Option<Change>, Refusal> {
    if room.pin.is_none() {
        return Ok(None);
    }
    let none = PinGuard::default();
    let guard = room.pin_guard.as_deref().unwrap_or(&none);
    let tried = match (attempt.refusal, pin_wait(room, attempt.origin.into(), now)) {
        (Refusal::InvalidPin, Some(retry_after)) => return Err(Refusal::PinLocked { retry_after }),
        (Refusal::InvalidPin, None) => Some(guard.missed(attempt.origin, now)),
        (Refusal::PinLocked { .. }, Some(wait)) => guard.told_to_wait(attempt.origin, wait, now),
        _ => None,
    };
    Ok(tried.map(|(guesser, whole_at)| Change::PinTried { guesser, whole_at }))
}

fn takes_lead(room: &Room, user: &UserId, origin: Shown, now: Millis) -> bool {
    match (&room.host, &room.vacancy) {
        (Some(_), _) => false,
        (None, Some(vacancy)) => {
            let owner = vacancy.user == *user && vacancy.origin.is_none_or(|known| origin.fits(known));
            owner || (room.members.is_empty() && vacancy.until <= now)
        }
        (None, None) => room.members.is_empty(),
    }
}

fn member(join: &Join, order: u64) -> Member {
    Member {
        user: join.user.clone(),
        username: join.username.clone(),
        role: grant::role(join.grant.as_deref(), Role::Member),
        conn: join.conn,
        node: join.node.clone(),
        origin: join.origin.now,
        token: join.token,
        token_before: None,
        token_beside: None,
        shown_at: None,
        presence: Presence::Present,
        order,
        watching: false,
        grant: join.grant.clone(),
        unknown: UnknownFields::default(),
    }
}

/// Each wrong PIN delays the next attempt. The ledger records attempts within their budget.
fn refused(room: &Room, attempt: &Attempt, now: Millis) -> Result<Vec<Change>, Refusal> {
    let mut changes: Vec<Change> = try_pin(room, attempt, now)?.into_iter().collect();
    if room.exists()
        && attempt.refusal.is_audited()
        && let Some(attempts) = Attempts::another(room.attempts, now)
    {
        changes.push(Change::Refused { attempt: attempt.clone(), attempts });
    }
    Ok(changes)
}
