use super::{Codec, RecordError};
use crate::room::{Room, StreamPosition, Update};

impl Codec {
    /// Encodes an update for the channel and the history: a line that can be read without the rest, then JSON.
    pub fn encode_update(&self, update: &Update) -> Result<String, RecordError> {
        let mut text = self.head(update.position(), update.base);
        text.push_str(&serde_json::to_string(update)?);
        Ok(text)
    }

    /// Encodes the message that a room was restored; receivers load the room again.
    pub fn encode_restored(&self, room: &Room) -> String {
        self.head(room.position(), 0)
    }

    /// Encodes the message that the record of a room cannot be decoded. Its position matches no replica, so every node with the room checks
    /// it.
    pub fn encode_unreadable(&self) -> String {
        self.head(StreamPosition::default(), 0)
    }

    fn head(&self, to: StreamPosition, base: u64) -> String {
        format!("{}{} {base} {}\n", self.begin(), to.epoch, to.version)
    }

    /// Splits an update into the position that it leads to, and the rest.
    pub fn split_update<'a>(&self, record: &'a [u8]) -> Result<(StreamPosition, &'a [u8]), RecordError> {
        let text = self.open(record)?;
        let end = text.iter().position(|byte| *byte == b'\n').ok_or(RecordError::Header)?;
        let (line, rest) = text.split_at(end);
        let line = std::str::from_utf8(line).map_err(|_| RecordError::Header)?;
        let mut numbers = line.split(' ').map(str::parse::<u64>);
        match (numbers.next(), numbers.next(), numbers.next()) {
            (Some(Ok(epoch)), Some(Ok(_)), Some(Ok(version))) => {
                Ok((StreamPosition { epoch, version }, rest.get(1..).unwrap_or_default()))
            }
            _ => Err(RecordError::Header),
        }
    }

    /// Decodes an update that is more than a head.
    pub fn decode_update(&self, record: &[u8]) -> Result<Update, RecordError> {
        let (_, json) = self.split_update(record)?;
        Ok(serde_json::from_slice(json)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::RoomId;

    #[test]
    fn the_head_of_an_update_is_read_alone() {
        let codec = Codec::default();
        let update = Update { room: RoomId::parse("r").unwrap(), epoch: 7, base: 3, at: 1, changes: Vec::new() };
        let text = codec.encode_update(&update).unwrap();
        assert_eq!(codec.split_update(text.as_bytes()).unwrap().0, StreamPosition { epoch: 7, version: 3 });
        assert_eq!(codec.decode_update(text.as_bytes()).unwrap(), update);
        for bad in ["", "1", "11 2 3", "11 2\n{}", "1a b c\n{}", "{}", "z1 2 3\n{}"] {
            assert!(codec.split_update(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
