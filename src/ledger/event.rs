use std::hash::Hasher as _;

use siphasher::sip128::{Hasher128 as _, SipHasher13};
use uuid::{Builder, Uuid};

use super::{EventType, table::columns};
use crate::{
    clock::Millis,
    id::{NodeId, RoomId},
    room::Json,
};

/// A row of `room_events`.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the columns of schema/")]
pub struct Event {
    /// A UUIDv7 of the time and a hash of room, epoch and version: a second write of the event has the same id.
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

/// The id of an event: a `UUIDv7` of its time, with a hash in place of random bits. It follows from the event, so a second write of the
/// event has no effect. The hash must never change, because workers of different releases may write the same entry.
pub(super) fn event_id(room: &RoomId, epoch: u64, version: u64, at: Millis) -> Uuid {
    let mut hash = SipHasher13::new();
    hash.write(&epoch.to_le_bytes());
    hash.write(&version.to_le_bytes());
    hash.write(room.as_str().as_bytes());
    let [bytes @ .., _, _, _, _, _, _] = hash.finish128().as_u128().to_le_bytes();
    Builder::from_unix_timestamp_millis(at, &bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_for_ever() {
        let room = RoomId::parse("film night").unwrap();
        let id = |epoch, version, at| event_id(&room, epoch, version, at);
        assert_eq!(id(1_700_000_000_000, 7, 1_700_000_000_001).to_string(), "018bcfe5-6801-75ae-a3df-bf791328de3c");
        assert_ne!(id(1, 2, 3), id(2, 1, 3));
        assert_ne!(id(1, 2, 3), event_id(&RoomId::parse("another").unwrap(), 1, 2, 3));
    }
}
