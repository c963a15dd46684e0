//! Rooms, members and entries of the ledger as Redis holds them: what is read is written again without a loss, fields of a later release too.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tandem::{
    backend::records::{
        Codec, Fields, LINEAGE, ROOM, decode_entry, encode_entry, encode_lineage, member_field, raw_position,
    },
    id::RoomId,
    room::Room,
};
use tandem_fuzz::pieces::Pieces;

fn encode(codec: &Codec, room: &Room) -> Fields {
    let mut fields = Fields::from([
        (b"v".to_vec(), room.version.to_string().into_bytes()),
        (b"e".to_vec(), room.epoch.to_string().into_bytes()),
        (LINEAGE.into(), encode_lineage(room)),
        (ROOM.into(), codec.encode_room(room).unwrap()),
    ]);
    for member in room.members.values() {
        fields.insert(member_field(&member.user).into_bytes(), codec.encode_member(member).unwrap());
    }
    fields
}

fn room(data: &[u8]) {
    let (codec, mut pieces, mut fields) = (Codec::default(), Pieces(data), Fields::new());
    while let (Some(name), Some(value)) = (pieces.short(), pieces.long()) {
        fields.insert(name.to_vec(), value.to_vec());
    }
    let id = RoomId::parse("film night").unwrap();
    let _ = raw_position(&fields);
    let Ok(room) = codec.decode_room(&id, &fields) else { return };
    if !fields.contains_key(ROOM.as_bytes()) {
        return assert!(!room.exists());
    }
    let written = encode(&codec, &room);
    let again = codec.decode_room(&id, &written).unwrap_or_else(|error| panic!("{error}: {room:?}"));
    assert_eq!(again.unknown, room.unknown);
    for (user, member) in room.members.iter() {
        assert_eq!(again.members[user].unknown, member.unknown);
    }
    assert_eq!(encode(&codec, &again), written);
}

fn entry(data: &[u8]) {
    let Ok(entry) = decode_entry(data) else { return };
    let codec = Codec::default();
    let written = encode_entry(&entry, &codec);
    let again = decode_entry(&written).unwrap_or_else(|error| panic!("{error}: {entry:?}"));
    assert_eq!(encode_entry(&again, &codec), written);
    assert_eq!(entry.events().len() as u64, entry.event_count());
}

fuzz_target!(|data: &[u8]| {
    match data.split_first() {
        Some((b'r', rest)) => room(rest),
        Some((b'e', rest)) => entry(rest),
        _ => {}
    }
});
