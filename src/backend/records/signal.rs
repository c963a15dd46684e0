use minicbor::{Decoder, Encoder};

use super::{Codec, RecordError};
use crate::{
    id::{RoomId, UserId},
    protocol::Frame,
};

/// A signal that is sent to a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignalEnvelope {
    /// The number of nodes that it was sent to before.
    pub hops: u8,
    /// The room of the signal.
    pub room: RoomId,
    /// The target of the signal.
    pub to: UserId,
    /// The frame for the target.
    pub frame: Frame,
}

impl Codec {
    /// Encodes a signal for the channel of a node.
    pub fn encode_signal(&self, signal: &SignalEnvelope) -> Vec<u8> {
        let mut record = self.begin();
        let mut encoder = Encoder::new(&mut record);
        // A vector takes everything.
        let _ = encoder
            .array(4)
            .and_then(|it| it.u8(signal.hops))
            .and_then(|it| it.str(signal.room.as_str()))
            .and_then(|it| it.str(signal.to.as_str()))
            .and_then(|it| it.str(signal.frame.as_str()));
        record
    }

    /// Decodes a signal from the channel of this node.
    pub fn decode_signal(&self, record: &[u8]) -> Result<SignalEnvelope, RecordError> {
        let mut decoder = Decoder::new(self.open(record)?);
        if decoder.array()? != Some(4) {
            return Err(RecordError::Header);
        }
        let (hops, room, to) = (decoder.u8()?, decoder.decode()?, decoder.decode()?);
        Ok(SignalEnvelope { hops, room, to, frame: decoder.str()?.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_comes_back_as_it_was() {
        let codec = Codec::default();
        let signal = SignalEnvelope {
            hops: 1,
            room: RoomId::parse("a b:{é}").unwrap(),
            to: UserId::parse("user 1").unwrap(),
            frame: "{\"x\":\"\\n\"}".into(),
        };
        let record = codec.encode_signal(&signal);
        assert_eq!(codec.decode_signal(&record).unwrap(), signal);
        for cut in 0..record.len() {
            assert!(codec.decode_signal(&record[..cut]).is_err(), "{cut} bytes");
        }
        for bad in [&b"1\x83\x00aaab"[..], b"1\x84\x00\x60aaab", b"z\x84\x00aaabac"] {
            assert!(codec.decode_signal(bad).is_err(), "{bad:?}");
        }
    }
}
