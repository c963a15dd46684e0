use std::{collections::HashMap, sync::Arc};

use super::{Codec, RecordError, open_map};
use crate::{
    id::{RoomId, UserId},
    room::{Ban, Bans, Footprint, Member, Members, Room, Update, no_bans},
};

/// The field of a room without its members.
pub const ROOM: &str = "room";
/// The field of the last update that changed nothing but the playback, after the one that wrote [`ROOM`].
pub const PLAYBACK: &str = "u";
/// The field of [`Room::lineage_hash`], eight bytes, and of the version once more.
pub const LINEAGE: &str = "l";
/// The field that remains of a closed room: its epoch.
const CLOSED: &str = "c";

/// The name of the field of a member.
pub fn member_field(user: &UserId) -> String {
    format!("m:{user}")
}

/// The name of the field of a ban.
pub fn ban_field(user: &UserId) -> String {
    format!("b:{user}")
}

/// The fields of a hash in Redis.
pub type Fields = HashMap<Vec<u8>, Vec<u8>>;

/// The version and the epoch of a hash, without validation.
pub fn raw_position(fields: &Fields) -> [Vec<u8>; 2] {
    ["v", "e"].map(|name| fields.get(name.as_bytes()).cloned().unwrap_or_else(|| b"0".to_vec()))
}

/// A field that is a number.
fn number(fields: &Fields, name: &str) -> Result<Option<u64>, RecordError> {
    let Some(text) = fields.get(name.as_bytes()) else { return Ok(None) };
    let number = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    number.map(Some).ok_or(RecordError::Number)
}

/// Encodes the value of [`LINEAGE`].
pub fn encode_lineage(room: &Room) -> Vec<u8> {
    [&room.lineage_hash.to_be_bytes()[..], room.version.to_string().as_bytes()].concat()
}

/// The lineage hash, if the field is of this version.
fn decode_lineage(field: &[u8], version: &[u8]) -> Option<u64> {
    let (hash, of) = field.split_first_chunk()?;
    (of == version).then(|| u64::from_be_bytes(*hash))
}

impl Codec {
    /// Encodes a room without its members.
    pub fn encode_room(&self, room: &Room) -> Result<Vec<u8>, RecordError> {
        let mut record = self.begin();
        open_map::write(room, &room.unknown, &mut record)?;
        Ok(record)
    }

    /// Encodes a member: the node of its socket, then the rest.
    pub fn encode_member(&self, member: &Member) -> Result<Vec<u8>, RecordError> {
        let mut record = self.begin();
        if member.present() {
            record.extend(member.node.as_str().bytes());
        }
        record.push(b'\n');
        open_map::write(member, &member.unknown, &mut record)?;
        Ok(record)
    }

    /// Encodes a ban.
    pub fn encode_ban(&self, ban: &Ban) -> Vec<u8> {
        let mut record = self.begin();
        open_map::append(ban, &mut record);
        record
    }

    fn decode_bans(&self, fields: &Fields) -> Result<Bans, RecordError> {
        let records = fields.iter().filter(|(field, _)| field.starts_with(b"b:"));
        let bans = records.map(|(_, record)| Ok(minicbor::decode(self.open(record)?)?));
        let mut bans: Vec<Ban> = bans.collect::<Result<_, RecordError>>()?;
        bans.sort_unstable_by(|one, other| (one.at, &one.user).cmp(&(other.at, &other.user)));
        Ok(bans.into_iter().map(|ban| (ban.user.clone(), ban)).collect())
    }

    fn decode_member(&self, record: &[u8]) -> Result<Member, RecordError> {
        let rest = self.open(record)?;
        let end = rest.iter().position(|byte| *byte == b'\n').ok_or(RecordError::Header)?;
        let (member, unknown) = open_map::read(rest.get(end + 1..).unwrap_or_default(), Member::FIELDS)?;
        Ok(Member { unknown, ..member })
    }

    /// Decodes the room of a hash; without a room it is vacant, with the epoch of the closed one. Version and epoch of the hash must be
    /// possible for what it contains: every commit compares these, so a difference would make the room unchangeable.
    pub fn decode_room(&self, id: &RoomId, fields: &Fields) -> Result<Room, RecordError> {
        let Some(record) = fields.get(ROOM.as_bytes()) else {
            return match (fields.contains_key(b"v".as_slice()), number(fields, CLOSED)?) {
                (false, epoch) => Ok(Room { epoch: epoch.unwrap_or_default(), ..Room::vacant(id.clone()) }),
                (true, _) => Err(RecordError::Missing),
            };
        };
        let (mut room, unknown): (Room, _) = open_map::read(self.open(record)?, Room::FIELDS)?;
        room.unknown = unknown;
        if let Some(record) = fields.get(PLAYBACK.as_bytes()) {
            let update = self.decode_update(id, record)?;
            continue_playback(&mut room, &update)?;
        }
        let (version, epoch) = (number(fields, "v")?, number(fields, "e")?);
        if room.id != *id || epoch != Some(room.epoch) || version.is_none_or(|version| version < room.version) {
            return Err(RecordError::Position);
        }
        room.version = version.unwrap_or_default();
        let lineage = fields.get(LINEAGE.as_bytes()).zip(fields.get(b"v".as_slice()));
        let lineage = lineage.and_then(|(field, version)| decode_lineage(field, version));
        room.lineage_hash = lineage.ok_or(RecordError::Position)?;
        let bans = self.decode_bans(fields)?;
        room.bans = if bans.is_empty() { no_bans() } else { Arc::new(bans) };
        let mut members = Vec::new();
        for (field, text) in fields.iter().filter(|(field, _)| field.starts_with(b"m:")) {
            let member = self.decode_member(text)?;
            if member_field(&member.user).as_bytes() != field {
                return Err(RecordError::Member);
            }
            members.push(member);
        }
        members.sort_unstable_by_key(|member| member.order);
        let members: Members = members.into_iter().map(|member| (member.user.clone(), member)).collect();
        // What is the same is there once.
        room.id.clone_from(id);
        if let Some(host) = &mut room.host {
            let (user, _) = members.get_key_value(host).ok_or(RecordError::Member)?;
            host.clone_from(user);
        }
        room.members = Arc::new(members);
        Ok(room)
    }
}

/// Applies the last update of the playback. The updates between the room and it changed nothing that it does not replace.
fn continue_playback(room: &mut Room, update: &Update) -> Result<(), RecordError> {
    if update.epoch != room.epoch || update.base < room.version || update.footprint() != Footprint::Playback {
        return Err(RecordError::Position);
    }
    room.version = update.base;
    for change in &update.changes {
        room.apply(change, update.at);
    }
    Ok(())
}
