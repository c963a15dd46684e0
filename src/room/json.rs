use std::sync::Arc;

use minicbor::{Decode, Decoder, Encode, Encoder, decode, encode, encode::Write};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// JSON that is passed on unchanged.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Json(pub Arc<RawValue>);

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

/// In records it is a text.
impl<C> Encode<C> for Json {
    fn encode<W: Write>(&self, to: &mut Encoder<W>, _: &mut C) -> Result<(), encode::Error<W::Error>> {
        to.str(self.0.get())?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Json {
    fn decode(from: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
        let json =
            RawValue::from_string(from.str()?.to_owned()).map_err(|_| decode::Error::message("it is no JSON"))?;
        Ok(Self(Arc::from(json)))
    }
}
