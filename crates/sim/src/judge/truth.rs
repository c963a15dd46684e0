use std::collections::{HashMap, HashSet};

use serde_json::Value;
use tandem::{
    id::{NodeId, UserId},
    protocol::{Audience, Stamp, announce, encode},
    room::{Change, Update},
};

use crate::record::{Entered, Event};

/// A frame, and the members that it is for.
pub(super) struct Told {
    pub(super) to: To,
    pub(super) kind: String,
    pub(super) frame: Value,
}

pub(super) enum To {
    All,
    AllBut(UserId),
}

impl Told {
    pub(super) fn is_for(&self, user: &UserId) -> bool {
        match &self.to {
            To::All => true,
            To::AllBut(other) => other != user,
        }
    }

    /// Whether a member may miss it: a heartbeat that a newer one replaced, what a frame says of the member itself, or what clients of the first
    /// generation do not get.
    pub(super) fn is_optional(&self, user: &UserId, modern: bool) -> bool {
        match self.kind.as_str() {
            "HOST_HEARTBEAT" => true,
            "ROOM_LOCKED" | "PIN_CHANGED" => !modern,
            "USER_LEFT" | "MEMBER_AWAY" | "MEMBER_BACK" => self.frame["userId"] == user.as_str(),
            _ => false,
        }
    }
}

/// One way in which a version came about. After a loss there may be several.
pub(super) struct Step {
    pub(super) told: Vec<Told>,
}

pub(super) struct Committed<'a> {
    /// The number of the event in the story.
    pub(super) place: usize,
    pub(super) at: u64,
    pub(super) update: &'a Update,
    pub(super) marks: (u64, u64),
}

pub(super) struct Truth<'a> {
    pub(super) steps: HashMap<(u64, u64), Vec<Step>>,
    pub(super) commits: Vec<Committed<'a>>,
}

impl<'a> Truth<'a> {
    pub(super) fn of(events: &'a [Entered]) -> Self {
        let (mut steps, mut commits) = (HashMap::<_, Vec<Step>>::new(), Vec::new());
        for (place, Entered { at, event }) in events.iter().enumerate() {
            let Event::Commit { update, marks, .. } = event else { continue };
            for (version, change) in (update.base + 1..).zip(&update.changes) {
                let mut told = Vec::new();
                announce(change, Stamp { epoch: update.epoch, version, timestamp: update.at }, |audience, frame| {
                    let frame: Value = serde_json::from_str(encode(&frame).as_str()).unwrap_or_default();
                    if frame["version"].is_u64() {
                        let kind = frame["type"].as_str().unwrap_or_default().to_owned();
                        told.push(Told { to: to(audience), kind, frame });
                    }
                });
                steps.entry((update.epoch, version)).or_default().push(Step { told });
            }
            commits.push(Committed { place, at: *at, update, marks: *marks });
        }
        Self { steps, commits }
    }

    /// Whether a member may have been told nothing of a version.
    pub(super) fn is_silent(&self, point: (u64, u64), user: &UserId, modern: bool) -> Option<bool> {
        let steps = self.steps.get(&point)?;
        let silent = |step: &Step| step.told.iter().all(|told| !told.is_for(user) || told.is_optional(user, modern));
        Some(steps.iter().any(silent))
    }
}

fn to(audience: Audience<'_>) -> To {
    match audience {
        Audience::All => To::All,
        Audience::AllBut(user) => To::AllBut(user.clone()),
    }
}

/// Whether, when the store lost something, a node had a copy of the room to put back: one on which a member was last. A node that stood still
/// from then on until somebody founded the room anew does not count.
pub(super) fn is_held(events: &[Entered], loss: usize) -> bool {
    let (mut seats, mut paused) = (HashMap::<&UserId, &NodeId>::new(), HashSet::new());
    let (before, after) = events.split_at(loss);
    for Entered { event, .. } in before {
        match event {
            Event::Paused { node } => drop(paused.insert(node)),
            Event::Woke { node } => drop(paused.remove(node)),
            Event::Died { node } => seats.retain(|_, of| *of != node),
            Event::Commit { update, .. } => {
                for change in &update.changes {
                    match change {
                        Change::Joined { member, .. }
                        | Change::Rejoined { member, .. }
                        | Change::Back { member, .. } => {
                            seats.insert(&member.user, &member.node);
                        }
                        Change::Left { user, .. } => drop(seats.remove(user)),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    let is_founded = |entered: &&Entered| matches!(&entered.event, Event::Commit { update, .. } if update.base == 0);
    for Entered { event, .. } in after.iter().take_while(|entered| !is_founded(entered)) {
        if let Event::Woke { node } = event {
            paused.remove(node);
        }
    }
    seats.values().any(|node| !paused.contains(node))
}

/// Whether the store lost this commit, and no node could put it back: none had been told before that it was in force, or the only one that had
/// died, or none had a copy of the room any more.
pub(super) fn excused(commit: &Committed<'_>, events: &[Entered]) -> bool {
    let after = events.get(commit.place..).unwrap_or_default();
    let is_lost = |entered: &Entered| matches!(entered.event, Event::Loss { since } if since <= commit.at);
    let Some(loss) = after.iter().position(is_lost) else { return false };
    let knows = after.iter().take(loss).find_map(|entered| match &entered.event {
        Event::Known { node, point } if *point == commit.update.position() => Some(node),
        _ => None,
    });
    if !is_held(events, commit.place + loss) {
        return true;
    }
    let died = |node: &NodeId| {
        after.iter().any(|entered| matches!(&entered.event, Event::Died { node: dead } if dead == node))
    };
    knows.is_none_or(died)
}
