//! What comes on the channels of nodes and rooms in Redis, from whoever can publish there.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tandem::{
    backend::records::{Codec, Fields, LINEAGE, ROOM, encode_lineage, member_field},
    id::{ConnId, NodeId, RoomId, UserId},
    protocol::{Stamp, announce, encode},
    room::{Command, Digest, Join, Policy, Room, Update, decide, next_due},
};
use tandem_fuzz::json;

const NOW: u64 = 1_793_491_200_000;

/// A room with three members.
static PARTY: LazyLock<Room> = LazyLock::new(|| {
    let mut room = Room::vacant(RoomId::parse("party").unwrap());
    for (number, name) in (1..).zip(["ana", "ben", "cem"]) {
        let join = Join {
            user: UserId::parse(name).unwrap(),
            conn: ConnId(uuid::Uuid::from_u64_pair(0, number)),
            node: NodeId::parse("n1").unwrap(),
            origin: Digest::new([7; 32]).into(),
            username: Some(name.into()),
            pin: None,
            proof: None,
            token: Some(Digest::new([2; 32])),
            asked: None,
            again: false,
            grant: None,
            invited: false,
            shares: true,
        };
        room = decide(&room, &Command::Join(join), &Policy::default(), NOW).unwrap().after;
    }
    room
});

/// The room is what it was after it went through Redis.
fn check(room: &Room, codec: &Codec) {
    let mut fields = Fields::from([
        (b"v".to_vec(), room.version.to_string().into_bytes()),
        (b"e".to_vec(), room.epoch.to_string().into_bytes()),
        (LINEAGE.into(), encode_lineage(room)),
        (ROOM.into(), codec.encode_room(room).unwrap()),
    ]);
    for member in room.members.values() {
        fields.insert(member_field(&member.user).into_bytes(), codec.encode_member(member).unwrap());
    }
    // A room that no node decides may be one that no node reads.
    if let Ok(again) = codec.decode_room(&room.id, &fields) {
        assert_eq!(codec.encode_room(&again).unwrap(), codec.encode_room(room).unwrap());
    }
}

fuzz_target!(|data: &[u8]| {
    let codec = Codec::default();
    if let Ok(signal) = codec.decode_signal(data) {
        let again = codec.decode_signal(&codec.encode_signal(&signal)).unwrap();
        assert_eq!(again, signal);
    }
    let head = codec.decode_head(data);
    let Ok(update) = codec.decode_update(&PARTY.id, data) else { return };
    assert_eq!(head.unwrap().position(), update.position());
    let record = codec.encode_update(&update);
    let again = codec.decode_update(&PARTY.id, &record).unwrap();
    assert_eq!(codec.encode_update(&again), record);
    let _ = update.footprint();
    for mut room in [Room::vacant(PARTY.id.clone()), PARTY.clone()] {
        // As it would have to be to be believed.
        let Update { at, changes, .. } = &update;
        for change in changes {
            room.apply(change, *at);
            let stamp = Stamp { epoch: room.epoch, version: room.version, timestamp: *at };
            announce(change, stamp, |_, frame| json::check(&encode(&frame)));
        }
        let policy = Policy::default();
        let _ = next_due(&room, &policy);
        for now in [NOW, *at] {
            let _ = decide(&room, &Command::Tick, &policy, now);
        }
        check(&room, &codec);
    }
});
