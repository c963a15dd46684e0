use minicbor::{Decoder, Encoder};

use super::{Codec, RecordError, open_map::append};
use crate::{
    clock::Millis,
    id::RoomId,
    room::{Change, Room, StreamPosition, Update},
};

/// What an update says before its changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpdateHead {
    epoch: u64,
    base: u64,
    at: Millis,
    changes: u64,
}

impl UpdateHead {
    /// The position that the update leads to.
    pub fn position(self) -> StreamPosition {
        StreamPosition { epoch: self.epoch, version: self.base.saturating_add(self.changes) }
    }

    /// Whether it has no changes: the room was restored, or its record cannot be decoded.
    pub fn is_notice(self) -> bool {
        self.changes == 0
    }
}

impl Codec {
    /// Encodes an update for the channel, the history and the hash of its room, which all name the room.
    pub fn encode_update(&self, update: &Update) -> Vec<u8> {
        let mut record = self.begin();
        write_head(&mut record, update.epoch, update.base, update.at);
        append(&update.changes, &mut record);
        record
    }

    /// Encodes the message that a room was restored; receivers load the room again.
    pub fn encode_restored(&self, room: &Room) -> Vec<u8> {
        self.encode_notice(room.position())
    }

    /// Encodes the message that the record of a room cannot be decoded. Its position matches no replica, so every node with the room checks
    /// it.
    pub fn encode_unreadable(&self) -> Vec<u8> {
        self.encode_notice(StreamPosition::default())
    }

    fn encode_notice(&self, at: StreamPosition) -> Vec<u8> {
        let mut record = self.begin();
        write_head(&mut record, at.epoch, at.version, at.epoch);
        append(&Vec::<Change>::new(), &mut record);
        record
    }

    /// Decodes what an update says before its changes.
    pub fn decode_head(&self, record: &[u8]) -> Result<UpdateHead, RecordError> {
        let mut decoder = Decoder::new(self.open(record)?);
        let (epoch, base, at) = read_head(&mut decoder)?;
        let changes = decoder.array()?.ok_or(RecordError::Header)?;
        Ok(UpdateHead { epoch, base, at, changes })
    }

    /// Decodes an update of `room`.
    pub fn decode_update(&self, room: &RoomId, record: &[u8]) -> Result<Update, RecordError> {
        let mut decoder = Decoder::new(self.open(record)?);
        let (epoch, base, at) = read_head(&mut decoder)?;
        // As in the head alone, or one reader would take what another one refuses.
        decoder.probe().array()?.ok_or(RecordError::Header)?;
        let changes: Vec<Change> = decoder.decode()?;
        base.checked_add(changes.len() as u64).ok_or(RecordError::Header)?;
        Ok(Update { room: room.clone(), epoch, base, at, changes })
    }
}

/// An epoch is the time at which it began, so the time of an update is shorter as a difference.
fn write_head(record: &mut Vec<u8>, epoch: u64, base: u64, at: Millis) {
    let mut encoder = Encoder::new(record);
    let since = at.cast_signed().wrapping_sub(epoch.cast_signed());
    // A vector takes everything.
    let _ = encoder.array(4).and_then(|it| it.u64(epoch)).and_then(|it| it.u64(base)).and_then(|it| it.i64(since));
}

fn read_head(decoder: &mut Decoder<'_>) -> Result<(u64, u64, Millis), RecordError> {
    if decoder.array()? != Some(4) {
        return Err(RecordError::Header);
    }
    let (epoch, base, since) = (decoder.u64()?, decoder.u64()?, decoder.i64()?);
    Ok((epoch, base, epoch.wrapping_add_signed(since)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        id::UserId,
        room::{Playback, Sent},
    };

    fn update(changes: Vec<Change>) -> Update {
        Update { room: RoomId::parse("r").unwrap(), epoch: 1_795_000_000_000, base: 3, at: 1_795_000_600_000, changes }
    }

    #[test]
    fn the_head_of_an_update_is_read_alone() {
        let codec = Codec::default();
        let update = update(vec![Change::Closed, Change::Closed]);
        let record = codec.encode_update(&update);
        let position = StreamPosition { epoch: update.epoch, version: 5 };
        assert_eq!(codec.decode_head(&record).unwrap().position(), position);
        assert_eq!(codec.decode_update(&update.room, &record).unwrap(), update);
        for bad in [
            &b""[..],
            b"1",
            b"1\x80",
            b"1\x84\x01\x02\x03",
            b"{}",
            b"z\x84\x01\x02\x03\x80",
            b"1\x83\x01\x02\x80",
            b"1\x84\x01\x02\x03\x9f\xff",
        ] {
            assert!(codec.decode_head(bad).is_err(), "{bad:?}");
            assert!(codec.decode_update(&update.room, bad).is_err(), "{bad:?}");
        }
        let endless = [&b"1\x84\x01\x1b"[..], &[0xff; 8], b"\x00\x81\x81\x15"].concat();
        assert!(codec.decode_update(&update.room, &endless).is_err(), "its version is no number");
    }

    #[test]
    fn a_change_of_the_playback_takes_sixty_bytes() {
        let by = UserId::parse("0123456789abcdef").unwrap();
        let playback = Playback { position: 61.234, playing: true, rate: 1.0 };
        let sent = Sent { position: true, rate: false };
        let change = Change::PlayPause { by, event: Some(1_795_000_600_123.0), playback, sent };
        let record = Codec::default().encode_update(&update(vec![change]));
        assert!(record.len() <= 62, "{}", record.len());
    }
}
