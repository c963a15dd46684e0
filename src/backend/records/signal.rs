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
    pub fn encode_signal(&self, signal: &SignalEnvelope) -> String {
        let (room, to) = (signal.room.as_str(), signal.to.as_str());
        let frame = signal.frame.as_str();
        format!("{}{} {} {}\n{room}{to}{frame}", self.begin(), signal.hops, room.len(), to.len())
    }

    /// Decodes a signal from the channel of this node.
    pub fn decode_signal(&self, record: &[u8]) -> Result<SignalEnvelope, RecordError> {
        let text = std::str::from_utf8(self.open(record)?).map_err(|_| RecordError::Header)?;
        read(text).ok_or(RecordError::Header)
    }
}

fn read(text: &str) -> Option<SignalEnvelope> {
    let (line, rest) = text.split_once('\n')?;
    let mut numbers = line.split(' ');
    let hops = numbers.next()?.parse().ok()?;
    let (room, rest) = rest.split_at_checked(numbers.next()?.parse().ok()?)?;
    let (to, frame) = rest.split_at_checked(numbers.next()?.parse().ok()?)?;
    Some(SignalEnvelope { hops, room: RoomId::parse(room).ok()?, to: UserId::parse(to).ok()?, frame: frame.into() })
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
        assert_eq!(codec.decode_signal(codec.encode_signal(&signal).as_bytes()).unwrap(), signal);
        for bad in ["", "1", "11 2\nabc", "11 99 1\nabc", "1x 1 1\nabc", "11 0 1\nabc", "z1 1 1\nab"] {
            assert!(codec.decode_signal(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
