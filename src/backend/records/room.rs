use std::{collections::HashMap, sync::Arc};

use super::{Codec, RecordError};
use crate::{
    id::{RoomId, UserId},
    room::{Member, Room},
};

/// The field of a room without its members.
pub const ROOM: &str = "room";

/// The field that remains of a closed room: its epoch.
const CLOSED: &str = "c";

/// The name of the field of a member.
pub fn member_field(user: &UserId) -> String {
    format!("m:{user}")
}

/// The fields of a hash in Redis.
pub type Fields = HashMap<Vec<u8>, Vec<u8>>;

/// The version and the epoch of a hash, without validation.
pub fn raw_position(fields: &Fields) -> [Vec<u8>; 2] {
    ["v", "e"].map(|name| fields.get(name.as_bytes()).cloned().unwrap_or_else(|| b"0".to_vec()))
}

impl Codec {
    /// Encodes a room without its members.
    pub fn encode_room(&self, room: &Room) -> Result<String, RecordError> {
        let mut text = self.begin();
        text.push_str(&serde_json::to_string(&Room { members: Arc::default(), ..room.clone() })?);
        Ok(text)
    }

    /// Encodes a member: the node of its socket, then the rest as JSON.
    pub fn encode_member(&self, member: &Member) -> Result<String, RecordError> {
        let mut text = self.begin();
        if member.present() {
            text.push_str(member.node.as_str());
        }
        text.push('\n');
        text.push_str(&serde_json::to_string(member)?);
        Ok(text)
    }

    fn decode_member(&self, record: &[u8]) -> Result<Member, RecordError> {
        let rest = self.open(record)?;
        let end = rest.iter().position(|byte| *byte == b'\n').ok_or(RecordError::Header)?;
        Ok(serde_json::from_slice(rest.get(end + 1..).unwrap_or_default())?)
    }

    /// Decodes the room of a hash; without a room it is vacant, with the epoch of the closed one. Version and epoch of the room must equal
    /// those of the hash: every commit compares these, so a difference would make the room unchangeable.
    pub fn decode_room(&self, id: &RoomId, fields: &Fields) -> Result<Room, RecordError> {
        let number = |name: &str| {
            let text =
                fields.get(name.as_bytes()).map(|text| std::str::from_utf8(text).ok().and_then(|it| it.parse().ok()));
            text.map(|number: Option<u64>| number.ok_or(RecordError::Number))
        };
        let Some(text) = fields.get(ROOM.as_bytes()) else {
            return match (fields.contains_key(b"v".as_slice()), number(CLOSED).transpose()?) {
                (false, epoch) => Ok(Room { epoch: epoch.unwrap_or_default(), ..Room::vacant(id.clone()) }),
                (true, _) => Err(RecordError::Missing),
            };
        };
        let mut room: Room = serde_json::from_slice(self.open(text)?)?;
        if room.id != *id
            || number("v").transpose()? != Some(room.version)
            || number("e").transpose()? != Some(room.epoch)
        {
            return Err(RecordError::Position);
        }
        let mut members = Vec::new();
        for (field, text) in fields.iter().filter(|(field, _)| field.starts_with(b"m:")) {
            let member = self.decode_member(text)?;
            if member_field(&member.user).as_bytes() != field {
                return Err(RecordError::Member);
            }
            members.push(member);
        }
        members.sort_unstable_by_key(|member| member.order);
        room.members = Arc::new(members.into_iter().map(|member| (member.user.clone(), member)).collect());
        if room.host.as_ref().is_some_and(|host| !room.members.contains_key(host)) {
            return Err(RecordError::Member);
        }
        Ok(room)
    }
}
