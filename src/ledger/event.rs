use serde::{Deserialize, Serialize};
use uuid::{Builder, Uuid};

use super::{EventType, table::columns, trace::describe};
use crate::{
    clock::Millis,
    id::{NodeId, RoomId, SERVER, UserId},
    room::{Json, Update},
};

/// A row of `room_events`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the columns of schema/")]
pub struct Event {
    /// A `UUIDv7`, made when the event was decided: a second write of it has no effect.
    pub id: Uuid,
    pub room: RoomId,
    pub kind: EventType,
    pub user: Box<str>,
    pub data: Json,
    pub at: Millis,
    pub epoch: u64,
    pub version: u64,
    pub node: NodeId,
}

columns! {
    write Event {
        id => "id" Id,
        room => "room_id" Text,
        kind => "event_type" Text,
        user => "user_id" Text,
        data => "data" Json,
        at => "created_at" Time,
        epoch => "epoch" BigInt,
        version => "version" BigInt,
        node => "node_id" Text,
    }
}

/// The events for the audited changes of `update`.
pub fn events(update: &Update, node: &NodeId) -> Vec<Event> {
    let mut events = Vec::new();
    for (offset, change) in (1..).zip(&update.changes) {
        let Some((kind, user, data)) = describe(change) else { continue };
        events.push(Event {
            id: Builder::from_unix_timestamp_millis(update.at, &rand::random()).into_uuid(),
            room: update.room.clone(),
            kind,
            user: user.map_or(SERVER, UserId::as_str).into(),
            data,
            at: update.at,
            epoch: update.epoch,
            version: update.base + offset,
            node: node.clone(),
        });
    }
    events
}
