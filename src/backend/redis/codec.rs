//! How rooms, updates and signals are written in Redis.

use std::{collections::HashMap, sync::Arc};

use crate::{
    id::{RoomId, UserId},
    protocol::Frame,
    room::{Member, Room, StreamPosition, Update},
};

/// The field that has everything of a room but its members.
pub(super) const ROOM: &str = "room";

/// The field that is left of a room that was closed: its epoch.
const CLOSED: &str = "c";

/// What was read is not what a node of ours wrote.
#[derive(Debug, thiserror::Error)]
pub(super) enum CodecError {
    #[error("an update has no header")]
    Header,
    #[error("its version or epoch is no number")]
    Number,
    #[error("its version and epoch are not those of the room")]
    Point,
    #[error("the room itself is missing")]
    Missing,
    #[error("a member is missing or has another's place")]
    Member,
    #[error("{0}")]
    Json(#[from] serde_json::Error),
}

/// The field of a member.
pub(super) fn member_field(user: &UserId) -> String {
    format!("m:{user}")
}

/// A room without its members.
pub(super) fn encode_room(room: &Room) -> Result<String, CodecError> {
    Ok(serde_json::to_string(&Room { members: Arc::default(), ..room.clone() })?)
}

pub(super) fn encode_member(member: &Member) -> Result<String, CodecError> {
    Ok(serde_json::to_string(member)?)
}

/// A hash, as it is in Redis.
pub(super) type Fields = HashMap<Vec<u8>, Vec<u8>>;

/// Version and epoch of a hash, whatever stands there.
pub(super) fn raw_position(fields: &Fields) -> [Vec<u8>; 2] {
    ["v", "e"].map(|name| fields.get(name.as_bytes()).cloned().unwrap_or_else(|| b"0".to_vec()))
}

/// The room of a hash; a vacant one if there is none, with the epoch of one that was closed. Every commit compares the version and the
/// epoch: a room whose own differ from them could never be changed again.
pub(super) fn decode_room(id: &RoomId, fields: &Fields) -> Result<Room, CodecError> {
    let number = |name: &str| {
        let text =
            fields.get(name.as_bytes()).map(|text| std::str::from_utf8(text).ok().and_then(|it| it.parse().ok()));
        text.map(|number: Option<u64>| number.ok_or(CodecError::Number))
    };
    let Some(text) = fields.get(ROOM.as_bytes()) else {
        return match (fields.contains_key(b"v".as_slice()), number(CLOSED).transpose()?) {
            (false, epoch) => Ok(Room { epoch: epoch.unwrap_or_default(), ..Room::vacant(id.clone()) }),
            (true, _) => Err(CodecError::Missing),
        };
    };
    let mut room: Room = serde_json::from_slice(text)?;
    if room.id != *id || number("v").transpose()? != Some(room.version) || number("e").transpose()? != Some(room.epoch)
    {
        return Err(CodecError::Point);
    }
    let mut members = Vec::new();
    for (field, text) in fields.iter().filter(|(field, _)| field.starts_with(b"m:")) {
        let member: Member = serde_json::from_slice(text)?;
        if member_field(&member.user).as_bytes() != field {
            return Err(CodecError::Member);
        }
        members.push(member);
    }
    members.sort_unstable_by_key(|member| member.order);
    room.members = Arc::new(members.into_iter().map(|member| (member.user.clone(), member)).collect());
    if room.host.as_ref().is_some_and(|host| !room.members.contains_key(host)) {
        return Err(CodecError::Member);
    }
    Ok(room)
}

/// An update as the channel and the history have it: a line that can be read without reading the rest, then JSON.
pub(super) fn encode_update(update: &Update) -> Result<String, CodecError> {
    let mut text = head(update.position(), update.base);
    text.push_str(&serde_json::to_string(update)?);
    Ok(text)
}

/// What the channel is told when a room was put back: nothing follows from it but that the room has to be read.
pub(super) fn encode_restored(room: &Room) -> String {
    head(room.position(), 0)
}

/// What the channel is told when a room cannot be read: no node has a room at this point, so that all that have it look at it.
pub(super) const UNREADABLE: &str = "0 0 0\n";

fn head(to: StreamPosition, base: u64) -> String {
    format!("{} {base} {}\n", to.epoch, to.version)
}

/// The point that an update leads to, and the rest of it.
pub(super) fn split_update(text: &[u8]) -> Result<(StreamPosition, &[u8]), CodecError> {
    let end = text.iter().position(|byte| *byte == b'\n').ok_or(CodecError::Header)?;
    let (line, rest) = text.split_at(end);
    let line = std::str::from_utf8(line).map_err(|_| CodecError::Header)?;
    let mut numbers = line.split(' ').map(str::parse::<u64>);
    match (numbers.next(), numbers.next(), numbers.next()) {
        (Some(Ok(epoch)), Some(Ok(_)), Some(Ok(version))) => {
            Ok((StreamPosition { epoch, version }, rest.get(1..).unwrap_or_default()))
        }
        _ => Err(CodecError::Header),
    }
}

pub(super) fn decode_update(text: &[u8]) -> Result<Update, CodecError> {
    let (_, json) = split_update(text)?;
    Ok(serde_json::from_slice(json)?)
}

/// A signal on its way to a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SignalEnvelope {
    /// How many nodes it was sent to already.
    pub(super) hops: u8,
    pub(super) room: RoomId,
    pub(super) to: UserId,
    pub(super) frame: Frame,
}

impl SignalEnvelope {
    pub(super) fn encode(&self) -> String {
        let (room, to) = (self.room.as_str(), self.to.as_str());
        format!("{} {} {}\n{room}{to}{}", self.hops, room.len(), to.len(), self.frame.as_str())
    }

    pub(super) fn decode(text: &str) -> Option<Self> {
        let (line, rest) = text.split_once('\n')?;
        let mut numbers = line.split(' ');
        let hops = numbers.next()?.parse().ok()?;
        let (room, rest) = rest.split_at_checked(numbers.next()?.parse().ok()?)?;
        let (to, frame) = rest.split_at_checked(numbers.next()?.parse().ok()?)?;
        Some(Self { hops, room: RoomId::parse(room).ok()?, to: UserId::parse(to).ok()?, frame: frame.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_comes_back_as_it_was() {
        let envelope = SignalEnvelope {
            hops: 1,
            room: RoomId::parse("a b:{é}").unwrap(),
            to: UserId::parse("user 1").unwrap(),
            frame: "{\"x\":\"\\n\"}".into(),
        };
        assert_eq!(SignalEnvelope::decode(&envelope.encode()), Some(envelope));
        for bad in ["", "1 2\nabc", "1 99 1\nabc", "x 1 1\nabc", "1 0 1\nabc"] {
            assert_eq!(SignalEnvelope::decode(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_head_of_an_update_is_read_alone() {
        let update = Update { room: RoomId::parse("r").unwrap(), epoch: 7, base: 3, at: 1, changes: Vec::new() };
        let text = encode_update(&update).unwrap();
        assert_eq!(split_update(text.as_bytes()).unwrap().0, StreamPosition { epoch: 7, version: 3 });
        assert_eq!(decode_update(text.as_bytes()).unwrap(), update);
        for bad in ["", "1 2 3", "1 2\n{}", "a b c\n{}"] {
            assert!(split_update(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
