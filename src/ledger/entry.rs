use serde::{Deserialize, Serialize};

use super::{
    Event, RoomRow,
    table::columns,
    trace::{Projection, projection},
};
use crate::{
    id::NodeId,
    room::{Digest, Member, Presence, Room, UnknownFields, Update},
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

// A row of `users`, but for what a seat does not know of itself: its room, and when it was taken and left.
columns! {
    write and read Member {
        user => "id" Text,
        username => "username" Text,
        role => "role" Text,
        order => "seat_order" BigInt,
        conn => "peer_id" Text,
        token => "token_digest" Text,
        origin => "origin" Text,
    } beside {
        node: NodeId,
        token_before: Option<Digest>,
        token_beside: Option<Digest>,
        presence: Presence,
        watching: bool,
        unknown: UnknownFields,
    }
}

impl Entry {
    /// Nothing when the update has nothing that is worth a row.
    pub fn new(update: &Update, events: Vec<Event>, after: &Room) -> Option<Self> {
        let projections = || update.changes.iter().map(projection);
        if events.is_empty() && projections().all(|projection| projection == Projection::Nothing) {
            return None;
        }
        let seat =
            |projection| if let Projection::Seat(user) = projection { after.members.get(user).cloned() } else { None };
        Some(Self { events, room: RoomRow::new(update, after), seats: projections().filter_map(seat).collect() })
    }
}
