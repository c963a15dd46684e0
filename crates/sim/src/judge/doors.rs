//! What the host and the co-hosts decided about who may come in holds in each version that follows.

use std::collections::{BTreeSet, HashMap, HashSet};

use serde_json::Value;
use tandem::{
    id::{ConnId, RoomId},
    room::Shown,
};

use super::{court::Court, door::Door, field::number, verdict::Crime};
use crate::{
    record::{Entered, Event, Line},
    world::keys,
};

/// The room after each change of a commit, and before the first.
struct Span {
    base: u64,
    doors: Vec<Door>,
}

impl Court<'_> {
    pub(super) fn doors(&mut self, events: &[Entered]) {
        let shown = shown(events);
        // By the mark of the version: after a loss the room goes on from an older one.
        let mut known: HashMap<u64, Door> = [(0, Door::default())].into();
        let (mut spans, mut lists) = (Vec::new(), HashSet::from([BTreeSet::new()]));
        let (mut asked, mut senders) = (HashMap::<u64, &Value>::new(), HashMap::new());
        let mut found = Vec::new();
        for Entered { at, event } in events {
            match event {
                Event::Commit { update, marks, .. } => {
                    let Some(mut door) = known.get(&marks.0).cloned() else { continue };
                    let mut doors = vec![door.clone()];
                    for change in &update.changes {
                        if let Some(why) = door.refuses(change, |conn| shown.get(&conn).copied()) {
                            found.push((Crime::Doors, *at, format!("somebody {why}: {change:?}")));
                        }
                        door.apply(change);
                        lists.insert(door.bans.keys().map(ToString::to_string).collect());
                        doors.push(door.clone());
                    }
                    spans.push(Span { base: update.base, doors });
                    known.insert(marks.1, door);
                }
                Event::Open { line, user, .. } => drop(senders.insert(*line, user)),
                Event::Sent { frame, .. } => drop(asked.insert(number(frame, "id"), frame)),
                Event::Got { line, frame } if frame["type"] == "ACK" => {
                    if let Some(frame_asked) = asked.get(&number(frame, "id"))
                        && !happened(frame_asked, number(frame, "version"), &spans)
                    {
                        let who = senders.get(line);
                        found.push((
                            Crime::Forgotten,
                            *at,
                            format!("{who:?} got an ACK for {frame_asked}, which never was"),
                        ));
                    }
                }
                Event::Got { line, frame } if frame["type"] == "BANS" => {
                    let bans = frame["bans"].as_array().map(Vec::as_slice).unwrap_or_default();
                    let bans: BTreeSet<_> =
                        bans.iter().map(|ban| ban["userId"].as_str().unwrap_or_default().to_owned()).collect();
                    if !lists.contains(&bans) {
                        found.push((
                            Crime::Invented,
                            *at,
                            format!("{line:?} was told of bans that never were: {bans:?}"),
                        ));
                    }
                }
                Event::End { rooms, .. } => {
                    for room in rooms {
                        if known.get(&room.lineage_hash).is_some_and(|door| door.differs_from(room)) {
                            found.push((
                                Crime::Doors,
                                *at,
                                format!("{:?} and not {room:?}", known[&room.lineage_hash]),
                            ));
                        }
                    }
                }
                _ => {}
            }
        }
        found.into_iter().for_each(|(crime, at, what)| self.find(crime, at, what));
    }
}

/// The PIN that each socket showed which came in.
fn shown(events: &[Entered]) -> HashMap<ConnId, Option<Shown>> {
    let (keys, room) = (keys(), RoomId::parse("r").unwrap());
    let mut by_line: HashMap<Line, Option<Shown>> = HashMap::new();
    let mut shown = HashMap::new();
    for Entered { event, .. } in events {
        match event {
            Event::Sent { line, frame } if frame["type"] == "JOIN" => {
                by_line.insert(*line, frame["pin"].as_str().map(|pin| keys.pin(&room, pin)));
            }
            Event::Got { line, frame } if frame["type"] == "ROOM_STATE" => {
                let session = frame["session"].as_str().and_then(|session| session.parse().ok());
                if let (Some(session), Some(pin)) = (session, by_line.get(line)) {
                    shown.insert(ConnId(session), *pin);
                }
            }
            _ => {}
        }
    }
    shown
}

/// Whether what was acknowledged with a version was so in it, or in another version of its commit.
fn happened(asked: &Value, version: u64, spans: &[Span]) -> bool {
    let (keys, room) = (keys(), RoomId::parse("r").unwrap());
    let target = asked["targetUserId"].as_str().unwrap_or_default();
    let is_banned = |door: &Door| door.bans.keys().any(|user| user.as_str() == target);
    let so = |door: &Door| match asked["type"].as_str() {
        Some("BAN") => is_banned(door),
        Some("UNBAN") => !is_banned(door),
        Some("LOCK_ROOM") => asked["locked"] == door.locked,
        Some("SET_PIN") => match (asked["pin"].as_str(), door.pin) {
            (Some(pin), Some(set)) => keys.pin(&room, pin).fits(set),
            (pin, set) => pin.is_none() && set.is_none(),
        },
        _ => true,
    };
    let is_of = |span: &&Span| (span.base..=span.base + span.doors.len() as u64 - 1).contains(&version);
    spans.iter().filter(is_of).any(|span| span.doors.iter().any(so))
}
