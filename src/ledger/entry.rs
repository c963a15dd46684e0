use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Event;
use crate::{
    clock::Millis,
    id::{RoomId, UserId},
    room::{Change, Digest, Member, Room, Update},
};

/// What one commit leaves in the ledger: its events, and the room as it is afterwards.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// In order of their versions. Empty when only the position of the film is new.
    pub events: Vec<Event>,
    /// For the projection `rooms`.
    pub room: RoomRow,
    /// For the projection `users`: those whose seat is new or changed. Who left is in the events.
    pub seats: Vec<Member>,
}

/// A row of `rooms`: what has to be known to open the room again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the columns of schema/")]
pub struct RoomRow {
    pub id: RoomId,
    pub epoch: u64,
    pub version: u64,
    pub host: Option<UserId>,
    pub host_origin: Option<Digest>,
    pub url: Option<Arc<str>>,
    pub position: f64,
    pub playing: bool,
    pub rate: f64,
    /// When `position` was true.
    pub position_at: Millis,
    pub guest_control: bool,
    pub pin: Option<Digest>,
    pub empty_until: Option<Millis>,
    pub archived: bool,
    pub at: Millis,
}

impl Entry {
    /// Nothing when the update has nothing that is worth a row.
    pub fn new(update: &Update, events: Vec<Event>, after: &Room) -> Option<Self> {
        let moved = |change: &Change| matches!(change, Change::Heartbeat { .. } | Change::Corrected { .. });
        if events.is_empty() && !update.changes.iter().any(moved) {
            return None;
        }
        let host = after.shown_host();
        let seated = host.and_then(|host| after.members.get(host)).map(|member| member.origin);
        let row = RoomRow {
            id: after.id.clone(),
            epoch: update.epoch,
            version: update.version(),
            host: host.cloned(),
            host_origin: seated.or_else(|| after.vacancy.as_ref().and_then(|vacancy| vacancy.origin)),
            url: after.url.clone(),
            position: after.timeline.position,
            playing: after.timeline.playing,
            rate: after.timeline.rate,
            position_at: after.timeline.at,
            guest_control: after.guest_control,
            pin: after.pin,
            empty_until: after.empty_until,
            archived: !after.exists(),
            at: update.at,
        };
        let seats = update.changes.iter().filter_map(seated_by).filter_map(|user| after.members.get(user)).cloned();
        Some(Self { events, room: row, seats: seats.collect() })
    }
}

fn seated_by(change: &Change) -> Option<&UserId> {
    match change {
        Change::Joined { member, .. } | Change::Rejoined { member, .. } | Change::Back { member, .. } => {
            Some(&member.user)
        }
        Change::Renamed { user, .. } | Change::RoleChanged { user, .. } => Some(user),
        _ => None,
    }
}
