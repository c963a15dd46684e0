use minicbor::{Decode, Decoder, Encode};

use super::{Codec, NEWEST, RecordError, open_map::append};
use crate::{
    id::{NodeId, RoomId},
    ledger::{Entry, RoomState},
    room::Member,
};

/// What comes before the update in an entry.
#[derive(Encode, Decode)]
struct Head {
    #[n(0)]
    node: NodeId,
    #[n(1)]
    room: RoomId,
    #[n(2)]
    state: Option<Box<RoomState>>,
    #[cbor(n(3), skip_if = "Vec::is_empty")]
    seats: Vec<Member>,
    #[cbor(n(4), skip_if = "Vec::is_empty")]
    payloads: Vec<u64>,
}

/// Encodes an entry without its update, which follows as a record of its own: the commit script has it already.
pub fn encode_entry_head(entry: &Entry, codec: &Codec) -> Vec<u8> {
    let Entry { node, update, payloads, state, seats } = entry;
    let mut record = codec.begin();
    let head = Head {
        node: node.clone(),
        room: update.room.clone(),
        state: state.clone(),
        seats: seats.clone(),
        payloads: payloads.clone(),
    };
    append(&head, &mut record);
    record
}

/// Encodes a ledger entry.
pub fn encode_entry(entry: &Entry, codec: &Codec) -> Vec<u8> {
    let mut record = encode_entry_head(entry, codec);
    record.extend(codec.encode_update(&entry.update));
    record
}

/// Decodes a ledger entry.
pub fn decode_entry(record: &[u8]) -> Result<Entry, RecordError> {
    let codec = Codec::new(NEWEST);
    let rest = codec.open(record)?;
    let mut decoder = Decoder::new(rest);
    let Head { node, room, state, seats, payloads } = decoder.decode()?;
    let update = codec.decode_update(&room, rest.get(decoder.position()..).unwrap_or_default())?;
    Ok(Entry { node, update: update.into(), payloads, state, seats })
}
