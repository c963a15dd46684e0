use std::collections::HashMap;

use serde_json::Value;
use tandem::{
    id::UserId,
    protocol::{Audience, Stamp, announce, encode},
    room::Update,
};

use crate::record::{Entered, Event};

/// A frame that members are told, and whom.
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

    /// Whether a member may do without it: a heartbeat that a newer one replaced, and what is said of somebody to itself.
    pub(super) fn is_optional(&self, user: &UserId) -> bool {
        match self.kind.as_str() {
            "HOST_HEARTBEAT" => true,
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
        for Entered { at, event } in events {
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
            commits.push(Committed { at: *at, update, marks: *marks });
        }
        Self { steps, commits }
    }

    /// Whether a member need not have been told anything of a version.
    pub(super) fn is_silent(&self, point: (u64, u64), user: &UserId) -> Option<bool> {
        let steps = self.steps.get(&point)?;
        let silent = |step: &Step| step.told.iter().all(|told| !told.is_for(user) || told.is_optional(user));
        Some(steps.iter().any(silent))
    }
}

fn to(audience: Audience<'_>) -> To {
    match audience {
        Audience::All => To::All,
        Audience::AllBut(user) => To::AllBut(user.clone()),
    }
}

/// Whether the store forgot this commit, and its node never knew that it was in force, or died; or somebody came in where the room was not
/// put back yet, so that it was founded anew. The latter is a known gap: a node without a copy cannot tell a new room from a lost one.
pub(super) fn excused(commit: &Committed<'_>, events: &[Entered]) -> bool {
    let is_lost = |entered: &Entered| matches!(entered.event, Event::Loss { since } if since <= commit.at && commit.at <= entered.at);
    let lost = events.iter().any(is_lost);
    let is_founded = |entered: &Entered| matches!(&entered.event, Event::Commit { update, .. } if update.base == 0);
    if let Some(loss) = events.iter().rposition(is_lost)
        && events[loss..].iter().any(is_founded)
    {
        return true;
    }
    let known = events.iter().find_map(|entered| match &entered.event {
        Event::Known { node, point } if *point == commit.update.position() => Some((entered.at, node)),
        _ => None,
    });
    let Some((at, knows)) = known else { return lost };
    let died = |entered: &Entered| entered.at >= at && matches!(&entered.event, Event::Died { node } if node == knows);
    lost && events.iter().any(died)
}
