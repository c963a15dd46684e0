//! Playback. The caller checks the rights, except for heartbeats, which only leaders send.

use crate::{
    clock::Millis,
    id::UserId,
    room::{Change, Gate, MAX_POSITION, Playback, Policy, Refusal, Room, Sent, UrlTime, is_same_page},
};

#[inline]
pub(super) fn play_pause(
    room: &Room,
    by: &UserId,
    playing: bool,
    position: Option<f64>,
    event: Option<f64>,
    rate: Option<f64>,
    now: Millis,
) -> Vec<Change> {
    let playback = Playback {
        position: position.unwrap_or_else(|| room.timeline.position_at(now)),
        playing,
        rate: rate.unwrap_or(room.timeline.rate),
    };
    let sent = Sent { position: position.is_some(), rate: rate.is_some() };
    vec![Change::PlayPause { by: by.clone(), event, playback, sent }]
}

pub(super) fn seek(
    room: &Room,
    by: &UserId,
    position: f64,
    playing: bool,
    event: Option<f64>,
    policy: &Policy,
    now: Millis,
) -> Vec<Change> {
    let playback = Playback { position, playing, rate: room.timeline.rate };
    let waiting: Vec<_> = room
        .members
        .values()
        .filter(|member| member.watching && member.present() && member.user != *by)
        .map(|member| member.user.clone())
        .collect();
    let gate = playing.then(|| Gate {
        target: position,
        opened: now,
        deadline: now + policy.gate_deadline,
        waiting,
        ready: 0,
    });
    // A gate without members to wait for opens at once: members that do not report positions may have paused all the same.
    let release = gate.as_ref().filter(|gate| gate.satisfied()).map(|gate| gate.release(&playback.timeline(now, by)));
    let mut changes = vec![Change::Sought { by: by.clone(), event, playback, gate }];
    changes.extend(release);
    changes
}

pub(super) fn ready(room: &Room, user: &UserId, target: f64) -> Vec<Change> {
    let Some(gate) = &room.gate else { return Vec::new() };
    #[allow(clippy::float_cmp, reason = "READY echoes the very number; anything else belongs to another seek")]
    let fits = gate.target == target && gate.waiting.contains(user);
    if !fits {
        return Vec::new();
    }
    let mut changes = vec![Change::Ready { user: user.clone() }];
    let mut after = gate.clone();
    after.forget(user);
    after.ready += 1;
    if after.satisfied() {
        changes.push(gate.release(&room.timeline));
    }
    changes
}

pub(super) fn heartbeat(
    room: &Room,
    by: &UserId,
    position: f64,
    playing: bool,
    event: Option<f64>,
    policy: &Policy,
    now: Millis,
) -> Result<Vec<Change>, Refusal> {
    if policy.enforce_control && !room.leads(by) {
        return Err(Refusal::Forbidden);
    }
    // A heartbeat would undo a seek while members load, or just after another member moved the film.
    if room.gate.is_some() || !room.timeline.trusts(by, now) {
        return Ok(Vec::new());
    }
    let playback = Playback { position, playing, rate: room.timeline.rate };
    Ok(vec![Change::Heartbeat { by: by.clone(), event, playback }])
}

pub(super) fn report(room: &Room, by: &UserId, position: f64, playing: bool, now: Millis) -> Vec<Change> {
    let heard = room.is_host(by) && room.gate.is_none() && room.timeline.trusts(by, now);
    // Players report 0 before they have loaded.
    if !heard || position <= 0.0 || !room.timeline.disagrees(position, playing, now) {
        return Vec::new();
    }
    let playback = Playback { position, playing, rate: room.timeline.rate };
    vec![Change::Corrected { by: by.clone(), playback }]
}

pub(super) fn watching(room: &Room, user: &UserId, watching: bool) -> Vec<Change> {
    let known = room.members.get(user).is_some_and(|member| member.watching == watching);
    if known { Vec::new() } else { vec![Change::Watching { user: user.clone(), watching }] }
}

pub(super) fn change_url(
    room: &Room,
    by: &UserId,
    url: &str,
    time: Option<UrlTime>,
    now: Millis,
) -> Result<Vec<Change>, Refusal> {
    let same = room.url.as_deref().is_some_and(|on| is_same_page(on, url));
    let known = same.then(|| room.timeline.position_at(now));
    let time = time.map(|time| time.in_seconds(known));
    // The frame was read before it was known whether its time is in seconds.
    if time.is_some_and(|time| time > MAX_POSITION) {
        return Err(Refusal::TooFar);
    }
    // First-generation clients say their url whenever their page loads, and stop at the url of others. So a guest that loads the page
    // that is on already would stop the film for everybody.
    if same && !room.is_host(by) {
        return Ok(Vec::new());
    }
    // The same page again (a host that reloaded) moves the film but does not stop it; another film starts at its beginning, paused.
    let playback = Playback {
        position: time.or(known).unwrap_or(0.0),
        playing: same && room.timeline.playing,
        rate: if same { room.timeline.rate } else { 1.0 },
    };
    Ok(vec![Change::UrlChanged { by: by.clone(), url: url.into(), time, playback }])
}
