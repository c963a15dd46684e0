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

/// What one commit writes to the ledger: its events, and the room after it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// In the order of versions. Empty if only the position of the film has changed.
    pub events: Vec<Event>,
    /// The row for the table `rooms`.
    pub room: RoomRow,
    /// The rows for the table `users`: members whose seat is new or has changed. Departures are in the events.
    pub seats: Vec<Member>,
}

// A row of `users`, without the columns that a seat does not know: its room, and when it was taken and left.
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
        token_beside: Option<Box<Digest>>,
        presence: Presence,
        watching: bool,
        unknown: UnknownFields,
    }
}

impl Entry {
    /// `None` if the update has nothing to record.
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
