use minicbor::{Decode, Decoder, Encode, Encoder, decode, encode, encode::Write};
use serde::{Deserialize, Serialize};

/// Which numbers of a PLAY_PAUSE its sender gave; the room had the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// Whether it gave a position.
    pub position: bool,
    /// Whether it gave a rate.
    pub rate: bool,
}

/// In records it is one byte.
impl<C> Encode<C> for Sent {
    fn encode<W: Write>(&self, to: &mut Encoder<W>, _: &mut C) -> Result<(), encode::Error<W::Error>> {
        to.u8(u8::from(self.position) | u8::from(self.rate) << 1)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Sent {
    fn decode(from: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
        let bits = from.u8()?;
        Ok(Self { position: bits & 1 != 0, rate: bits & 2 != 0 })
    }
}
