use super::{Change, LeftReason, Policy, Presence, Room, Vacancy};
use crate::clock::Millis;

/// Something that a room does by itself once its time has come.
enum DueChange<'a> {
    Release,
    Elect,
    Expire(&'a crate::id::UserId),
    Close,
}

/// When [`super::Command::Tick`] has something to do next. Any node may fire it: the commit lets only one of them win.
pub fn next_due(room: &Room, policy: &Policy) -> Option<Millis> {
    first(room, policy).map(|(at, _)| at)
}

/// The change that is due at `now`, one at a time.
pub(super) fn decide_tick(room: &Room, policy: &Policy, now: Millis) -> Vec<Change> {
    let Some((_, due)) = first(room, policy).filter(|(at, _)| *at <= now) else { return Vec::new() };
    match due {
        DueChange::Release => room.gate.iter().map(|gate| gate.release(&room.timeline)).collect(),
        DueChange::Elect => {
            room.heir(room.host.as_ref()).map(|heir| Change::HostChanged { host: heir.clone() }).into_iter().collect()
        }
        DueChange::Expire(user) => super::decide::leave(room, user, LeftReason::Expired, policy, now),
        DueChange::Close => vec![Change::Closed],
    }
}

fn first<'a>(room: &'a Room, policy: &Policy) -> Option<(Millis, DueChange<'a>)> {
    let gate = room.gate.as_ref().map(|gate| (if gate.satisfied() { 0 } else { gate.deadline }, DueChange::Release));
    let expire = room.members.values().filter_map(|member| match member.presence {
        Presence::Away { until, .. } => Some((until, DueChange::Expire(&member.user))),
        Presence::Present => None,
    });
    let expire = expire.min_by_key(|(at, _)| *at);
    let elect = election(room, policy, expire.is_some()).map(|at| (at, DueChange::Elect));
    let close = room.empty_until.map(|at| (at, DueChange::Close));
    gate.into_iter().chain(elect).chain(expire).chain(close).min_by_key(|(at, _)| *at)
}

/// When a host that is not there is replaced: never, while nobody is there who may replace it. This runs several times for each change, so
/// the host is only looked up when a member is away.
fn election(room: &Room, policy: &Policy, anyone_away: bool) -> Option<Millis> {
    let at = match (&room.host, &room.vacancy) {
        (Some(_), _) if !anyone_away => return None,
        (Some(host), _) => match room.members.get(host)?.presence {
            Presence::Away { since, .. } => since.get() + policy.host_grace,
            Presence::Present => return None,
        },
        (None, Some(Vacancy { until, .. })) => *until,
        (None, None) => 0,
    };
    let heir = room.members.get(room.heir(room.host.as_ref())?)?;
    let host = room.host.as_ref().and_then(|host| room.members.get(host));
    // A host by token is replaced by another one alone.
    let may = heir.is_granted_host() || !host.is_some_and(super::Member::is_granted_host);
    (may && heir.present()).then_some(at)
}
