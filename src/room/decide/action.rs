//! What a member may ask for, and who may.

use super::{leave, playback};
use crate::{
    clock::Millis,
    id::UserId,
    room::{Change, Json, LeftReason, Policy, Refusal, Role, Room, UrlTime},
};

/// What a member may ask for. Positions are seconds, `event` is the sender's own clock as it sent it.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the fields are those of the frames, which docs/protocol.md describes")]
pub enum Action {
    /// Go, for good.
    Leave,
    /// Be called something else.
    Rename { username: Box<str> },
    /// Start or stop the film.
    PlayPause { playing: bool, position: Option<f64>, event: Option<f64>, rate: Option<f64> },
    /// Jump to a place in the film.
    Seek { position: f64, playing: bool, event: Option<f64> },
    /// Say that the sought place is loaded.
    Ready { target: f64 },
    /// Say, as host, where the film is, for everybody to follow.
    Heartbeat { position: f64, playing: bool, event: Option<f64> },
    /// Say, as host, where the film is, for the room to know.
    Report { position: f64, playing: bool },
    /// Begin or cease to report positions.
    Watching { watching: bool },
    /// Watch something else, from a time on.
    ChangeUrl { url: Box<str>, time: Option<UrlTime> },
    /// Let everybody move the film, or not.
    GuestControl { enabled: bool },
    /// Make somebody else the host.
    TransferHost { to: UserId },
    /// Make somebody co-host, or no longer.
    SetRole { to: UserId, role: Role },
    /// Throw somebody out.
    Kick { who: UserId, note: Option<Box<str>> },
    /// Tell everybody something that only the application understands.
    Broadcast { event: Box<str>, data: Option<Json> },
}

pub(super) fn act(
    room: &Room,
    user: &UserId,
    action: &Action,
    policy: &Policy,
    now: Millis,
) -> Result<Vec<Change>, Refusal> {
    let control = || if room.may_control(user, policy) { Ok(()) } else { Err(Refusal::Forbidden) };
    match action {
        Action::Leave => Ok(leave(room, user, LeftReason::Left, policy, now)),
        Action::Rename { username } => Ok(vec![Change::Renamed { user: user.clone(), username: username.clone() }]),
        Action::Watching { watching } => Ok(playback::watching(room, user, *watching)),
        Action::PlayPause { playing, position, event, rate } => {
            control().map(|()| playback::play_pause(room, user, *playing, *position, *event, *rate, now))
        }
        Action::Seek { position, playing, event } => {
            control().map(|()| playback::seek(room, user, *position, *playing, *event, policy, now))
        }
        Action::Ready { target } => Ok(playback::ready(room, user, *target)),
        Action::Heartbeat { position, playing, event } => {
            playback::heartbeat(room, user, *position, *playing, *event, policy, now)
        }
        Action::Report { position, playing } => Ok(playback::report(room, user, *position, *playing, now)),
        Action::ChangeUrl { url, .. } if !policy.url_hosts.allow(url) => Err(Refusal::UrlNotAllowed),
        Action::ChangeUrl { url, time } => control().and_then(|()| playback::change_url(room, user, url, *time, now)),
        Action::GuestControl { enabled } => guest_control(room, user, *enabled),
        Action::TransferHost { to } => transfer_host(room, user, to),
        Action::SetRole { to, role } => set_role(room, user, to, *role),
        Action::Kick { who, note } => kick(room, user, who, note.clone(), policy, now),
        Action::Broadcast { event, data } => {
            Ok(vec![Change::Broadcast { by: user.clone(), event: event.clone(), data: data.clone() }])
        }
    }
}

fn guest_control(room: &Room, by: &UserId, enabled: bool) -> Result<Vec<Change>, Refusal> {
    allow(room.leads(by))?;
    Ok(vec![Change::GuestControl { enabled, by: by.clone() }])
}

fn transfer_host(room: &Room, by: &UserId, to: &UserId) -> Result<Vec<Change>, Refusal> {
    allow(room.is_host(by))?;
    require(room, to)?;
    Ok(vec![Change::HostChanged { host: to.clone() }])
}

fn set_role(room: &Room, by: &UserId, to: &UserId, role: Role) -> Result<Vec<Change>, Refusal> {
    allow(room.is_host(by) && by != to)?;
    require(room, to)?;
    Ok(vec![Change::RoleChanged { user: to.clone(), role, by: by.clone() }])
}

fn kick(
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
