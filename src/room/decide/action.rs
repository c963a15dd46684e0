//! The actions of members, and the rights that they need.

use super::{grant, leave, moderation, playback};
use crate::{
    clock::Millis,
    id::UserId,
    room::{Change, Digest, Grant, GrantedRole, Json, LeftReason, Member, Policy, Refusal, Right, Role, Room, UrlTime},
};

/// The actions of members. Positions are in seconds; `event` is the clock of the sender, unchanged.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the fields are those of the frames, which docs/protocol.md describes")]
pub enum Action {
    /// Leave the room.
    Leave,
    /// Change the displayed name.
    Rename { username: Box<str> },
    /// Start or pause the film.
    PlayPause { playing: bool, position: Option<f64>, event: Option<f64>, rate: Option<f64> },
    /// Seek to a position.
    Seek { position: f64, playing: bool, event: Option<f64> },
    /// Report that the target of the seek is loaded.
    Ready { target: f64 },
    /// As host, report the position for all members to follow.
    Heartbeat { position: f64, playing: bool, event: Option<f64> },
    /// As host, report the position for the room only.
    Report { position: f64, playing: bool },
    /// Begin or stop reporting positions.
    Watching { watching: bool },
    /// Change the url, with a start time.
    ChangeUrl { url: Box<str>, time: Option<UrlTime> },
    /// Switch guest control on or off.
    GuestControl { enabled: bool },
    /// Transfer the role of the host.
    TransferHost { to: UserId },
    /// Make a member co-host, or a guest again.
    SetRole { to: UserId, role: Role },
    /// Kick a member.
    Kick { who: UserId, note: Option<Box<str>> },
    /// Let nobody new in, or again.
    LockRoom { locked: bool },
    /// Give the room another PIN, or none.
    SetPin { pin: Option<Digest> },
    /// Ban a user.
    Ban { who: UserId, note: Option<Box<str>> },
    /// Let a user in again who was banned or kicked.
    Unban { who: UserId },
    /// Show a new token, which may grant something else.
    Regrant { grant: Box<Grant>, username: Option<Box<str>> },
    /// Send a message of the application to all members.
    Broadcast { event: Box<str>, data: Option<Json> },
}

#[inline]
pub(super) fn act(
    room: &Room,
    member: &Member,
    action: &Action,
    policy: &Policy,
    now: Millis,
) -> Result<Vec<Change>, Refusal> {
    let user = &member.user;
    let control = || allow(member.has(Right::Control) && room.may_control(user, policy));
    match action {
        Action::Leave => Ok(leave(room, user, LeftReason::Left, policy, now)),
        Action::Rename { username } => rename(member, username),
        Action::Watching { watching } => Ok(playback::watching(room, user, *watching)),
        Action::PlayPause { playing, position, event, rate } => {
            control().map(|()| playback::play_pause(room, user, *playing, *position, *event, *rate, now))
        }
        Action::Seek { position, playing, event } => {
            control().map(|()| playback::seek(room, user, *position, *playing, *event, policy, now))
        }
        Action::Ready { target } => Ok(playback::ready(room, user, *target)),
        Action::Heartbeat { .. } if !member.has(Right::Control) => Err(Refusal::Forbidden),
        Action::Heartbeat { position, playing, event } => {
            playback::heartbeat(room, user, *position, *playing, *event, policy, now)
        }
        Action::Report { .. } if !member.has(Right::Control) => Ok(Vec::new()),
        Action::Report { position, playing } => Ok(playback::report(room, user, *position, *playing, now)),
        Action::ChangeUrl { url, .. } if !policy.url_hosts.allow(url) => Err(Refusal::UrlNotAllowed),
        Action::ChangeUrl { url, time } => control().and_then(|()| playback::change_url(room, user, url, *time, now)),
        Action::GuestControl { enabled } => guest_control(room, user, *enabled),
        Action::TransferHost { to } => transfer_host(room, user, to),
        Action::SetRole { to, role } => set_role(room, user, to, *role),
        Action::Kick { who, note } => kick(room, user, who, note.clone(), policy, now),
        Action::LockRoom { locked } => moderation::lock(room, user, *locked),
        Action::SetPin { pin } => moderation::set_pin(room, user, *pin),
        Action::Ban { who, note } => moderation::ban(room, user, who, note.clone(), policy, now),
        Action::Unban { who } => moderation::unban(room, user, who),
        Action::Broadcast { event, data } => {
            allow(member.has(Right::Broadcast))?;
            Ok(vec![Change::Broadcast { by: user.clone(), event: event.clone(), data: data.clone() }])
        }
        Action::Regrant { grant, username } => Ok(grant::again(room, user, grant, username.as_deref())),
    }
}

/// A name that a token gives is not the member's to change.
fn rename(member: &Member, username: &str) -> Result<Vec<Change>, Refusal> {
    allow(member.grant.as_ref().is_none_or(|grant| !grant.named))?;
    Ok(vec![Change::Renamed { user: member.user.clone(), username: username.into() }])
}

fn guest_control(room: &Room, by: &UserId, enabled: bool) -> Result<Vec<Change>, Refusal> {
    allow(room.moderates(by))?;
    Ok(vec![Change::GuestControl { enabled, by: by.clone() }])
}

fn transfer_host(room: &Room, by: &UserId, to: &UserId) -> Result<Vec<Change>, Refusal> {
    allow(room.is_host(by) && room.moderates(by))?;
    allow(may_get(require(room, to)?, GrantedRole::Host))?;
    Ok(vec![Change::HostChanged { host: to.clone() }])
}

fn set_role(room: &Room, by: &UserId, to: &UserId, role: Role) -> Result<Vec<Change>, Refusal> {
    allow(room.is_host(by) && room.moderates(by) && by != to)?;
    allow(role == Role::Member || may_get(require(room, to)?, GrantedRole::CoHost))?;
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
    allow(room.moderates(by) && by != who && !room.is_host(who))?;
    require(room, who)?;
    Ok(leave(room, who, LeftReason::Removed { by: by.clone(), note }, policy, now))
}

pub(super) fn allow(allowed: bool) -> Result<(), Refusal> {
    if allowed { Ok(()) } else { Err(Refusal::Forbidden) }
}

fn require<'a>(room: &'a Room, user: &UserId) -> Result<&'a Member, Refusal> {
    room.members.get(user).ok_or(Refusal::NoSuchMember)
}

/// Whether a member may be given a role: one that its token does not rule out.
fn may_get(member: &Member, role: GrantedRole) -> bool {
    member.granted_role().is_none_or(|granted| granted == GrantedRole::Host || granted == role)
}
